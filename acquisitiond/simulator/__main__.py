"""Owns the command line of the simulator: `python -m acquisitiond.simulator`, `ctp10 simulate`.

Refuses bad options with exit code 2, and an address that cannot be had with 1 and one sentence.
"""

import sys
from pathlib import Path

import click

from acquisitiond.simulator.runner import SimulatorOptions, run_simulator
from common.lifecycle import run_service


def _modules(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[int, int], ...]:
    modules: dict[int, int] = {}
    for value in values:
        slot, _, detectors = value.partition(":")
        try:
            pair = int(slot), int(detectors or "4")
        except ValueError:
            raise click.BadParameter(f"{value!r} is not SLOT or SLOT:DETECTORS") from None
        if not (1 <= pair[0] <= 20 and 1 <= pair[1] <= 6):
            raise click.BadParameter(f"{value!r}: slots are 1-20, detectors 1-6")
        if pair[0] in modules:
            raise click.BadParameter(f"slot {pair[0]} is given twice")
        modules[pair[0]] = pair[1]
    return tuple(modules.items())


@click.command(name="simulate")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5025,
    show_default=True,
    help="Port to listen on; 0 takes any free one.",
)
@click.option(
    "--latency-ms",
    type=click.FloatRange(0.0, 60_000.0),
    default=0.0,
    show_default=True,
    help="Delay of each message.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same instrument.")
@click.option(
    "--module",
    "modules",
    multiple=True,
    default=("4",),
    show_default=True,
    metavar="SLOT[:DETECTORS]",
    callback=_modules,
    help="An installed module; repeat for more. 4 detectors unless told.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append a JSON line to this file for each power reading given out.",
)
@click.option(
    "--terminate-blocks/--bare-blocks",
    default=False,
    show_default=True,
    help="Send CR LF after a binary block, or nothing.",
)
def main(
    host: str,
    port: int,
    latency_ms: float,
    seed: int,
    modules: tuple[tuple[int, int], ...],
    log: Path | None,
    terminate_blocks: bool,
) -> None:
    """Run a simulated CTP10 until SIGINT or SIGTERM."""
    options = SimulatorOptions(host, port, latency_ms, seed, modules, log, terminate_blocks)
    try:
        run_service(lambda stop: run_simulator(options, stop, _announce))
    except OSError as error:
        reason = error.strerror or error
        if error.filename is not None:
            reason = f"{reason}: {error.filename}"
        click.echo(f"The simulator cannot start on {host}:{port}: {reason}.", err=True)
        sys.exit(1)


def _announce(host: str, port: int) -> None:
    click.echo(f"simulated CTP10 listening on {host}:{port}")


if __name__ == "__main__":
    main()
