"""Simulator, fault proxy, daemon, bridge and viewers in a row, and what holds at the end of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import zmq

from ctp10 import wire
from tests.support import history
from tests.support.fault_proxy import DEADLINE, FaultProxy
from tests.support.processes import Process, Stand, stand
from tests.support.viewers import Message, Viewer, viewer

TIMEOUT: Final = 0.4
"""Seconds that the daemon gives the instrument for an answer."""
MARGIN: Final = 1.0
"""Seconds that a loaded machine may add to a promise."""
TOLD: Final = TIMEOUT + MARGIN
"""Seconds in which a viewer is told that the instrument fell silent."""
BACK: Final = 2.0 + TIMEOUT + MARGIN
"""Seconds in which data is back: two, and a last attempt that has to time out first."""
BUSY: Final = 0.3
"""Share of a core that no fault may cost a process."""
HOLD: Final = 1.5
"""Seconds that a lasting fault is held."""
MOST_LINES: Final = 10
"""Lines that a process may log about one fault while it lasts."""


class Notebook:
    """A ZeroMQ subscriber that takes what arrived only when asked: its queue has no bound."""

    def __init__(self, publish: str) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._sub = context.socket(zmq.SUB)
        self._sub.linger = self._sub.rcvhwm = 0
        self._sub.subscribe(wire.POWER)
        self._sub.connect(publish)
        self._messages: list[Message] = []

    @property
    def messages(self) -> list[Message]:
        """All messages of `power/` topics so far."""
        while self._sub.poll(0):
            payload = self._sub.recv_multipart()[1]
            message = wire.decode(payload)
            assert isinstance(message, wire.Reading | wire.Error)
            powers = {f"ch{c}_power": getattr(message, f"ch{c}_power", None) for c in range(1, 7)}
            fields = {name: getattr(message, name, None) for name in _FIELDS}
            self._messages.append({"type": message.type, **fields, **powers})
        return self._messages

    def close(self) -> None:
        """Leave."""
        self._sub.close()


_FIELDS: Final = ("timestamp", "module", "wavelength_nm", "unit", "quality", "epoch", "seq")


@dataclass
class Line:
    """What a test of the link has at hand."""

    place: Stand
    proxy: FaultProxy
    daemon: Process
    bridge: Process
    client: Viewer
    notebook: Notebook
    _events: dict[str, float] = field(default_factory=dict)

    @property
    def now(self) -> int:
        """How many messages the viewer has: what comes after is after now."""
        return len(self.client.messages)

    async def told(self, after: int, within: float = TOLD) -> tuple[Message, Message]:
        """An INVALID reading and an `error` reach the viewer, in time."""
        started = time.time()
        invalid = await self.client.wait(is_invalid, after=after)
        error = await self.client.wait_type("error", after=after)
        assert max(invalid["_arrived"], error["_arrived"]) - started < within
        assert error["recoverable"] is True
        assert error["message"]
        return invalid, error

    async def back(self, within: float = BACK) -> Message:
        """A VALID reading that is taken from now on reaches the viewer in time, and more follow."""
        since, after = time.time(), self.now
        reading = await self.client.wait(
            lambda m: is_valid(m) and m["timestamp"] >= since, after=after
        )
        assert reading["_arrived"] - since < within
        await self.client.wait(lambda m: is_valid(m) and m["seq"] >= reading["seq"] + 3)
        return reading

    async def lasts(self, seconds: float = HOLD, *, valid: bool = False) -> None:
        """The fault lasts. Nobody is busy with it, none logs a flood, and unless `valid` none
        shows a reading that cannot be."""
        after = self.now
        lines = [process.output.count("\n") for process in (self.daemon, self.bridge)]
        with at_rest(self.daemon), at_rest(self.bridge):
            await asyncio.sleep(seconds)  # the fault itself: nothing is waited for
        for process, before in zip((self.daemon, self.bridge), lines, strict=True):
            logged = process.output.splitlines()[before:]
            assert len(logged) <= MOST_LINES, logged
        if not valid:
            assert not [m for m in self.client.messages[after:] if is_valid(m)]


def is_valid(message: Message) -> bool:
    """A VALID reading."""
    return bool(message["type"] == "data" and message["quality"] == "VALID")


def is_invalid(message: Message) -> bool:
    """An INVALID reading."""
    return bool(message["type"] == "data" and message["quality"] == "INVALID")


def cpu_seconds(process: Process) -> float:
    """Processor time of all threads of a process."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def at_rest(process: Process) -> Iterator[None]:
    """Less than `BUSY` of a core while the context lasts."""
    started, used = time.monotonic(), cpu_seconds(process)
    yield
    share = (cpu_seconds(process) - used) / (time.monotonic() - started)
    assert share < BUSY, f"{process.name} used {share:.0%} of a core"


def measure_milliwatts(port: int, module: int = 4) -> None:
    """Have a simulator's detectors read in mW: nine digits, so that no two looks are alike."""
    units = [f":CTP:SENS{module}:CHAN{c}:UNIT:Y MW" for c in range(1, 5)]
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        sock.sendall(";".join([*units, "*OPC?"]).encode() + b"\r\n")
        assert sock.recv(100) == b"1\r\n"


def at_once(*starts: Callable[[], Process]) -> list[Process]:
    """Start processes beside each other: most of a start is importing."""
    with ThreadPoolExecutor(len(starts)) as pool:
        return list(pool.map(lambda start: start(), starts))


@contextlib.asynccontextmanager
async def line(tmp_path: Path, *, off: bool = False, latency_ms: int = 0) -> AsyncIterator[Line]:
    """A line in order, or with the instrument switched off; checked and ended with the context.

    What is checked: all still run, none told of an error of its own, and both viewers' histories.
    """
    log = tmp_path / "measured.jsonl"
    with stand() as place, FaultProxy(place.instrument_port) as proxy:
        simulator = place.simulator("--log", str(log), "--latency-ms", str(latency_ms))
        measure_milliwatts(place.instrument_port)
        if off:
            proxy.off()
        timeout = f"{TIMEOUT * 1000:.0f}"
        daemon, bridge = at_once(
            lambda: place.daemon("--timeout-ms", timeout, address=proxy.address),
            place.bridge,
        )
        notebook = Notebook(place.publish)
        with contextlib.closing(notebook):
            async with viewer(f"{place.url}/ws/power") as client:
                if not off:
                    await client.wait(is_valid)
                yield Line(place, proxy, daemon, bridge, client, notebook)
                assert client.open
            for process in (daemon, bridge, simulator):
                assert process.terminate() == 0, process.output
                assert "Traceback" not in process.output, process.output
            check_histories(log, client.messages, notebook.messages)


def check_histories(
    log: Path,
    shown: list[dict[str, Any]],
    published: list[dict[str, Any]],
    within: float = TIMEOUT + 0.1,
) -> None:
    """What a viewer and a notebook got is in order and was measured; the notebook missed nothing."""
    measured = history.looks(log)
    history.check_order(shown)
    history.check_order(published, complete=True)
    assert history.check_values(shown, measured, within=within) >= 2
    assert history.check_values(published, measured, within=within) >= 2
