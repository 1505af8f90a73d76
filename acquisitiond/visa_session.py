"""The pyvisa-py session behind `TCPIP::host::port::SOCKET`, repaired.

Owns the socket and its receive buffer. Replaces pyvisa-py's own session, which opens a refused
connection, spins at end-of-file, resets its timeout with each byte and writes without any. Refuses
to go on after a fault (its owner must reopen) and knows nothing of SCPI.
"""

import contextlib
import errno
import os
import queue
import select
import socket
import threading
import time
from typing import Any, Final, Literal

from pyvisa.constants import InterfaceType, StatusCode
from pyvisa_py.sessions import Session
from pyvisa_py.tcpip import TCPIPSocketSession

FaultKind = Literal[
    "refused", "unreachable", "timeout", "closed", "desynchronised", "invalid", "overrun"
]

LINE_LIMIT: Final = 64 * 1024

# A dead peer is noticed in about three seconds. Looked up by name because only Linux has them all.
_TCP_OPTIONS: Final = {
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": 1,
    "TCP_KEEPINTVL": 1,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 3000,
}

_FAULTS: Final[dict[int | None, tuple[FaultKind, str]]] = {
    errno.ECONNREFUSED: ("refused", "refused the connection"),
    errno.ETIMEDOUT: ("timeout", "no longer acknowledges anything"),
    errno.ECONNRESET: ("closed", "reset the connection"),
    errno.EPIPE: ("closed", "closed the connection"),
    errno.ENOTCONN: ("closed", "closed the connection"),
}


