"""One client's connection: websockets' own, with ready-made frames written past its send queue.

Owns the write path and its backpressure. What a client cannot take yet is bounded: one tick's
readings, of which newer ones take the place, and a few events. Refuses to know what is in a frame.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection
from websockets.exceptions import InvalidMessage
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from wsbridge.http import json_response
from wsbridge.request import HealthRequest, PowerRequest

UNSENT: Final = 4096
"""Bytes that the kernel may hold unsent for one client: more would be old readings."""
MOST_EVENTS: Final = 64
"""Events that may wait for one client."""
USER_TIMEOUT_MS: Final = 30_000
"""After this long without an acknowledgement the peer is dead, though nothing said so."""


class Connection(ServerConnection):
    """A connection that the hub can write to. `opened` and `lost` tell its owner of its life."""

    opened: Callable[[Connection], None]
    lost: Callable[[Connection], None]
    finished: Callable[[Connection], None]

    def __init__(self, protocol: ServerProtocol, server: Server, **kwargs: Any) -> None:
        super().__init__(protocol, server, **kwargs)
        # The library explains a refused handshake in prose; our clients read JSON.
        protocol.reject = _reject  # type: ignore[method-assign]
        self.wanted: PowerRequest | HealthRequest | None = None
        self.sent = 0
        self.conflated = 0
        self.dropped = 0
        self._newest = b""
        self._newest_count = 0
        self._events: list[bytes] = []
        self._first_bytes = b""

    @property
    def code_of_end(self) -> int:
        """Close code as this side sent it; a client's own is echoed, and 1006 is none at all."""
        return self.protocol.close_sent.code if self.protocol.close_sent else 1006

    # The hub's side

    def offer(self, frames: bytes, count: int) -> None:
        """Write `count` readings, or keep them in place of older ones until there is room."""
        if not self.paused:
            self.transport.write(frames)
            self.sent += count
        elif self.protocol.state is OPEN:
            self.conflated += self._newest_count
            self._newest, self._newest_count = frames, count

    def tell(self, frame: bytes) -> None:
        """Write an event, or keep it until there is room. Too many: the connection is given up."""
        if self.protocol.state is not OPEN:
            return
        if not self.paused:
            self.transport.write(frame)
            self.sent += 1
        elif len(self._events) < MOST_EVENTS:
            self._events.append(frame)
        else:
            self.dropped += len(self._events) + 1
            self._events.clear()
            self.transport.abort()

    def resume_writing(self) -> None:
        """Everything written before is with the kernel: write what waited."""
        super().resume_writing()
        if self.protocol.state is not OPEN:
            return
        if self._events:
            self.sent += len(self._events)
            events = b"".join(self._events)
            self._events.clear()
            self.transport.write(events)
        if self._newest and not self.paused:
            self.sent += self._newest_count
            newest, self._newest, self._newest_count = self._newest, b"", 0
            self.transport.write(newest)

    # asyncio's side

    def connection_made(self, transport: Any) -> None:
        """Tune the socket, and tell the owner."""
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        super().connection_made(transport)
        self.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self.finished(self)
        self.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; a close frame among them ends the stream before anything else is sent."""
        if self.request is None:
            self._first_bytes = (self._first_bytes + data)[:16]
        super().data_received(data)
        if self.wanted is not None and self.protocol.state is not OPEN:
            self.finished(self)

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
