"""What the benchmarks share: the environment, free ports, processes, percentiles.

Owns the processes it starts and ends them, whatever happens. Measures nothing itself.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # from a checkout, installed or not

LIBRARIES: Final = ("pyvisa", "pyvisa-py", "pyzmq", "websockets", "orjson", "uvloop")
STOP_TIMEOUT: Final = 5.0
READY_TIMEOUT: Final = 20.0


def environment() -> str:
    """What a figure means nothing without, a line each."""
    names = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            names.append(f"{library} {version(library)}")
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return "\n".join(
        (
            f"CPU      {_cpu_model()}, {os.cpu_count()} cores",
            f"system   {platform.system()} {platform.release()} {platform.machine()}",
            f"software {', '.join(names)}",
            f"load     {load} (1, 5 and 15 minutes, before the run)",
        )
    )


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(seconds: float) -> str:
    """For people, in a column."""
    return f"{seconds * 1e3:8.3f} ms"


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody uses right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m module arguments` in a process of its own while the context lasts."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@dataclass(frozen=True, slots=True)
class Service:
    """Both daemons, running, and where they serve."""

    port: int
    publish: str
    acquisitiond: int
    """Process id."""
    wsbridge: int
    """Process id."""


@contextlib.contextmanager
def service(*acquisition_options: str) -> Iterator[Service]:
    """Both daemons with a simulated instrument while the context lasts; entered when data flows."""
    publish_port, control_port, port = free_ports(3)
    publish, control = f"tcp://127.0.0.1:{publish_port}", f"tcp://127.0.0.1:{control_port}"
    sockets = ("--publish", publish, "--control", control, "--metrics-port", "0")
    bridge = ("--port", str(port), "--subscribe", publish, "--control", control)
    with (
        running("acquisitiond", "--simulate", *sockets, *acquisition_options) as daemon,
        running("wsbridge", *bridge) as wsbridge,
    ):
        _wait_until_ready(f"http://127.0.0.1:{port}/readyz")
        yield Service(port, publish, daemon.pid, wsbridge.pid)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    reason: object = None
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310  our own http address
                return
        except urllib.error.HTTPError as error:
            with error:
                reason = error.read().decode()
        except OSError as error:
            reason = error
        time.sleep(0.05)
    raise TimeoutError(f"no data after {READY_TIMEOUT:g} s: {reason}")
