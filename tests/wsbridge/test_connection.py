"""The write path, straight to the socket and through the transport's buffer: the same bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ctp10 import wire
from tests.support.upstream import HubWithUpstream
from tests.support.viewers import viewer
from wsbridge import connection as connection_module
from wsbridge.bucket import Subscription
from wsbridge.clients import Clients
from wsbridge.connection import MOST_EVENTS, Connection
from wsbridge.message import JSON, Message
from wsbridge.metrics import Metrics
from wsbridge.request import PowerRequest

EVERY = Subscription(4, 0.01, "latest", JSON)


@pytest.fixture(params=["straight to the socket", "through the buffer"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "through the buffer":
        monkeypatch.setattr(connection_module, "_direct", lambda _: None)


class Server:
    """A hub whose readings the test makes, served on a free port."""

    def __init__(self) -> None:
        self.hub = HubWithUpstream(time.time)
        self.hub.set_trouble(None)
        self.clients = Clients(self.hub, Metrics(), evict_after=30)
        self.connections: list[Connection] = []
        self.joined = asyncio.Event()
        self.seq = 0

    async def handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        connection.wanted = PowerRequest(4, 0.01, "latest")
        self.clients.join(connection, EVERY, asyncio.get_running_loop().time())
        self.connections.append(connection)
        self.joined.set()
        await connection.wait_closed()

    def publish(self, padding: int = 0) -> None:
        """One reading, due to everybody."""
        self.seq += 1
        reading = wire.Reading(
            timestamp=self.seq * 0.01,
            module=4,
            wavelength_nm=1310.0,
            unit="dBm",
            ch1_power=-10.0,
            ch2_power=None,
            ch3_power=None,
            ch4_power=None,
            quality="VALID",
            epoch="a" * (4 + padding),
            seq=self.seq,
        )
        now = asyncio.get_running_loop().time()
        self.hub.reading(4, wire.encode(reading), now)
        self.clients.flush()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, int]]:
    server = Server()
    async with serve(
        server.handle,
        "127.0.0.1",
        0,
        create_connection=server.clients.connection_class(),
        compression=None,
        ping_interval=None,
        write_limit=0,
        close_timeout=0.1,
    ) as websockets_server:
        yield server, websockets_server.sockets[0].getsockname()[1]
        for connection in server.connections:
            connection.transport.abort()


def test_every_reading_arrives_once_and_in_order(run_async):
    async def body() -> None:
        async with serving() as (server, port), viewer(f"ws://127.0.0.1:{port}/") as client:
            await server.joined.wait()
            for count in range(1, 201):
                server.publish()
                await client.wait_count("data", count)
            assert [m["seq"] for m in client.of("data")] == list(range(1, 201))
            due, sent, conflated, dropped = server.connections[0].counts()
            assert (due, sent, conflated, dropped) == (201, 201, 0, 0)  # and one error at first

    run_async(body())


def test_a_reader_that_stops_and_starts_sees_whole_frames_and_only_newer_readings(run_async):
    async def body() -> None:
        loop = asyncio.get_running_loop()
        async with serving() as (server, port):
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.setblocking(False)
                await loop.sock_connect(sock, ("127.0.0.1", port))
                await loop.sock_sendall(
                    sock,
                    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                )
                await server.joined.wait()
                received = b""
                connection = server.connections[0]
                for _ in range(5):
                    while not connection.paused:
                        server.publish(padding=300)
                    for _ in range(100):
                        server.publish(padding=300)
                    while connection.paused:
                        received += await loop.sock_recv(sock, 4096)
                        await asyncio.sleep(0)
                account = connection.counts()
                connection.end(4000, "test")
                while data := await loop.sock_recv(sock, 65536):
                    received += data
            head, _, stream = received.partition(b"\r\n\r\n")
            assert b" 101 " in head
            messages, closed = split(stream)
            seqs = [m["seq"] for m in messages if m["type"] == "data"]
            assert seqs == sorted(set(seqs))
            assert seqs[-1] == server.seq
            due, sent, conflated, dropped = account
            assert due == server.seq + 1  # and one error at first
            assert due == sent + conflated + dropped
            assert sent == len(messages)
            assert conflated >= 5 * 90
            assert closed == 4000

    run_async(body())


def split(stream: bytes) -> tuple[list[dict[str, object]], int | None]:
    """Text messages of a server's stream, and the code of the close frame at its end."""
    messages = []
    while stream:
        opcode, size = stream[0], stream[1]
        start = 2
        if size == 126:
            size, start = int.from_bytes(stream[2:4], "big"), 4
        payload, stream = stream[start : start + size], stream[start + size :]
        assert len(payload) == size, "a frame cut off"
        if opcode == 0x88:
            assert not stream
            return messages, int.from_bytes(payload[:2], "big")
        assert opcode == 0x81
        messages.append(orjson.loads(payload))
    return messages, None


def test_events_wait_for_a_slow_client_without_loss_until_there_are_too_many(run_async):
    async def body() -> None:
        async with serving() as (server, port):
            async with connect(f"ws://127.0.0.1:{port}/", proxy=None, max_queue=1) as websocket:
                await server.joined.wait()
                connection = server.connections[0]
                event = Message.of(wire.Pong(timestamp="x" * 100_000))
                connection.tell(event)
                assert connection.paused
                for _ in range(MOST_EVENTS):
                    connection.tell(event)
                assert connection.reason == ""
                connection.tell(event)
                assert connection.reason == "events_overflow"
                due, sent, conflated, dropped = connection.counts()
                assert dropped == MOST_EVENTS + 1
                assert due == sent + conflated + dropped
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await websocket.recv()

    run_async(body())


def test_a_peer_that_is_gone_costs_nobody_else_anything(run_async):
    async def body() -> None:
        async with serving() as (server, port):
            async with viewer(f"ws://127.0.0.1:{port}/") as good:
                await server.joined.wait()
                bad = await connect(f"ws://127.0.0.1:{port}/", proxy=None)
                bad.transport.abort()
                for _ in range(20):
                    server.publish()
                    await asyncio.sleep(0)
                await good.wait_count("data", 20)
                assert len(server.clients) == 1
            await bad.wait_closed()

    run_async(body())
