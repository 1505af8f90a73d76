"""`ctp10 up`: both daemons in the foreground, as the processes that they are as services."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import urllib.error
import urllib.request
from typing import Any, Final

import click
import orjson

from acquisitiond.settings import Settings as Acquisition
from common.lifecycle import die_with_parent, run_service
from common.settings import load_service
from wsbridge.settings import Settings as Bridge

STOP_TIMEOUT: Final = 4.0
"""Seconds in which a daemon may end by itself; each promises two."""
PATIENCE: Final = 10.0
"""Seconds without data after which it is said why."""

_ACQUISITION = ("address", "module", "rate", "max_rate", "metrics_port", "publish", "control")
_BRIDGE = ("host", "port", "subscribe", "control")


@click.command()
@click.option("--simulate", is_flag=True, help="with a simulated instrument")
@click.option("--config", metavar="FILE", help="TOML file of settings  [env CTP10_CONFIG]")
@click.option("--address", metavar="VISA", help="VISA resource of the instrument")
@click.option("--module", multiple=True, metavar="N", help="module to read (repeat for several)")
@click.option("--rate", metavar="HZ", help="readings a second of each module")
@click.option("--max-rate", metavar="HZ", help="most readings a second")
@click.option("--host", metavar="HOST", help="address that the bridge serves on")
@click.option("--port", metavar="PORT", help="port that the bridge serves on")
@click.option("--publish", metavar="EP", help="ZeroMQ endpoint of readings")
@click.option("--control", metavar="EP", help="ZeroMQ endpoint of requests")
@click.option("--metrics-port", metavar="PORT", help="port of acquisitiond's /metrics")
def up(simulate: bool, config: str | None, **given: Any) -> None:
    """Run both daemons in the foreground until Ctrl-C.

    Settings come from options, the environment and the settings file, as for the daemons.
    """
    given["subscribe"] = given["publish"]
    # Checked here as well, so that a wrong one is one sentence and not two daemons' last words.
    bridge_options = {name: given[name] for name in _BRIDGE}
    acquisition_options = {name: given[name] for name in _ACQUISITION if name != "module"}
    acquisition_options["modules"] = given["module"]
    load_service(Acquisition, "acquisitiond", acquisition_options, config)
    bridge = load_service(Bridge, "wsbridge", bridge_options, config).settings
    common = ["--config", config] if config else []
    flags = ["--simulate"] if simulate else []
    commands = {
        "acquisitiond": [*flags, *common, *_arguments(given, _ACQUISITION)],
        "wsbridge": [*common, *_arguments(given, _BRIDGE)],
    }
    failed: list[str] = []
    _refuse_taken(bridge.host, bridge.port)

    async def body(stop: asyncio.Event) -> None:
        url = f"http://{'localhost' if bridge.host == '127.0.0.1' else bridge.host}:{bridge.port}"
        failed.extend(await _run(commands, url, stop))

    run_service(body)
    if failed:
        click.echo(f"ctp10 up: {failed[0]}", err=True)
        sys.exit(1)


def _refuse_taken(host: str, port: int) -> None:
    """Another bridge there would answer for ours, and its data would be announced as ours."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        click.echo(f"ctp10 up: cannot serve on {host} port {port}: {reason}", err=True)
        sys.exit(1)


def _arguments(given: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    arguments = []
    for name in names:
        value = given[name]
        for item in value if isinstance(value, tuple) else [value]:
            if item is not None:
                arguments += [f"--{name.replace('_', '-')}", str(item)]
    return arguments


async def _run(commands: dict[str, list[str]], url: str, stop: asyncio.Event) -> list[str]:
    """Run the daemons until `stop` or until one of them ends; returns what went wrong."""
    processes = {name: await _start(name, rest) for name, rest in commands.items()}
    ends = {
        asyncio.create_task(process.wait(), name=name): name for name, process in processes.items()
    }
    stopped = asyncio.create_task(stop.wait())
    announcing = asyncio.create_task(_announce(url))
    await asyncio.wait({*ends, stopped}, return_when=asyncio.FIRST_COMPLETED)
    failures = [
        f"{name} ended by itself with exit code {task.result()}"
        for task, name in ends.items()
        if task.done() and not stop.is_set()
    ]
    announcing.cancel()
    stopped.cancel()
    for process in processes.values():
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    _, late = await asyncio.wait(ends, timeout=STOP_TIMEOUT)
    for task in late:
        processes[ends[task]].kill()
        failures.append(f"{ends[task]} did not stop within {STOP_TIMEOUT:g} s and was killed")
    await asyncio.gather(*ends, announcing, stopped, return_exceptions=True)
    return failures


async def _start(name: str, arguments: list[str]) -> asyncio.subprocess.Process:
    # A session of its own: Ctrl-C reaches this process alone, which then ends the daemons in order.
    return await asyncio.create_subprocess_exec(
        # -P: a common.py in the folder where somebody calls this is not ours.
        sys.executable,
        "-P",
        "-m",
        name,
        *arguments,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


async def _announce(url: str) -> None:
    """Print the address once data flows; if none does, say why every so often."""
    loop = asyncio.get_running_loop()
    complain_at = loop.time() + PATIENCE
    while True:
        reason = await asyncio.to_thread(_not_ready, url)
        if reason is None:
            click.echo(f"\n  Data flows: open {url}/\n  Ctrl-C stops everything.\n")
            return
        if loop.time() >= complain_at:
            click.echo(f"  No data yet: {reason}")
            complain_at = loop.time() + PATIENCE
        await asyncio.sleep(0.1)


def _not_ready(url: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=1):  # noqa: S310  our own http address
            return None
    except urllib.error.HTTPError as error:
        with error:
            return str(orjson.loads(error.read()).get("reason"))
    except OSError as error:
        return f"the bridge does not answer ({error})"
