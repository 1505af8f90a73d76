"""A TCP proxy before the instrument that does on cue what lines, switches and instruments do.

It knows questions and answers by their line ends and nothing of SCPI. One thread; all that it
opens ends with its `with` block. A fault holds for old and new connections until the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self

DEADLINE: Final = 20.0  # generous: only a test that already failed waits this long
DRIP: Final = 0.03
"""Seconds between two bytes."""
_SMALL: Final = 2304
"""Bytes: the least receive buffer that Linux gives."""


class End(enum.Enum):
    """How a connection ends."""

    FINISH = "FIN"
    RESET = "RST"


Step = tuple[float, bytes | End]
"""What the daemon gets, so many seconds after the step before it."""
Fault = Callable[[bytes], Sequence[Step]]
"""What becomes of one answer line."""
Which = Callable[[bytes], bool]
"""Of which questions the answers suffer."""


def powers(question: bytes) -> bool:
    """The questions for a module's powers, and for nothing else."""
    return b"POWer?" in question and b"IDN" not in question


class FaultProxy:
    """Forwards to a port of 127.0.0.1 until told otherwise. Methods are for the test's thread."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._changed = threading.Condition()
        self._fault: Fault | None = None
        self._which: Which = powers
        self._left: int | None = None
        self._applied = 0
        self._black_hole = self._deaf = False
        self._clients: set[_Client] = set()
        self._left_over: list[bytes] = []
        self._errors: list[dict[str, Any]] = []
        self._listener: asyncio.Server | None = None
        self._unplugged: list[socket.socket] = []
        self._bound: Future[int] = Future()
        self._thread = threading.Thread(target=self._main, name="fault proxy", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.port: int
        #: Connections that were accepted.
        self.accepted = 0

    @property
    def address(self) -> str:
        """VISA address of the instrument behind it."""
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._bound.result(DEADLINE)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the fault proxy did not stop"
        assert exc is not None or not self._errors, self._errors

    # --- faults of the line ------------------------------------------------------------------

    def forward(self) -> None:
        """Nothing is wrong any more. What fell silent in a black hole stays so: it is half open."""
        self._set(None)

    def off(self) -> None:
        """Refuse connections, and reset those that there are: switched off, or restarting."""
        self._set(None, self._go_off())

    def unplug(self) -> None:
        """Do not even refuse: connection requests get no answer, and connections fall silent."""
        self._set(None, self._go_off(answering=False))

    def black_hole(self) -> None:
        """Take everything and forward nothing. The instrument sees its connections go."""
        self._set(None, black_hole=True)

    def stop_reading(self) -> None:
        """Accept, forward answers, and read nothing, with little room for what is sent."""
        self._set(None, deaf=True)

    def hang_up(self, end: End) -> None:
        """End every connection now, whatever is under way on it; then forward."""
        self._set(None, self._end_all(end))

    # --- faults of answers; `times` answers to questions for which `which` is true -----------

    def swallow(self, *, which: Which = powers, times: int | None = None) -> None:
        """Lose the answer: the instrument hangs, its connection is fine."""
        self._set(lambda _: [], which=which, times=times)

    def delay(self, seconds: float, *, which: Which = powers, times: int | None = None) -> None:
        """Hold the answer back."""
        self._set(lambda line: [(seconds, line)], which=which, times=times)

    def truncate(
        self, keep: int, rest: bytes = b"", *, which: Which = powers, times: int | None = None
    ) -> None:
        """Forward so many bytes of the answer and `rest` in place of the others."""
        self._set(lambda line: [(0, line[:keep] + rest)], which=which, times=times)

    def cut(self, keep: int, end: End, *, which: Which = powers, times: int | None = None) -> None:
        """Forward so many bytes of the answer, then end the connection."""
        self._set(lambda line: [(0, line[:keep]), (0, end)], which=which, times=times)

    def corrupt(
        self, index: int, mask: int = 0x80, *, which: Which = powers, times: int | None = None
    ) -> None:
        """Flip the bits of `mask` in one byte of the answer; a negative index counts from its end.

        The highest bit by default: no answer has it, so that a client can know.
        """

        def flip(line: bytes) -> Sequence[Step]:
            changed = bytearray(line)
            changed[index] ^= mask
            return [(0, bytes(changed))]

        self._set(flip, which=which, times=times)

    def double(self, gap: float = 0.0, *, which: Which = powers, times: int | None = None) -> None:
        """Send the answer twice: in one piece, or the second time `gap` seconds later."""
        if gap:
            self._set(lambda line: [(0, line), (gap, line)], which=which, times=times)
        else:
            self._set(lambda line: [(0, line + line)], which=which, times=times)

    def drip(self, *, which: Which = powers, times: int | None = None) -> None:
        """Forward the answer a byte at a time, and digits for a minute in place of its end."""
        digits = b"0" * int(60 / DRIP)
        self._set(
            lambda line: [(DRIP, bytes((byte,))) for byte in line.rstrip() + digits],
            which=which,
            times=times,
        )

    def leave_over(self, *, which: Which = powers) -> None:
        """Lose one answer, and give it to the next connection before anything is asked there."""
        self._set(self._keep, which=which, times=1)

    def wait(self, count: int = 1, timeout: float = DEADLINE) -> None:
        """Until the fault in force met `count` answers."""
        with self._changed:
            met = self._changed.wait_for(lambda: self._applied >= count, timeout)
        assert met, f"the fault met {self._applied} answers, not {count}"

    # --- the thread ------------------------------------------------------------------------

    def _set(
        self,
        fault: Fault | None,
        change: Coroutine[Any, Any, None] | None = None,
        *,
        which: Which = powers,
        times: int | None = None,
        black_hole: bool = False,
        deaf: bool = False,
    ) -> None:
        async def apply() -> None:
            with self._changed:
                self._fault, self._which, self._left, self._applied = fault, which, times, 0
            self._black_hole, self._deaf = black_hole, deaf
            if change is not None:
                await change
            else:
                await self._listen()
            for client in self._clients:
                client.meet(black_hole, deaf)

        asyncio.run_coroutine_threadsafe(apply(), self._loop).result(DEADLINE)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._bound.done():
                raise
            self._bound.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda _, context: self._errors.append(context))
        self.port = 0
        await self._listen()
        self._bound.set_result(self.port)
        await self._stop.wait()
        await self._go_off()

    async def _listen(self) -> None:
        while self._unplugged:
            self._unplugged.pop().close()
        if self._listener is None:
            sock = self._socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)  # accepted ones inherit it
            self._listener = await self._loop.create_server(lambda: _Client(self), sock=sock)
            self.port = sock.getsockname()[1]

    async def _go_off(self, *, answering: bool = True) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        while self._unplugged:
            self._unplugged.pop().close()
        for client in list(self._clients):
            if answering:
                client.end(End.RESET)
            else:
                client.meet(black_hole=True, deaf=False)
        while answering and self._clients:  # noqa: ASYNC110
            await asyncio.sleep(0)  # their transports close in a moment
        if not answering:
            listener = self._socket()
            listener.listen(0)
            # One connection that nobody accepts fills the queue: requests after it are ignored.
            filler = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
            self._unplugged += [listener, filler]

    def _socket(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        return sock

    async def _end_all(self, end: End) -> None:
        for client in list(self._clients):
            client.end(end)

    def _keep(self, line: bytes) -> Sequence[Step]:
        self._left_over.append(line)
        return []

    # What the connections ask

    def enter(self, client: _Client) -> bytes:
        """A connection is there; what it gets unasked."""
        self._clients.add(client)
        self.accepted += 1
        client.meet(self._black_hole, self._deaf)
        greeting = b"".join(self._left_over)
        self._left_over.clear()
        return greeting

    def leave(self, client: _Client) -> None:
        """A connection is gone."""
        self._clients.discard(client)

    def connect(self, client: _Client) -> asyncio.Task[None]:
        """Connect a client to the instrument; what keeps it from there resets the client."""

        async def connect() -> None:
            try:
                await self._loop.create_connection(
                    lambda: _Instrument(client), "127.0.0.1", self._target
                )
            except OSError:
                client.end(End.RESET)

        return self._loop.create_task(connect())

    def fate(self, question: bytes, line: bytes) -> Sequence[Step]:
        """What becomes of an answer."""
        with self._changed:
            if self._fault is None or self._left == 0 or not self._which(question):
                return [(0, line)]
            if self._left is not None:
                self._left -= 1
            self._applied += 1
            self._changed.notify_all()
            return self._fault(line)


class _Client(asyncio.Protocol):
    """The daemon's side of a connection."""

    _transport: asyncio.Transport

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._instrument: _Instrument | None = None
        self._task: asyncio.Task[None] | None = None
        self._dead = False
        self._buffer = b""
        self._questions: deque[bytes] = deque()
        self._steps: deque[Step] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = self._proxy.enter(self)
        if greeting:
            transport.write(greeting)
        if not self._dead:
            self._task = self._proxy.connect(self)

    def meet(self, black_hole: bool, deaf: bool) -> None:
        """A fault of the line began, or ended."""
        if black_hole:
            self._dead = True
            if self._instrument is not None:
                self._instrument.hang_up()
        if deaf:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def connected(self, instrument: _Instrument) -> None:
        """The instrument is there."""
        self._instrument = instrument
        if self._dead or self._transport.is_closing():
            instrument.hang_up()
        self._pass_on()

    def data_received(self, data: bytes) -> None:
        if not self._dead:
            self._buffer += data
            self._pass_on()

    def _pass_on(self) -> None:
        if self._instrument is None:
            return
        *questions, self._buffer = self._buffer.split(b"\n")
        for question in questions:
            self._questions.append(question)
            self._instrument.ask(question + b"\n")

    def answered(self, line: bytes) -> None:
        """The instrument's answer to the oldest question, with its line end."""
        question = self._questions.popleft() if self._questions else b""
        self._steps.extend(self._proxy.fate(question, line))
        if self._timer is None:
            self._go_on()

    def _go_on(self) -> None:
        self._timer = None
        while self._steps and not self._transport.is_closing():
            delay, what = self._steps.popleft()
            if delay:
                self._steps.appendleft((0, what))
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(delay, self._go_on)
                return
            if isinstance(what, End):
                self.end(what)
            elif not self._dead:
                self._transport.write(what)

    def end(self, end: End) -> None:
        """End the connection."""
        if end is End.RESET:
            linger = struct.pack("ii", 1, 0)
            with contextlib.suppress(OSError):  # it may be closed already
                sock = self._transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        else:
            self._dead = True
            self._transport.write_eof()
            if self._instrument is not None:
                self._instrument.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.leave(self)
        self._steps.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and not self._task.done():
            self._task.cancel()
        if self._instrument is not None:
            self._instrument.hang_up()

    def instrument_lost(self, error: Exception | None) -> None:
        """The instrument ended its side: so does the proxy, in the same way."""
        if not self._dead and not self._transport.is_closing():
            self.end(End.FINISH if error is None else End.RESET)


class _Instrument(asyncio.Protocol):
    """The instrument's side of a connection."""

    _transport: asyncio.Transport

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client.connected(self)

    def ask(self, question: bytes) -> None:
        """Forward a question."""
        if not self._transport.is_closing():
            self._transport.write(question)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._client.answered(line + b"\n")

    def hang_up(self) -> None:
        """End it at once."""
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.instrument_lost(exc)