class LinkError(Exception):
    """What the link can do wrong: `kind` is for programs, `str()` is one sentence for people."""

    def __init__(self, kind: FaultKind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind: FaultKind = kind


class DeadlineSocketSession(TCPIPSocketSession):  # type: ignore[misc]  # pyvisa-py is untyped
    """One connection, one thread; only `interrupt` may come from another.

    Faults are raised as `LinkError` and pass through PyVISA as they are: a VISA status code could
    not say which of them it was.
    """

    # What the untyped base class sets.
    interface: Any
    _pending_buffer: bytearray

    #: True: `read` returns one line. False: `read` returns exactly the bytes asked for.
    termchar_enabled: bool = True

    #: What may still follow a block and is no answer: CR LF, LF, or nothing any more.
    _trailer: bytes = b""
    _interrupted: bool = False

    def begin(self, timeout: float, idle_timeout: float | None = None) -> None:
        """Start an exchange: all of it within `timeout`, no silence longer than `idle_timeout`."""
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._idle_timeout = idle_timeout

    def write(self, data: bytes) -> tuple[int, StatusCode]:
        """Send all of `data`, unless something arrived that nobody asked for."""
        self._refuse_unsolicited()
        rest = data
        while rest:
            try:
                rest = rest[self.interface.send(rest) :]
            except BlockingIOError:
                self._wait(self._writable, "takes no more data")
            except OSError as error:
                raise self._fault(error) from error
        return len(data), StatusCode.success

    def read(self, count: int) -> tuple[bytes, StatusCode]:
        """Return one line with its terminator, or exactly `count` bytes."""
        if self.termchar_enabled:
            return self._read_line(), StatusCode.success_termination_character_read
        # Not success_max_count_read, which PyVISA would report as a warning each time.
        return self._read_exactly(count), StatusCode.success

    def end_answer(self, *, block: bool) -> None:
        """Refuse bytes beyond the answer just read; a line end may follow a block, even later.

        An answer that is read after its deadline is refused too, though it may have come in time:
        a process that was stopped meanwhile would give out the past as the present.
        """
        if time.monotonic() > self._deadline:
            raise self._late("was not heard")
        if block:
            self._trailer = b"\r\n"
            self._pending_buffer = bytearray(self._without_trailer(bytes(self._pending_buffer)))
        if self._pending_buffer:
            raise self._desynchronised("sent more than the answer that was asked for")

    def interrupt(self) -> None:
        """From any thread: end what the owner waits for; it then sees a closed connection."""
        with self._closing:
            self._interrupted = True
            if self.interface is not None:
                with contextlib.suppress(OSError):  # the peer may have gone first
                    self.interface.shutdown(socket.SHUT_RDWR)

    def close(self) -> StatusCode:
        """Close the socket. A lock, so that `interrupt` never meets a file descriptor used anew."""
        with self._closing:
            if self.interface is not None:
                self.interface.close()
                self.interface = None
        return StatusCode.success

    def clear(self) -> StatusCode:
        """Refuse: discarding what arrives cannot tell a late answer from the next one. Reopen."""
        return StatusCode.error_nonsupported_operation

    # --- opening; called by the base class -------------------------------------------------

    def _connect(self) -> StatusCode:
        self._peer = f"{self.parsed.host_address}:{self.parsed.port}"
        self._closing = threading.Lock()
        self._block = bytearray()
        self.begin(self.open_timeout / 1000)
        fault = None
        for address in self._resolve(self.parsed.host_address, int(self.parsed.port)):
            try:
                self._connect_to(address)
                return StatusCode.success
            except LinkError as error:
                fault = error
            except OSError as error:
                fault = self._fault(error)
            self.close()
        raise fault or LinkError("unreachable", f"{self._peer} has no IPv4 address")

    def _connect_to(self, address: tuple[str, int]) -> None:
        self.interface = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(sock, select.POLLIN)
        self._writable.register(sock, select.POLLOUT)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            self._wait(self._writable, "does not answer the connection request")
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # On loopback a free port may be given to the very socket that looks for it.
        if code == 0 and sock.getsockname() == sock.getpeername():
            code = errno.ECONNREFUSED
        if code != 0:
            raise OSError(code, os.strerror(code))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _TCP_OPTIONS.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        """Look a name up within the deadline: the resolver has none, so it gets its own thread."""
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM))
            except (OSError, ValueError) as error:  # ValueError: no such name could exist
                answers.put(error)

        threading.Thread(target=look_up, name="resolve", daemon=True).start()
        try:
            found = answers.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except queue.Empty:
            raise self._late("could not be looked up") from None
        if isinstance(found, Exception):
            raise LinkError("unreachable", f"{self._peer} could not be found: {found}") from found
        return [entry[4] for entry in found]

    # --- bytes -------------------------------------------------------------------------------

    def _read_line(self) -> bytes:
        buffer = self._pending_buffer
        searched = 0
        while (end := buffer.find(b"\n", searched)) < 0 and len(buffer) < LINE_LIMIT:
            searched = len(buffer)
            buffer += self._receive()
        if not 0 <= end < LINE_LIMIT:
            raise LinkError(
                "overrun", f"{self._peer} sent a line longer than {LINE_LIMIT // 1024} KiB"
            )
        line = bytes(buffer[: end + 1])
        del buffer[: end + 1]
        return line

    def _read_exactly(self, count: int) -> bytes:
        while count and not self._pending_buffer:
            self._pending_buffer += self._receive()
        filled = min(count, len(self._pending_buffer))
        # Kept from block to block: fresh megabytes each time are fresh pages each time, and a trace
        # of 3.76 MB on loopback then took 4 ms instead of 1.2.
        if len(self._block) < count:
            self._block = bytearray(count)
        with memoryview(self._block) as view:
            view[:filled] = self._pending_buffer[:filled]
            del self._pending_buffer[:filled]
            while filled < count:
                self._wait(self._readable, f"stopped after {filled} of {count} bytes")
                try:
                    received = self.interface.recv_into(view[filled:count])
                except OSError as error:
                    raise self._fault(error) from error
                if not received:
                    raise self._gone()
                filled += received
            return bytes(view[:count])

    def _receive(self) -> bytes:
        """Wait for the next bytes; empty if they were only the line end of a block before."""
        self._wait(self._readable, "gave no complete answer")
        try:
            data: bytes = self.interface.recv(LINE_LIMIT)
        except OSError as error:
            raise self._fault(error) from error
        if not data:
            raise self._gone()
        return self._without_trailer(data) if self._trailer else data

    def _without_trailer(self, data: bytes) -> bytes:
        if self._trailer == b"\r\n" and data.startswith(b"\r"):
            self._trailer, data = b"\n", data[1:]
        if not data:
            return data
        if self._trailer == b"\n" and not data.startswith(b"\n"):
            raise self._desynchronised("sent a lone carriage return after a block")
        self._trailer = b""
        return data.removeprefix(b"\n")

    def _refuse_unsolicited(self) -> None:
        while not self._pending_buffer and self._readable.poll(0):
            self._pending_buffer += self._receive()
        if self._pending_buffer:
            raise self._desynchronised("sent something that was not asked for")

    def _wait(self, poller: select.poll, complaint: str) -> None:
        left = self._deadline - time.monotonic()
        if self._idle_timeout is not None and self._idle_timeout < left:
            if not poller.poll(self._idle_timeout * 1000):
                sentence = f"{self._peer} {complaint} and fell silent for {self._idle_timeout:g} s"
                raise LinkError("timeout", sentence)
        elif left <= 0 or not poller.poll(left * 1000):
            raise self._late(complaint)

    # --- faults ------------------------------------------------------------------------------

    def _late(self, complaint: str) -> LinkError:
        return LinkError("timeout", f"{self._peer} {complaint} within {self._timeout:g} s")

    def _desynchronised(self, complaint: str) -> LinkError:
        return LinkError("desynchronised", f"{self._peer} {complaint}")

    def _gone(self) -> LinkError:
        return self._fault(BrokenPipeError(errno.EPIPE, "end of file"))

    def _fault(self, error: OSError) -> LinkError:
        if self._interrupted:
            return LinkError("closed", f"the link to {self._peer} was interrupted")
        kind, complaint = _FAULTS.get(
            error.errno, ("unreachable", f"cannot be reached: {error.strerror}")
        )
        return LinkError(kind, f"{self._peer} {complaint}")


# The public decorator would log a warning that a session is already registered: that is the point.
_KEY: Final = (InterfaceType.tcpip, "SOCKET")
Session._session_classes.pop(_KEY, None)
Session.register(*_KEY)(DeadlineSocketSession)
