"""wsbridge put together: the feed from acquisitiond, the hub, the WebSocket server.

`run` is handed its settings and its stop event; everything it starts, it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from common import lifecycle
from common.metrics import CONTENT_TYPE, render
from ctp10 import wire
from wsbridge.connection import Connection
from wsbridge.feed import Feed
from wsbridge.frames import text_frame
from wsbridge.http import json_response, load_pages, response
from wsbridge.hub import Hub
from wsbridge.metrics import Metrics
from wsbridge.request import HealthRequest, PageRequest, PowerRequest, Refusal, parse
from wsbridge.settings import Settings

log = logging.getLogger("wsbridge")

POWER_HEARTBEAT: Final = 30
"""Seconds between heartbeats of a stream of readings: clients take 60 s of silence for death."""
HEALTH_HEARTBEAT: Final = 10
MAX_INCOMING: Final = 4096
"""Bytes of one message from a client; there is little that one has to say."""
HANDSHAKE_TIMEOUT: Final = 5.0
CLOSE_TIMEOUT: Final = 1.0
"""Seconds in which clients may answer the closing handshake before they are cut off."""
CHECK_PERIOD: Final = 0.25
DEFAULT_MODULE: Final = 4
"""Until acquisitiond says which one is configured."""
SERVICE_RESTART: Final = 1012
OWN_PAGES: Final = ("/healthz", "/readyz", "/metrics")


async def run(
    settings: Settings, stop: asyncio.Event, ready: Callable[[Bridge], None] = lambda _: None
) -> None:
    """Serve until `stop`. Raises OSError when the address cannot be bound."""
    bridge = Bridge(settings)
    server = await serve(
        bridge.handle,
        settings.host,
        settings.port,
        process_request=bridge.process_request,
        create_connection=bridge.connection_class(),
        compression=None,
        open_timeout=HANDSHAKE_TIMEOUT,
        ping_interval=None,
        close_timeout=CLOSE_TIMEOUT,
        max_size=MAX_INCOMING,
        write_limit=0,
        server_header=None,
        backlog=4096,
    )
    bridge.port = server.sockets[0].getsockname()[1]
    with contextlib.closing(Feed(settings.subscribe, settings.control, bridge)) as feed:
        bridge.feed = feed
        log.info("serving on http://%s:%d/", settings.host, bridge.port)
        lifecycle.notify("READY=1")
        ready(bridge)
        async with asyncio.TaskGroup() as tasks:
            heartbeats = tasks.create_task(bridge.heartbeats(), name="heartbeats")
            checks = tasks.create_task(bridge.checks(), name="checks")
            await stop.wait()
            log.info("stopping: %d clients are told to come back", len(bridge.streams))
            await bridge.drain(server)
            heartbeats.cancel()
            checks.cancel()


class Bridge:
    """State of a running bridge."""

    feed: Feed
    port: int

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.streams: dict[Connection, int] = {}
        """Open WebSockets, each with the tick at which it came."""
        self._connections: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._hub = Hub(time.time)
        self._pages = load_pages()
        self._paths = frozenset({*self._pages, *OWN_PAGES})
        self._state: wire.State = "disconnected"
        self._status: bytes | None = None
        self._default_module = DEFAULT_MODULE
        self._tick = 0

    def connection_class(self) -> type[Connection]:
        """Connections that report to this bridge."""
        return type(
            "BridgeConnection",
            (Connection,),
            {
                "opened": staticmethod(self._connections.add),
                "lost": staticmethod(self._connections.discard),
                "finished": staticmethod(self._finished),
            },
        )

    # WebSocket clients

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one WebSocket from its handshake to its end."""
        assert isinstance(connection, Connection)
        self.streams[connection] = self._tick
        match connection.wanted:
            case PowerRequest(module, interval):
                endpoint = "power"
                assert module is not None
                self._hub.join(connection, module, interval, self._loop.time())
                self.feed.want(self._hub.wants())
            case _:
                endpoint = "health"
                connection.tell(self._heartbeat(connection))
                if self._status is not None:
                    connection.tell(self._status)
        self.metrics.connections.labels(endpoint).inc()
        try:
            async for message in connection:
                if message == "ping":
                    pong = wire.Pong(timestamp=wire.iso_timestamp(time.time()))
                    connection.tell(text_frame(wire.encode(pong)))
        except ConnectionClosed:
            pass  # a peer that leaves is no error
        finally:
            self._finished(connection)
            self.metrics.connections.labels(endpoint).dec()
            self.metrics.closed.labels(connection.code_of_end).inc()
            self.metrics.sent.inc(connection.sent)
            self.metrics.conflated.inc(connection.conflated)
            self.metrics.dropped.inc(connection.dropped)

    def _finished(self, connection: Connection) -> None:
        """Nothing more goes to this client, though its connection may take a moment to end."""
        if self.streams.pop(connection, None) is None:
            return
        match connection.wanted:
            case PowerRequest(int(module), interval):
                self._hub.leave(connection, module, interval)
                self.feed.want(self._hub.wants())

    # HTTP

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP, refuse what is wrong, and let WebSocket handshakes pass (None)."""
        assert isinstance(connection, Connection)
        upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
        wanted = parse(request.method, request.path, upgrade, self._paths)
        match wanted:
            case Refusal(status, reason, body):
                self.metrics.rejected.labels(reason).inc()
                return json_response(status, body)
            case PageRequest(path):
                page = self._page(path)
                if request.method == "HEAD":
                    page.body = b""
                return page
            case PowerRequest(None, interval):
                connection.wanted = PowerRequest(self._default_module, interval)
            case _:
                connection.wanted = wanted
        return None

    def _page(self, path: str) -> Response:
        if path == "/healthz":
            return json_response(200, {"status": "ok", "active_streams": self._active_streams()})
        if path == "/readyz":
            reason = self._not_ready()
            if reason is None:
                return json_response(200, {"status": "ready"})
            return json_response(503, {"status": "not ready", "reason": reason})
        if path == "/metrics":
            age = self._hub.age(self._default_module, self._loop.time())
            self.metrics.upstream_age.set(float("inf") if age is None else age)
            return response(200, CONTENT_TYPE, render(self.metrics.registry))
        return response(200, *self._pages[path])

    def _not_ready(self) -> str | None:
        if self._hub.trouble is not None:
            return self._hub.trouble
        if not self._hub.fresh(self._default_module, self._loop.time()):
            return f"no fresh reading of module {self._default_module}"
        return None

    # What the feed tells

    def on_reading(self, module: int, payload: bytes) -> None:
        """A reading of a module, which proves that both the daemon and the instrument are there."""
        if self._hub.trouble is not None:
            self._set_state("connected", "")
        self._hub.reading(module, payload, self._loop.time())

    def on_old_reading(self, module: int, payload: bytes, age: float) -> None:
        """The newest reading there was when nobody listened."""
        self._hub.old_reading(module, payload, self._loop.time() - age)

    def on_module_error(self, module: int, payload: bytes) -> None:
        """The daemon's word that a module cannot be read."""
        self._hub.module_error(module, payload)

    def on_batch_end(self) -> None:
        """Nothing more has arrived for now."""
        self._hub.flush()

    def on_status(self, status: wire.Status, payload: bytes) -> None:
        """The state of the link to the instrument."""
        self._default_module = status.modules[0] if status.modules else DEFAULT_MODULE
        self._status = text_frame(payload)
        for connection in self.streams:
            if isinstance(connection.wanted, HealthRequest):
                connection.tell(self._status)
        self._set_state(status.state, f"instrument away: {status.error}")

    def on_heartbeat(self, heartbeat: wire.Heartbeat) -> None:
        """acquisitiond lives."""
        self._hub.periods({int(module): p for module, p in heartbeat.periods.items()})
        if heartbeat.state != self._state:
            self._set_state(heartbeat.state, "instrument away")

    def on_away(self, reason: str) -> None:
        """acquisitiond cannot be heard."""
        self._set_state("disconnected", reason)

    def _set_state(self, state: wire.State, trouble: str) -> None:
        trouble_now = None if state == "connected" else trouble
        if trouble_now != self._hub.trouble:
            log.info("%s", trouble_now or "readings can come")
        self._state = state
        self._hub.set_trouble(trouble_now)

    # Long-lived tasks

    async def checks(self) -> None:
        """Notice what stopped without a word, a few times a second, for ever."""
        while True:
            await asyncio.sleep(CHECK_PERIOD)
            now = self._loop.time()
            self.feed.check(now)
            self._hub.check(now)

    async def heartbeats(self) -> None:
        """One timer for all: each second those are due that came that long ago."""
        started = self._loop.time()
        for self._tick in itertools.count(1):
            await asyncio.sleep(max(0.0, started + self._tick - self._loop.time()))
            for connection, came in self.streams.items():
                power = isinstance(connection.wanted, PowerRequest)
                period = POWER_HEARTBEAT if power else HEALTH_HEARTBEAT
                if self._tick > came and (self._tick - came) % period == 0:
                    connection.tell(self._heartbeat(connection))

    def _heartbeat(self, connection: Connection) -> bytes:
        heartbeat = wire.ClientHeartbeat(
            timestamp=wire.iso_timestamp(time.time()),
            active_streams=self._active_streams(),
            state=self._state,
            sent=connection.sent,
            conflated=connection.conflated,
            dropped=connection.dropped,
        )
        return text_frame(wire.encode(heartbeat))

    def _active_streams(self) -> int:
        return sum(isinstance(c.wanted, PowerRequest) for c in self.streams)

    async def drain(self, server: Server) -> None:
        """Tell all clients to come back, spread over time; close; cut off who does not answer."""
        spread = min(30.0, len(self.streams) / 100)
        for connection in list(self.streams):
            retry_after = round(random.uniform(0.5, 1.0 + spread), 2)
            message = wire.Reconnect(reason="the server is restarting", retry_after=retry_after)
            connection.tell(text_frame(wire.encode(message)))
        server.close(code=SERVICE_RESTART, reason="restarting")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await server.wait_closed()
        except TimeoutError:
            for connection in list(self._connections):
                connection.transport.abort()
            await server.wait_closed()
