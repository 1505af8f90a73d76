"""All connections of one bridge: who is there, who is slow, what each is told in time.

Owns heartbeats, eviction and the drain, with one timer for all; refuses to know what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from websockets.asyncio.server import Server

from ctp10 import wire
from wsbridge.bucket import Subscription
from wsbridge.connection import Connection
from wsbridge.hub import Hub
from wsbridge.message import Message
from wsbridge.metrics import Metrics

Endpoint = Literal["power", "health"]

HEARTBEATS: Final[dict[Endpoint, int]] = {"power": 30, "health": 10}
"""Seconds between heartbeats: clients take 60 s of silence for death."""
SERVICE_RESTART: Final = 1012
LONGEST_SPREAD: Final = 30.0
RECONNECTS_A_SECOND: Final = 200
"""At which clients that were told to come back shall do so."""
CONFLATING_AFTER: Final = 1.0
"""Seconds without taking anything after which a client's stall is worth a word."""
EVICTED: Final = 4008
CLOSE_TIMEOUT: Final = 1.0
"""Seconds in which clients may answer the closing handshake before they are cut off."""


class Clients:
    """The `connection.Owner` of every connection."""

    def __init__(self, hub: Hub, metrics: Metrics, evict_after: float) -> None:
        self._hub = hub
        self._metrics = metrics
        self._evict_after = evict_after
        self._all: set[Connection] = set()
        self._streams: dict[Connection, tuple[Endpoint, int]] = {}
        """Open WebSockets, each with the tick at which it came."""
        self._paused: set[Connection] = set()
        self._tick = 0
        self.on_room: Callable[[], None] = lambda: None
        """Called when a connection has taken everything."""
        self.state: wire.State = "disconnected"
        """Of the instrument, as far as the bridge knows; see `set_state`."""

    def __len__(self) -> int:
        """How many WebSockets are open."""
        return len(self._streams)

    def connection_class(self) -> type[Connection]:
        """Connections that report to these clients."""
        return type("OwnedConnection", (Connection,), {"owner": self})

    # Streams

    def join(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Serve readings to a connection."""
        self._admit(connection, "power")
        connection.join(self._hub.join(connection, subscription, now))

    def join_later(self, connection: Connection) -> None:
        """Count a connection whose stream begins with what it missed; see `go_on`."""
        self._admit(connection, "power")

    def go_on(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Serve live readings to a connection that has every one up to now."""
        connection.join(self._hub.go_on(connection, subscription, now))

    def join_health(self, connection: Connection, status: Message | None) -> None:
        """Serve heartbeats, and the state of the instrument as it changes."""
        self._admit(connection, "health")
        connection.tell(self._heartbeat(connection, self._metrics.active_streams()))
        if status is not None:
            connection.tell(status)

    def tell_health(self, message: Message) -> None:
        """An event for everybody on the health stream."""
        for connection, (endpoint, _) in self._streams.items():
            if endpoint == "health":
                connection.tell(message)

    def set_state(self, state: wire.State) -> None:
        """The instrument's state, as far as the bridge knows; health streams hear of a change."""
        if state == self.state:
            return
        self.state = state
        active = self._metrics.active_streams()
        for connection, (endpoint, _) in self._streams.items():
            if endpoint == "health":
                connection.tell(self._heartbeat(connection, active))

    def _admit(self, connection: Connection, endpoint: Endpoint) -> None:
        self._streams[connection] = (endpoint, self._tick)
        self._metrics.connections.labels(endpoint, connection.encoding).inc()

    # connection.Owner

    def opened(self, connection: Connection) -> None:
        """A TCP connection; what it wants is not known yet."""
        self._all.add(connection)

    def finished(self, connection: Connection) -> None:
        """Nothing more can be sent to it; may be said more than once."""
        stream = self._streams.pop(connection, None)
        if stream is None:
            return
        if connection.bucket is not None:
            self._hub.leave(connection, connection.bucket.subscription)
        self._metrics.connections.labels(stream[0], connection.encoding).dec()

    def lost(self, connection: Connection) -> None:
        """It is gone."""
        self._all.discard(connection)
        self._paused.discard(connection)
        if connection.wanted is not None:
            self._metrics.closed.labels(connection.code_of_end, connection.reason).inc()

    def paused(self, connection: Connection) -> None:
        """It does not take what it was sent, for now."""
        self._paused.add(connection)

    def resumed(self, connection: Connection) -> None:
        """It took everything. After a stall it is told at once what that cost it."""
        if connection.paused:
            return  # what had waited filled it up again
        self._paused.discard(connection)
        self.on_room()
        stalled_for = connection.loop.time() - connection.paused_since
        if connection in self._streams and stalled_for >= CONFLATING_AFTER:
            connection.tell(self._heartbeat(connection, self._metrics.active_streams()))

    def written(self, messages: int, size: int) -> None:
        """To count."""
        self._metrics.sent.inc(messages)
        self._metrics.sent_bytes.inc(size)

    def conflated(self, messages: int) -> None:
        """To count."""
        self._metrics.conflated.inc(messages)

    def dropped(self, messages: int, reason: str) -> None:
        """To count."""
        self._metrics.dropped.labels(reason).inc(messages)

    # In time

    def flush(self) -> None:
        """Hand what is due to every client."""
        started = time.perf_counter()
        flushed = self._hub.flush()
        if flushed.messages:
            self.written(flushed.messages, flushed.bytes)
            self._metrics.fanout.observe(time.perf_counter() - started)

    def evict(self, now: float) -> None:
        """Cut off whoever took nothing for too long."""
        for connection in [c for c in self._paused if now - c.paused_since > self._evict_after]:
            connection.end(EVICTED, "evicted")

    async def heartbeats(self) -> None:
        """One timer for all: each second those are due that came that long ago. For ever."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for self._tick in itertools.count(1):
            await asyncio.sleep(max(0.0, started + self._tick - loop.time()))
            due = [c for c, stream in self._streams.items() if self._due(*stream)]
            if due:
                active = self._metrics.active_streams()
                for connection in due:
                    connection.tell(self._heartbeat(connection, active))

    def _due(self, endpoint: Endpoint, came: int) -> bool:
        return self._tick > came and (self._tick - came) % HEARTBEATS[endpoint] == 0

    def _heartbeat(self, connection: Connection, active_streams: int) -> Message:
        due, sent, conflated, dropped = connection.counts()
        heartbeat = wire.ClientHeartbeat(
            timestamp=wire.iso_timestamp(time.time()),
            active_streams=active_streams,
            state=self.state,
            due=due,
            sent=sent,
            conflated=conflated,
            dropped=dropped,
        )
        return Message.of(heartbeat)

    async def drain(self, server: Server) -> None:
        """Tell all to come back, spread over time; close; cut off who does not answer."""
        spread = min(LONGEST_SPREAD, len(self._streams) / RECONNECTS_A_SECOND)
        for connection in list(self._streams):
            retry_after = round(random.uniform(0.5, 1.0) + random.uniform(0.0, spread), 3)
            retry_after = min(retry_after, LONGEST_SPREAD)
            message = wire.Reconnect(reason="the server is restarting", retry_after=retry_after)
            connection.tell(Message.of(message))
            self.finished(connection)
        server.close(code=SERVICE_RESTART, reason="restarting")
        await _within(CLOSE_TIMEOUT, server.wait_closed())
        for connection in list(self._all):
            connection.transport.abort()
        await server.wait_closed()


async def _within(seconds: float, awaitable: Any) -> None:
    try:
        async with asyncio.timeout(seconds):
            await awaitable
    except TimeoutError:
        pass
