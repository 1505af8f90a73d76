"""wsbridge put together: the feed from acquisitiond, the hub, the clients, the pages.

`run` is handed its settings and its stop event; everything it starts, it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from common import lifecycle
from common.metrics import CONTENT_TYPE
from ctp10 import wire
from wsbridge.bucket import Subscription
from wsbridge.clients import CLOSE_TIMEOUT, Clients
from wsbridge.connection import Connection
from wsbridge.feed import Feed
from wsbridge.http import json_response, load_pages, response
from wsbridge.hub import Hub
from wsbridge.message import ENCODINGS, Message
from wsbridge.metrics import Metrics
from wsbridge.repair import Repairs
from wsbridge.request import PageRequest, PowerRequest, Refusal, parse
from wsbridge.resume import Resumes
from wsbridge.sequence import Missing, Numbered, Output
from wsbridge.settings import Settings

log = logging.getLogger("wsbridge")

MAX_INCOMING: Final = 4096
"""Bytes of one message from a client; there is little that one has to say."""
BACKLOG: Final = 4096
"""Connections that the kernel keeps until they are accepted."""
ACCEPTED_A_TURN: Final = 64
"""Of these, at a time. Out of descriptors, asyncio fails as often a second."""
HANDSHAKE_TIMEOUT: Final = 5.0
CHECK_PERIOD: Final = 0.25
DEFAULT_MODULE: Final = 4
"""Until acquisitiond says which one is configured."""
OWN_PAGES: Final = ("/healthz", "/readyz", "/metrics")


async def run(
    settings: Settings, stop: asyncio.Event, ready: Callable[[int], None] = lambda _: None
) -> None:
    """Serve until `stop`; `ready` gets the port. Raises OSError if it cannot be bound."""
    bridge = Bridge(settings)
    with contextlib.closing(bridge.feed):
        server = await serve(
            bridge.handle,
            settings.host,
            settings.port,
            process_request=bridge.process_request,
            select_subprotocol=bridge.select_subprotocol,
            create_connection=bridge.clients.connection_class(),
            compression=None,
            open_timeout=HANDSHAKE_TIMEOUT,
            ping_interval=None,
            close_timeout=CLOSE_TIMEOUT,
            max_size=MAX_INCOMING,
            write_limit=0,
            server_header=None,
            backlog=ACCEPTED_A_TURN,
            reuse_port=settings.workers > 1 or None,
        )
        for listener in server.sockets:
            _let_queue(listener.fileno())
        port = server.sockets[0].getsockname()[1]
        log.info("serving on http://%s:%d/", settings.host, port)
        lifecycle.notify("READY=1")
        ready(port)
        async with asyncio.TaskGroup() as tasks:
            heartbeats = tasks.create_task(bridge.clients.heartbeats(), name="heartbeats")
            checks = tasks.create_task(bridge.checks(), name="checks")
            await stop.wait()
            log.info("stopping: %d clients are told to come back", len(bridge.clients))
            await bridge.clients.drain(server)
            heartbeats.cancel()
            checks.cancel()


def _let_queue(descriptor: int) -> None:
    """Let the kernel queue more connections than asyncio accepts, or fails to accept, at a time."""
    with socket.socket(fileno=os.dup(descriptor)) as same:
        same.listen(BACKLOG)


class Bridge:
    """State of a running bridge: between the feed, the hub and the WebSocket server."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self.feed = Feed(settings.subscribe, settings.control, self)
        self._repairs = Repairs(self.feed.ask, self._take, self._loop.time)
        self._holes = 0
        self._metrics = Metrics()
        self._hub = Hub(time.time)
        self.clients = Clients(self._hub, self._metrics, settings.evict_after)
        self._resumes = Resumes(self._hub, self.feed.ask, self._live)
        self.clients.on_room = self._resumes.step
        self._pages = load_pages()
        self._paths = frozenset({*self._pages, *OWN_PAGES})
        self._status: Message | None = None
        self._default_module = DEFAULT_MODULE
        self._garbage_told = False

    # The WebSocket server

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP, refuse what is wrong, and let WebSocket handshakes pass (None)."""
        assert isinstance(connection, Connection)
        upgrade = "websocket" in request.headers.get("Upgrade", "").lower()
        wanted = parse(request.method, request.path, upgrade, self._paths)
        match wanted:
            case Refusal(status, reason, body):
                self._metrics.rejected.labels(reason).inc()
                return json_response(status, body)
            case PageRequest(path):
                page = self._page(path)
                if request.method == "HEAD":
                    page.body = b""
                return page
            case _:
                connection.wanted = wanted
        return None

    def select_subprotocol(
        self, connection: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        """The client's first choice among our encodings; none of them is JSON, as without any."""
        assert isinstance(connection, Connection)
        for encoding in ENCODINGS:
            if encoding in offered[:1]:
                connection.encoding = encoding
                return Subprotocol(encoding)
        return None

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one WebSocket from its handshake to its end."""
        assert isinstance(connection, Connection)
        match connection.wanted:
            case PowerRequest(module, interval, mode, since):
                module = self._default_module if module is None else module
                subscription = Subscription(module, interval, mode, connection.encoding)
                if since is None:
                    self.clients.join(connection, subscription, self._loop.time())
                else:
                    self.clients.join_later(connection)
                    self._resumes.begin(connection, subscription, since)
                self._want()
            case _:
                self.clients.join_health(connection, self._status)
        try:
            async for message in connection:
                if message == "ping":
                    pong = wire.Pong(timestamp=wire.iso_timestamp(time.time()))
                    connection.tell(Message.of(pong))
        except ConnectionClosed:
            pass  # a peer that leaves is no error
        finally:
            self.clients.finished(connection)
            self._resumes.end(connection)
            self._want()

    def _live(self, connection: Connection, subscription: Subscription) -> None:
        self.clients.go_on(connection, subscription, self._loop.time())
        self._want()

    def _want(self) -> None:
        self.feed.want(self._hub.wants() | self._resumes.wants())

    # Pages

    def _page(self, path: str) -> Response:
        if path == "/healthz":
            active = self._metrics.active_streams()
            return json_response(200, {"status": "ok", "active_streams": active})
        if path == "/readyz":
            reason = self._not_ready()
            if reason is None:
                return json_response(200, {"status": "ready"})
            return json_response(503, {"status": "not ready", "reason": reason})
        if path == "/metrics":
            return response(200, CONTENT_TYPE, self._metrics.page())
        return response(200, *self._pages[path])

    def _not_ready(self) -> str | None:
        if self._hub.trouble is not None:
            return self._hub.trouble
        if not self._hub.fresh(self._default_module, self._loop.time()):
            return f"no fresh reading of module {self._default_module}"
        return None

    # What the feed tells

    def on_power(self, module: int, payload: bytes) -> None:
        """A message about a module."""
        try:
            self._repairs.arrived(module, Message(payload))
        except wire.WireError as error:
            self.on_garbage(str(error))

    def on_old_power(self, module: int, payload: bytes) -> None:
        """The newest message about a module that there was when nobody listened."""
        try:
            numbered = self._repairs.start(module, Message(payload))
        except wire.WireError as error:
            self.on_garbage(str(error))
            return
        if numbered is not None:
            self._hub.old_message(module, numbered, self._loop.time())

    def _take(self, module: int, outputs: list[Output]) -> None:
        """Messages of a module in their order, and what is missing among them."""
        for output in outputs:
            match output:
                case Missing():
                    self._hub.missing(module, output)
                case Numbered(_, message):
                    # A reading proves that both the daemon and the instrument are there.
                    if message.is_reading and self._hub.trouble is not None:
                        self._set_state("connected", "")
                    try:
                        self._hub.numbered(module, output, self._loop.time())
                    except wire.WireError as error:
                        self.on_garbage(str(error))
        # What comes off the socket is flushed with its batch, before this; a repair has none.
        self._loop.call_soon(self.clients.flush)

    def on_batch_end(self) -> None:
        """Nothing more has arrived for now."""
        self.clients.flush()
        self._resumes.step()

    def on_status(self, status: wire.Status, payload: bytes) -> None:
        """The state of the link to the instrument."""
        self._default_module = status.modules[0] if status.modules else DEFAULT_MODULE
        self._status = Message(payload)
        self.clients.tell_health(self._status)
        self._set_state(status.state, f"instrument away: {status.error}")

    def on_heartbeat(self, heartbeat: wire.Heartbeat) -> None:
        """acquisitiond lives."""
        self._hub.periods({int(module): p for module, p in heartbeat.periods.items()})
        self._repairs.heard(heartbeat.epoch, heartbeat.latest)
        self._metrics.upstream_gaps.inc(self._repairs.holes - self._holes)
        self._holes = self._repairs.holes
        if heartbeat.state != self.clients.state:
            self._set_state(heartbeat.state, "instrument away")

    def on_away(self, reason: str) -> None:
        """acquisitiond cannot be heard."""
        self._set_state("disconnected", reason)

    def on_garbage(self, what: str) -> None:
        """Something that is not of the wire contract; told once, counted always."""
        self._metrics.upstream_garbage.inc()
        if not self._garbage_told:
            self._garbage_told = True
            log.warning("ignoring what is not of the wire contract: %s", what)

    def _set_state(self, state: wire.State, trouble: str) -> None:
        trouble_now = None if state == "connected" else trouble
        if trouble_now != self._hub.trouble:
            log.info("%s", trouble_now or "readings can come")
        self.clients.set_state(state)
        self._hub.set_trouble(trouble_now)

    async def checks(self) -> None:
        """Notice what stopped without a word, a few times a second, for ever."""
        while True:
            await asyncio.sleep(CHECK_PERIOD)
            now = self._loop.time()
            self.feed.check(now)
            self._repairs.check()
            self.clients.flush()
            self._hub.check(now)
            self._resumes.step()
            self.clients.evict(now)
            age = self._hub.age(self._default_module, now)
            self._metrics.upstream_age.set(float("inf") if age is None else age)
