"""The link to the instrument: one question, one answer, within one deadline, through PyVISA.

Owns one open resource, the framing of messages, lines and IEEE 488.2 blocks, and the rule that an
answer is never attributed to another question: after any `LinkError` the link is closed and must
be opened anew. Refuses to retry, to reconnect, and to interpret what an answer means.
"""

import contextlib
import math
from typing import Any, Final, cast

import pyvisa
from pyvisa import rname
from pyvisa.resources import Resource

from acquisitiond.visa_session import LINE_LIMIT, DeadlineSocketSession, FaultKind, LinkError

__all__ = ["BLOCK_LIMIT", "LINE_LIMIT", "FaultKind", "Link", "LinkError", "open_link"]

BLOCK_LIMIT: Final = 64 * 1024 * 1024


def open_link(address: str, *, connect_timeout: float) -> "Link":
    """Connect to `TCPIP::host::port::SOCKET`; name look-up and connection share the deadline."""
    _check_address(address)
    # PyVISA hands out the same manager each time, for as long as anything uses it.
    manager = pyvisa.ResourceManager("@py")
    milliseconds = max(1, math.ceil(connect_timeout * 1000))
    return Link(address, manager.open_resource(address, open_timeout=milliseconds))


def _check_address(address: str) -> None:
    wanted = "write it as TCPIP::host::port::SOCKET"
    try:
        parsed = rname.ResourceName.from_string(address)
    except rname.InvalidResourceName:
        raise LinkError("invalid", f"{address!r} is no instrument address: {wanted}") from None
    if not isinstance(parsed, rname.TCPIPSocket):
        raise LinkError("invalid", f"{address!r} is not a TCP socket: {wanted}")
    port = parsed.port
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise LinkError("invalid", f"{address!r} has no port between 1 and 65535: {wanted}")


class Link:
    """One connection. One thread owns it; only `interrupt` may be called from another."""

    def __init__(self, address: str, resource: Resource) -> None:
        self.address = address
        self.usable = True
        self._resource = resource
        self._handle = resource.session
        # Any: the session table belongs to pyvisa-py, whose library class is untyped.
        self._visalib = cast("Any", resource.visalib)
        self._session: DeadlineSocketSession = self._visalib.sessions[self._handle]

    def query(self, message: str, timeout: float) -> str:
        """Send one program message and return its answer line without the line end."""
        data = _encode(message)
        self._begin(timeout)
        try:
            self._visalib.write(self._handle, data)
            line = self._read(LINE_LIMIT)
            self._session.end_answer(block=False)
        except BaseException:  # even a KeyboardInterrupt leaves an answer on its way
            self.close()
            raise
        return line[:-1].removesuffix(b"\r").decode("ascii", "replace")

    def query_block(self, message: str, timeout: float, *, idle_timeout: float) -> bytes:
        """Send one program message and return the payload of the definite-length block it gets.

        `idle_timeout` bounds each wait for more bytes, that for the first one included.
        """
        data = _encode(message)
        self._begin(timeout, idle_timeout)
        try:
            self._visalib.write(self._handle, data)
            self._session.termchar_enabled = False
            payload = self._read(self._block_length())
            self._session.termchar_enabled = True
            self._session.end_answer(block=True)
        except BaseException:
            self.close()
            raise
        return payload

    def write(self, message: str, timeout: float) -> None:
        """Send one program message that has no answer."""
        data = _encode(message)
        self._begin(timeout)
        try:
            self._visalib.write(self._handle, data)
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """From another thread: let a call that waits end at once with `LinkError("closed")`."""
        self._session.interrupt()

    def close(self) -> None:
        """Close the connection. May be called again; never blocks, never raises."""
        if not self.usable:
            return
        self.usable = False
        with contextlib.suppress(pyvisa.Error):
            self._resource.close()
        # pyvisa-py keeps a closed session for ever, PyVISA its status: a daemon that reconnects
        # for months would collect them.
        lib = self._visalib
        for table in (lib.sessions, lib.handlers, lib._last_status_in_session):
            table.pop(self._handle, None)

    def _begin(self, timeout: float, idle_timeout: float | None = None) -> None:
        if not self.usable:
            raise LinkError("closed", f"the link to {self.address} is closed")
        self._session.begin(timeout, idle_timeout)

    def _read(self, count: int) -> bytes:
        data: bytes = self._visalib.read(self._handle, count)[0]
        return data

    def _block_length(self) -> int:
        mark = self._read(1)
        if mark != b"#":
            raise self._no_block("something else than a block")
        digits = self._read(1)
        if digits not in b"123456789":
            raise self._no_block("a block without a definite length")
        length = self._read(int(digits))
        if not length.isdigit():
            raise self._no_block(f"a block with the length {length!r}")
        if int(length) > BLOCK_LIMIT:
            limit = BLOCK_LIMIT // (1024 * 1024)
            raise LinkError("overrun", f"{self.address} announced a block beyond {limit} MiB")
        return int(length)

    def _no_block(self, what: str) -> LinkError:
        return LinkError("desynchronised", f"{self.address} answered with {what}")


def _encode(message: str) -> bytes:
    if "\n" in message or "\r" in message:
        raise ValueError(f"one program message is one line: {message!r}")
    return message.encode("ascii") + b"\r\n"
