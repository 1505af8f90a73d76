"""A plain ZeroMQ socket on an asyncio loop, without zmq.asyncio's several calls a message.

Owns waking up and draining; what is received goes to a callback, on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import zmq
from zmq.utils.monitor import parse_monitor_message

BATCH = 256


class SocketReader:
    """Calls `on_message(frames)` for each message on `socket`, `on_batch_end()` after a burst.

    ZeroMQ's descriptor is edge-triggered: it signals once, and sending may swallow the signal. So
    each wake drains the socket, and whoever sends on it calls `kick` afterwards.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        on_message: Callable[[Sequence[bytes]], None],
        on_batch_end: Callable[[], None] = lambda: None,
        batch: int = BATCH,
    ) -> None:
        """`batch` messages at most are taken before the loop's other callbacks get their turn."""
        self._socket = socket
        self._on_message = on_message
        self._on_batch_end = on_batch_end
        self._batch = batch
        self._loop = asyncio.get_running_loop()
        self._scheduled: asyncio.Handle | None = None
        self._fd = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._drain)
        self.kick()

    def kick(self) -> None:
        """Look for messages soon."""
        if self._scheduled is None:
            self._scheduled = self._loop.call_soon(self._drain)

    def close(self) -> None:
        """Stop reading; the socket stays the caller's."""
        self._loop.remove_reader(self._fd)
        if self._scheduled is not None:
            self._scheduled.cancel()

    def _drain(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        for count in range(self._batch):
            if not int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN:
                if count:
                    self._on_batch_end()
                return
            self._on_message(self._socket.recv_multipart(zmq.NOBLOCK))
        self._on_batch_end()
        self.kick()


class PeerMonitor:
    """Calls `on_stranger()` for each connection to `socket` that ended without a ZMTP handshake."""

    def __init__(self, socket: zmq.Socket[bytes], on_stranger: Callable[[], None]) -> None:
        """To be made before the socket is bound."""
        self._socket = socket
        self._on_stranger = on_stranger
        self._known: set[int] = set()
        self._monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._reader = SocketReader(self._monitor, self._on_event)

    def close(self) -> None:
        """Stop monitoring, before the socket is closed."""
        self._reader.close()
        self._socket.disable_monitor()

    def _on_event(self, frames: Sequence[bytes]) -> None:
        event = parse_monitor_message(list(frames))
        descriptor = event["value"]
        if event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._known.add(descriptor)
        elif descriptor in self._known:
            self._known.discard(descriptor)
        else:
            self._on_stranger()


def tune(socket: zmq.Socket[bytes]) -> None:
    """Options that every socket of ours has: no lingering, brisk reconnects, dead peers noticed."""
    socket.linger = 0
    socket.setsockopt(zmq.RECONNECT_IVL, 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 5)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 2)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
