"""How each server is started, on a core of its own, and how clients get readings from it.

Owns where processes run: a server on one core, all that feeds it or loads it on another.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import _common

from peers import publish

HERE: Final = Path(__file__).resolve().parent
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
STARTING: Final = 20.0
"""Seconds that a server may take to start."""
MODULE: Final = 4


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `options` are the load's for it."""

    pid: int
    port: int
    path: str
    options: tuple[str, ...] = ()


class MissingError(Exception):
    """A server that is not installed here, and which one."""


Start = Callable[[float], contextlib.AbstractContextManager[Server]]
"""Starts a server that gets readings at a rate, in Hz, and has them for its clients."""


def use_load_core() -> None:
    """This process, and all that it starts, stay off the server's core."""
    os.sched_setaffinity(0, {LOAD_CORE})


@contextlib.contextmanager
def on_server_core() -> Iterator[None]:
    """What is started meanwhile has the server's core."""
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        use_load_core()


def compiled(name: str, directory: Path) -> Path:
    """The program made of a C file of this folder's parent."""
    program = directory / name
    source = HERE.parent / f"{name}.c"
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run(["cc", "-O2", *warnings, "-o", program, source, "-lm"], check=True)
    return program


# Ours


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running acquisitiond with a simulated instrument."""

    pid: int
    publish: str
    control: str


@contextlib.contextmanager
def daemon(rate: float) -> Iterator[Daemon]:
    """Acquisitiond, which reads at `rate` whoever listens."""
    publish_port, control_port = _common.free_ports(2)
    endpoints = f"tcp://127.0.0.1:{publish_port}", f"tcp://127.0.0.1:{control_port}"
    sockets = ("--publish", endpoints[0], "--control", endpoints[1], "--metrics-port", "0")
    rates = ("--rate", f"{rate:g}", "--max-rate", "1000")
    with _common.running("acquisitiond", "--simulate", *rates, *sockets) as process:
        yield Daemon(process.pid, *endpoints)


@contextlib.contextmanager
def bridge(source: Daemon, interval: float, *options: str) -> Iterator[Server]:
    """A wsbridge for it; entered when it is ready."""
    (port,) = _common.free_ports(1)
    where = ("--port", str(port), "--subscribe", source.publish, "--control", source.control)
    with contextlib.ExitStack() as stack:
        with on_server_core():
            process = stack.enter_context(_common.running("wsbridge", *where, *options))
        _wait_ready(f"http://127.0.0.1:{port}/readyz")
        yield Server(process.pid, port, f"/ws/power?module={MODULE}&interval={interval:g}")


@contextlib.contextmanager
def ours(rate: float, interval: float | None = None, *options: str) -> Iterator[Server]:
    """Both daemons; without an interval each client gets each reading."""
    wanted = 1 / rate if interval is None else interval
    with daemon(rate) as source, bridge(source, wanted, *options) as server:
        yield server


def _wait_ready(url: str) -> None:
    deadline = time.monotonic() + STARTING
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310  our own http address
            return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


# The others


def limit(program: Path) -> Start:
    """The bare-socket loop."""

    @contextlib.contextmanager
    def start(rate: float) -> Iterator[Server]:
        (port,) = _common.free_ports(1)
        with _process(str(program), str(port), f"{rate:g}", ports=(port,)) as pid:
            yield Server(pid, port, "/", ("--raw",))

    return start


@contextlib.contextmanager
def mosquitto(rate: float) -> Iterator[Server]:
    """MQTT 3.1.1 in WebSocket, QoS 0."""
    command = _installed("mosquitto")
    mqtt, websocket = _common.free_ports(2)
    settings = (
        f"listener {mqtt} 127.0.0.1\nlistener {websocket} 127.0.0.1\nprotocol websockets\n"
        "allow_anonymous true\npersistence false\nset_tcp_nodelay true\nlog_type none\n"
    )
    first = (publish.MQTT_CONNECT + publish.MQTT_SUBSCRIBE).hex()
    with (
        _file(settings) as configuration,
        _process(command, "-c", configuration, ports=(mqtt, websocket)) as pid,
        _publishing("mqtt", mqtt, rate),
    ):
        yield Server(pid, websocket, "/mqtt", ("--subprotocol", "mqtt", "--first", first))


@contextlib.contextmanager
def nats(rate: float) -> Iterator[Server]:
    """NATS's own protocol in WebSocket."""
    command = _installed("nats-server")
    plain, websocket = _common.free_ports(2)
    settings = (
        f'listen: "127.0.0.1:{plain}"\nping_interval: "10m"\n'
        f'websocket {{ listen: "127.0.0.1:{websocket}", no_tls: true, compression: false }}\n'
    )
    first = (publish.NATS_CONNECT + publish.NATS_SUBSCRIBE).hex()
    with (
        _file(settings) as configuration,
        _process(command, "-c", configuration, ports=(plain, websocket)) as pid,
        _publishing("nats", plain, rate),
    ):
        yield Server(pid, websocket, "/", ("--first", first))


def node(directory: Path) -> Start:
    """A server of twenty lines with Node's `ws`, which npm puts into `directory`."""

    @contextlib.contextmanager
    def start(rate: float) -> Iterator[Server]:
        command, npm = _installed("node"), _installed("npm")
        if not (directory / "node_modules" / "ws").exists():
            install = [npm, "install", "--silent", "--no-audit", "--no-fund", "ws@8"]
            if subprocess.run(install, cwd=directory, check=False).returncode:
                raise MissingError("ws (npm could not install it)")
        shutil.copy(HERE / "node.js", directory)
        lines, websocket = _common.free_ports(2)
        arguments = (str(directory / "node.js"), str(lines), str(websocket))
        with (
            _process(command, *arguments, ports=(lines, websocket)) as pid,
            _publishing("lines", lines, rate),
        ):
            yield Server(pid, websocket, "/")

    return start


def _installed(command: str) -> str:
    # Debian keeps servers where only root's PATH leads.
    found = shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingError(command)
    return found


@contextlib.contextmanager
def _file(text: str) -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        yield file.name


@contextlib.contextmanager
def _process(*command: str, ports: tuple[int, ...]) -> Iterator[int]:
    """A server on its core; entered when it listens on all of `ports`."""
    with on_server_core():
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )
    try:
        for port in ports:
            _wait_listening(process, port)
        yield process.pid
    finally:
        _end(process)


@contextlib.contextmanager
def _publishing(protocol: str, port: int, rate: float) -> Iterator[None]:
    command = (sys.executable, HERE / "publish.py", protocol, str(port), f"{rate:g}")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
        if process.poll() is not None:
            raise ChildProcessError(f"the {protocol} publisher ended by itself")
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_common.STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + STARTING
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
        time.sleep(0.05)
