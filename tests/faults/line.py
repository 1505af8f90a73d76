"""Simulator, fault proxy, daemon, bridge and viewers in a row, and what must hold of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, Self

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
PROMPT: Final = 0.5 + MARGIN
"""Seconds in which a viewer is told what the daemon sees at once, when it asks the next time."""
BACK: Final = 2.0 + TIMEOUT + MARGIN
"""Seconds in which data is back: two, and a last attempt that has to time out first."""
BUSY: Final = 0.3
"""Share of a core that no fault may cost a process."""
SLACK: Final = 0.15
"""Seconds that pass, on a loaded machine, between a detector's answer and the daemon's clock."""
HOLD: Final = 0.8
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


class Line:
    """What a test has at hand. Of processes and viewers, the present ones."""

    simulator: Process
    daemon: Process
    bridge: Process
    client: Viewer
    notebook: Notebook

    def __init__(self, place: Stand, proxy: FaultProxy, logs: Path, address: str) -> None:
        self.place = place
        self.proxy = proxy
        #: When simulators lived that were killed: what they measured is not known.
        self.unlogged: list[tuple[float, float]] = []
        self._viewers: list[Viewer] = []
        self._daemons = 0
        self._logs = logs
        self._address = address

    def start_simulator(self, *arguments: str) -> None:
        """A simulator with a log of its own."""
        log = self._logs / f"{time.time()}.jsonl"
        self.simulator = self.place.simulator("--log", str(log), *arguments)

    def start_daemon(self) -> None:
        """acquisitiond."""
        timeout = f"{TIMEOUT * 1000:.0f}"
        self.daemon = self.place.daemon("--timeout-ms", timeout, address=self._address)
        self._daemons += 1

    def start_bridge(self) -> None:
        """wsbridge."""
        self.bridge = self.place.bridge()

    @contextlib.asynccontextmanager
    async def watched(self, *, data: bool = True) -> AsyncIterator[Self]:
        """A viewer and a notebook look on; in the end, what each of them got is checked.

        It begins with a line in order; with `data`, also with a VALID reading.
        """
        self._viewers.clear()
        self._daemons = 0
        self.notebook = Notebook(self.place.publish)
        with contextlib.closing(self.notebook):
            async with self.viewing() as client:
                if data:
                    self.proxy.forward()
                    await client.wait(is_valid)
                yield self
            self._check()

    @contextlib.asynccontextmanager
    async def viewing(self) -> AsyncIterator[Viewer]:
        """A viewer, which is `client` from now on, and as such keeps its connection to the end."""
        async with viewer(f"{self.place.url}/ws/power") as client:
            self._viewers.append(client)
            self.client = client
            yield client
            assert client.open or client is not self.client

    @property
    def now(self) -> int:
        """How many messages the viewer has: what comes after is after now."""
        return len(self.client.messages)

    async def told(self, after: int, within: float = TOLD) -> tuple[Message, Message]:
        """An INVALID reading and an `error` reach the viewer, in time."""
        started = time.time()
        invalid = await self.client.wait(is_invalid, after=after)
        error = await self.told_error(after, within, started)
        assert invalid["_arrived"] - started < within
        return invalid, error

    async def told_error(
        self, after: int, within: float = TOLD, started: float | None = None
    ) -> Message:
        """An `error` reaches the viewer, in time from now or from when it `started`."""
        started = started or time.time()
        error = await self.client.wait_type("error", after=after)
        assert error["_arrived"] - started < within
        assert error["recoverable"] is True
        assert error["message"]
        return error

    async def back(self, within: float = BACK) -> Message:
        """A VALID reading that is taken from now on reaches the viewer in time, and more follow."""
        since, after = time.time(), self.now
        reading = await self.client.wait(
            lambda m: is_valid(m) and m["timestamp"] >= since, after=after
        )
        assert reading["_arrived"] - since < within, self.client.messages[after:]
        enough = reading["seq"] + 3
        await self.client.wait(lambda m: is_valid(m) and m["seq"] >= enough, after=after)
        return reading

    async def lasts(self, seconds: float = HOLD, *, valid: bool = False) -> None:
        """The fault lasts. Nobody is busy with it or floods its log, and unless `valid` is true
        nobody shows a reading that cannot be."""
        after = self.now
        with at_rest(self.daemon), at_rest(self.bridge):
            await asyncio.sleep(seconds)  # the fault itself: nothing is waited for
        if not valid:
            assert not [m for m in self.client.messages[after:] if is_valid(m)]

    def _check(self) -> None:
        """Everything that was shown or published is in order and was measured."""
        published = self.notebook.messages
        _push_out_log(self.place.instrument_port)
        measured = [look for log in sorted(self._logs.iterdir()) for look in history.looks(log)]
        for messages in (published, *(other.messages for other in self._viewers)):
            history.check_order(messages, complete=messages is published)
            checked = history.check_values(
                messages, measured, within=TIMEOUT + SLACK, unlogged=self.unlogged
            )
            assert checked >= 2, f"{checked} of {len(messages)} messages say too little: {messages}"
        assert len({reading["epoch"] for reading in history.readings(published)}) <= (
            1 + self._daemons
        ), "the daemon died and somebody restarted it"

    def end(self) -> None:
        """End what runs: it does so well, and never met an error of its own."""
        for process in (self.daemon, self.bridge, self.simulator):
            assert process.terminate() == 0, process.output
            assert "Traceback" not in process.output, process.output


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
def stopped(process: Process) -> Iterator[None]:
    """Stopped by SIGSTOP while the context lasts."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


@contextlib.contextmanager
def at_rest(process: Process) -> Iterator[None]:
    """Less than `BUSY` of a core, and at most `MOST_LINES` of its log, while the context lasts."""
    started, used, lines = time.monotonic(), cpu_seconds(process), process.output.count("\n")
    yield
    share = (cpu_seconds(process) - used) / (time.monotonic() - started)
    assert share < BUSY, f"{process.name} used {share:.0%} of a core"
    logged = process.output.splitlines()[lines:]
    assert len(logged) <= MOST_LINES, f"{len(logged)} lines, of which {logged[:MOST_LINES]}"


def measure_milliwatts(port: int, module: int = 4) -> None:
    """Have a simulator's detectors read in mW: nine digits, so that no two looks are alike."""
    units = [f":CTP:SENS{module}:CHAN{c}:UNIT:Y MW" for c in range(1, 5)]
    _ask(port, ";".join([*units, "*OPC?"]))


def _push_out_log(port: int) -> None:
    """Have the simulator log more than its buffer holds, so that all before it is in the file."""
    _ask(port, ";".join([":CTP:SENS4:CHAN1:POW?"] * 500))


def _ask(port: int, message: str) -> None:
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        sock.sendall(message.encode() + b"\r\n")
        answer = b""
        while not answer.endswith(b"\r\n"):
            data = sock.recv(65536)
            assert data, answer
            answer += data


@contextlib.contextmanager
def line(logs: Path, *arguments: str, off: bool = False, direct: bool = False) -> Iterator[Line]:
    """A line in order, or with the instrument switched off, which ends with the context.

    `arguments` are the simulator's; `direct` leaves the proxy out of the way.
    """
    with stand() as place, FaultProxy(place.instrument_port) as proxy:
        link = Line(place, proxy, logs, place.address if direct else proxy.address)
        link.start_simulator(*arguments)
        measure_milliwatts(place.instrument_port)
        if off:
            proxy.off()
        link.start_daemon()
        link.start_bridge()
        yield link
        link.end()
