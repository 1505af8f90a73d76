"""One client's connection: websockets' own, with ready-made frames written past its send queue.

Owns the write path and its backpressure. What a client cannot take yet is bounded: the readings of
one tick, of which newer ones take the place, and a few events. Refuses to know what is in a frame.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import InvalidMessage
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from wsbridge.bucket import Bucket
from wsbridge.http import json_response
from wsbridge.message import JSON, Encoding, Message
from wsbridge.request import HealthRequest, PowerRequest

UNSENT: Final = 4096
"""Bytes that the kernel may hold unsent for one client: more would be old readings."""
MOST_EVENTS: Final = 64
"""Events that may wait for one client."""
EVENTS_OVERFLOW: Final = 4008
USER_TIMEOUT_MS: Final = 30_000
"""After this long without an acknowledgement the peer is dead, though nothing said so."""


class Owner(Protocol):
    """Who is told of a connection's life."""

    def opened(self, connection: Connection) -> None:
        """A TCP connection; what it wants is not known yet."""

    def finished(self, connection: Connection) -> None:
        """Nothing more can be sent to it; may be said more than once."""

    def lost(self, connection: Connection) -> None:
        """It is gone."""

    def paused(self, connection: Connection) -> None:
        """It does not take what it was sent, for now."""

    def resumed(self, connection: Connection) -> None:
        """It took everything."""

    def written(self, messages: int, size: int) -> None:
        """To count: sent outside the common flush."""

    def conflated(self, messages: int) -> None:
        """To count: replaced by newer ones."""

    def dropped(self, messages: int, reason: str) -> None:
        """To count: given up."""


