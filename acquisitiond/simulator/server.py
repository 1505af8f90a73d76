"""Owns the TCP side: sessions, terminators, latency, and every bound that keeps a peer harmless.

Knows no command. Refuses sessions past `MOST_SESSIONS`, messages past `LONGEST_MESSAGE`, and to
read on from a peer that does not take its answers.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.instrument import Execution, Instrument

MOST_SESSIONS: Final = 8
LONGEST_MESSAGE: Final = 64 * 1024  # bytes, without the terminator
_MOST_WAITING: Final = 256  # messages read but not executed; past it the peer is read no further
_WRITE_BUFFER: Final = 256 * 1024

_log = logging.getLogger(__name__)


class _Session(asyncio.Protocol):
    """One connection: cuts bytes into messages, executes them in order, sends the answers."""

    def __init__(self, sessions: "_Sessions") -> None:
        self._sessions = sessions
        self._buffer = bytearray()
        self._overrun = False
        self._waiting: deque[bytes | ScpiError] = deque()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sessions.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a peer may leave
        self._sessions.leave(self)

    def data_received(self, data: bytes) -> None:
        *ends, rest = data.split(b"\n")
        for piece in ends:
            self._collect(piece)
            if self._overrun:
                self._overrun = False
            else:
                self._waiting.append(bytes(self._buffer))
            self._buffer.clear()
        self._collect(rest)
        self._arrived.set()
        if len(self._waiting) > _MOST_WAITING and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _collect(self, piece: bytes) -> None:
        if self._overrun:
            return
        if len(self._buffer) + len(piece) > LONGEST_MESSAGE:
            self._overrun = True
            self._waiting.append(ScpiError(-363))
            self._buffer.clear()
            return
        self._buffer += piece

    def eof_received(self) -> bool:
        # What was sent before the peer closed is executed, as by the instrument.
        self._ended = True
        self._arrived.set()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def refuse(self) -> None:
        """End the connection in an orderly way: the peer reads an end of file."""
        self._transport.close()

    def hang_up(self) -> None:
        """End the connection at once, whatever is still under way."""
        self._transport.abort()

    async def run(self) -> None:
        """Execute messages as they come, until the peer has sent its last or is gone."""
        while self._waiting or not self._ended:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._answer(self._waiting.popleft())
                if self._waiting:
                    await asyncio.sleep(0)  # one session's flood is not the others' drought
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
        self._transport.close()

    async def _answer(self, message: bytes | ScpiError) -> None:
        if self._sessions.latency_s > 0:
            await asyncio.sleep(self._sessions.latency_s)
        if isinstance(message, ScpiError):
            self._sessions.instrument.report(message)
            return
        answer = await _drive(self._sessions.instrument.execute(message))
        if answer:
            self._transport.write(answer)
            await self._writable.wait()


class _Sessions:
    """The sessions there are, and the tasks that serve them."""

    tasks: asyncio.TaskGroup

    def __init__(self, instrument: Instrument, latency_s: float) -> None:
        self.instrument = instrument
        self.latency_s = latency_s
        self._closing = False
        self._open: dict[_Session, asyncio.Task[None]] = {}

    def enter(self, session: _Session) -> None:
        if self._closing:
            session.hang_up()
            return
        if len(self._open) >= MOST_SESSIONS:
            _log.warning("session refused: %d are open already", MOST_SESSIONS)
            session.refuse()
            return
        self._open[session] = self.tasks.create_task(session.run())

    def leave(self, session: _Session) -> None:
        if task := self._open.pop(session, None):
            task.cancel()

    def close(self) -> None:
        self._closing = True  # a connection accepted just now would never be told to end
        for session, task in self._open.items():
            session.hang_up()
            task.cancel()


async def _drive(execution: Execution) -> bytes:
    """Run an execution to its end, letting other sessions have their turn when it offers one."""
    try:
        while True:  # noqa: ASYNC110 - an execution says itself when to look again
            await asyncio.sleep(next(execution))
    except StopIteration as done:
        answer: bytes = done.value
        return answer


@asynccontextmanager
async def serve(
    instrument: Instrument, host: str, port: int, *, latency_s: float = 0.0
) -> AsyncIterator[tuple[str, int]]:
    """Serve an instrument while the context is open; gives the bound host and port.

    `latency_s` is added to each message of each session. Raises OSError when the address cannot
    be bound.
    """
    loop = asyncio.get_running_loop()
    sessions = _Sessions(instrument, latency_s)
    # Bound outside the group, so that an address in use is an OSError and not a group of one.
    listener = await loop.create_server(lambda: _Session(sessions), host, port, start_serving=False)
    try:
        async with asyncio.TaskGroup() as sessions.tasks:
            await listener.start_serving()
            name = listener.sockets[0].getsockname()
            try:
                yield name[0], name[1]
            finally:
                sessions.close()
    finally:
        listener.close()