class Connection(ServerConnection):
    """A connection that the hub can write to; see `bucket.Client`."""

    owner: Owner
    push: Callable[[bytes], int]
    write: Callable[[bytes], None]

    def __init__(self, protocol: ServerProtocol, server: Server, **kwargs: Any) -> None:
        super().__init__(protocol, server, **kwargs)
        # The library explains a refused handshake in prose; our clients read JSON.
        protocol.reject = _reject  # type: ignore[method-assign]
        self.wanted: PowerRequest | HealthRequest | None = None
        self.encoding: Encoding = JSON
        self.bucket: Bucket | None = None
        self.reason = ""
        """Why this side ended it, in one word for metrics."""
        self.paused_since = 0.0
        self._joined_at = (0, 0)
        self._told = 0
        self._conflated = 0
        self._dropped = 0
        self._newest = b""
        self._newest_count = 0
        self._events: list[bytes] = []
        self._first_bytes = b""

    @property
    def code_of_end(self) -> int:
        """Close code as this side sent it; a client's own is echoed, and 1006 is none at all."""
        return self.protocol.close_sent.code if self.protocol.close_sent else 1006

    def join(self, bucket: Bucket) -> None:
        """From now on, what the bucket offers is due to this client."""
        self.bucket = bucket
        self._joined_at = (bucket.offered, bucket.conflated)
        if self.paused:  # by what it was told as it joined
            bucket.stall(self)

    def counts(self) -> tuple[int, int, int, int]:
        """Due, sent, conflated and dropped, of which the last three make the first.

        What waits at this moment is not due yet: it may still be sent or replaced.
        """
        offered = conflated = 0
        if self.bucket is not None:
            offered = self.bucket.offered - self._joined_at[0]
            conflated = self.bucket.conflated - self._joined_at[1]
        due = offered + self._told - self._newest_count - len(self._events)
        conflated += self._conflated
        return due, due - conflated - self._dropped, conflated, self._dropped

    # The hub's side

    def hold(self, frames: bytes, count: int) -> None:
        """Keep readings until there is room, in place of older ones."""
        if self._newest_count:
            self._conflated += self._newest_count
            self.owner.conflated(self._newest_count)
        self._newest, self._newest_count = frames, count

    def deliver(self, frames: bytes, count: int) -> None:
        """Write or hold readings that the common flush does not."""
        if self.protocol.state is not OPEN:
            return
        self._told += count
        if self.paused:
            self.hold(frames, count)
        else:
            self.write(frames)
            self.owner.written(count, len(frames))

    def tell(self, message: Message) -> None:
        """Write an event, or keep it until there is room. Too many: the connection is given up."""
        if self.protocol.state is not OPEN:
            return
        self._told += 1
        frame = message.frame(self.encoding)
        if not self.paused:
            self.write(frame)
            self.owner.written(1, len(frame))
            return
        self._events.append(frame)
        if len(self._events) > MOST_EVENTS:
            self.end(EVENTS_OVERFLOW, "events_overflow")

    def end(self, code: int, reason: str) -> None:
        """Give the connection up without waiting for it: a close frame if there is room, then cut.

        websockets' own close() would wait for a peer that does not read.
        """
        if self.reason:
            return
        self.reason = reason
        waiting = self._newest_count + len(self._events)
        self._dropped += waiting
        self.owner.dropped(waiting, reason)
        self._newest, self._newest_count = b"", 0
        self._events.clear()
        self.owner.finished(self)
        if self.protocol.state is OPEN:
            self.protocol.send_close(code, reason)
            for data in self.protocol.data_to_send():
                if data:
                    self.transport.write(data)
        self.transport.abort()

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        super().pause_writing()
        if self.bucket is not None:
            self.bucket.stall(self)
        self.paused_since = self.loop.time()
        self.owner.paused(self)

    def resume_writing(self) -> None:
        """Everything written before is with the kernel: write what waited."""
        super().resume_writing()
        self._write_waiting()
        if self.bucket is not None and not self.paused:
            self.bucket.go_on(self)
        self.owner.resumed(self)

    def _write_waiting(self) -> None:
        if self.protocol.state is not OPEN:
            return
        if self._events:
            events, count = b"".join(self._events), len(self._events)
            self._events.clear()
            self.write(events)
            self.owner.written(count, len(events))
        if self._newest_count and not self.paused:
            newest, count = self._newest, self._newest_count
            self._newest, self._newest_count = b"", 0
            self.write(newest)
            self.owner.written(count, len(newest))

    def _push_nothing(self, _: bytes) -> int:
        """Where bytes cannot go straight to the socket, `write` gets them all."""
        return 0

    # asyncio's side

    def connection_made(self, transport: Any) -> None:
        """Tune the socket, and tell the owner."""
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        super().connection_made(transport)
        self.write = self.transport.write
        self.push = _direct(transport) or self._push_nothing
        self.owner.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self.owner.finished(self)
        self.owner.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; a close frame among them ends the stream before anything else is sent."""
        if self.request is None:
            self._first_bytes = (self._first_bytes + data)[:16]
        super().data_received(data)
        if self.wanted is not None and self.protocol.state is not OPEN:
            self.owner.finished(self)

    def send_data(self) -> None:
        """Write what the protocol has to say; to what is no HTTP at all, say so before the end."""
        if self.request is None and isinstance(self.protocol.handshake_exc, InvalidMessage):
            method = self._first_bytes.partition(b" ")[0]
            if method.isalpha() and method.isupper() and method not in (b"GET", b"HEAD"):
                refusal = json_response(405, {"error": "only GET without a body is allowed"})
            else:
                refusal = json_response(400, {"error": "not a valid HTTP request"})
            if self._first_bytes:
                self.transport.write(refusal.serialize())
                self._first_bytes = b""
        super().send_data()


def _reject(status: int, text: str) -> Response:
    return json_response(int(status), {"error": " ".join(text.split())})


def _direct(transport: asyncio.BaseTransport) -> Callable[[bytes], int] | None:
    """The socket's own send(), where bytes may go to it past the transport's empty buffer.

    That saves a third of what a delivery costs beyond the kernel's share. None under TLS, and on a
    loop whose transports are not asyncio's: there the transport does it.
    """
    if transport.get_extra_info("ssl_object") is not None:
        return None
    inner = getattr(transport.get_extra_info("socket"), "_sock", None)
    # The socket object, not its number: closed, it raises, while the number may be another's.
    return inner.send if isinstance(inner, socket.socket) else None
