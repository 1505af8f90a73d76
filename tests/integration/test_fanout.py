"""Modes, encodings, slow clients, workers: what a bridge promises to each of many clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import time
from pathlib import Path

import msgpack
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.integration.test_path import http, until_ready
from tests.integration.test_restarts import MARGIN
from tests.support.processes import DEADLINE, Stand, stand
from tests.support.viewers import viewer


class StalledClient:
    """A WebSocket client of its own making, which reads only when told to."""

    def __init__(self, place: Stand, path: str) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(("127.0.0.1", place.port))
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.sock.recv(1)
        assert b" 101 " in head, head

    def message(self) -> dict[str, object]:
        """The next text message."""
        first, size = self._exactly(2)
        assert first == 0x81, hex(first)
        if size == 126:
            size = int.from_bytes(self._exactly(2), "big")
        document: dict[str, object] = orjson.loads(self._exactly(size))
        return document

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            assert more, "closed"
            data += more
        return data


def metric(place: Stand, name: str) -> float:
    page = http(place, "/metrics")[1].decode()
    return sum(float(v) for v in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", page, re.M))


def wait_metric(place: Stand, name: str, least: float) -> None:
    deadline = time.monotonic() + DEADLINE
    while metric(place, name) < least:
        assert time.monotonic() < deadline, http(place, "/metrics")[1].decode()


def test_a_mean_and_an_envelope_say_how_many_readings_they_cover(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate", "--rate", "50")
            place.bridge()
            await until_ready(place)
            async with (
                viewer(f"{place.url}/ws/power?interval=0.5&mode=mean") as mean,
                viewer(f"{place.url}/ws/power?interval=0.5&mode=envelope") as envelope,
            ):
                means = (await mean.wait_count("data", 4))[2:]
                envelopes = (await envelope.wait_count("data", 4))[2:]
            for message in means:
                assert message["mode"] == "mean"
                assert 23 <= message["count"] <= 27
                assert -18.5 < message["ch1_power"] < -17
            for message in envelopes:
                assert message["mode"] == "envelope"
                assert 23 <= message["count"] <= 27
                for channel in range(4):
                    power = message[f"ch{channel + 1}_power"]
                    assert message["min"][channel] <= power <= message["max"][channel]
                assert message["min"] != message["max"]

    run_async(body())


def test_messagepack_says_the_same_as_json(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            place.bridge()
            await until_ready(place)
            async with (
                viewer(f"{place.url}/ws/power") as plain,
                connect(
                    f"{place.url}/ws/power", subprotocols=["ctp10.msgpack"], proxy=None
                ) as packed,
            ):
                assert packed.subprotocol == "ctp10.msgpack"
                unpacked = [msgpack.unpackb(await packed.recv()) for _ in range(5)]
                last = unpacked[-1]["seq"]
                await plain.wait(lambda m: m.get("seq") == last)
                by_seq = {m["seq"]: m for m in plain.of("data")}
            for message in unpacked[1:]:
                same = by_seq[message["seq"]]
                assert message == {k: v for k, v in same.items() if k != "_arrived"}

    run_async(body())


def test_a_stalled_client_gets_the_newest_and_an_account_that_adds_up(run_async):
    async def body() -> None:
        with stand() as place:
            # Slower than the interval, so that each of its readings is due.
            place.daemon("--simulate", "--rate", "50", "--max-rate", "50")
            place.bridge()
            await until_ready(place)
            stalled = StalledClient(place, "/ws/power?interval=0.01")
            with stalled.sock:
                async with viewer(f"{place.url}/ws/power?interval=0.01") as good:
                    await asyncio.to_thread(
                        wait_metric, place, "wsbridge_messages_conflated_total", 200
                    )
                    newest = good.of("data")[-1]["seq"]
                    assert not good.of("error")
                    received = []
                    while not received or received[-1]["type"] != "heartbeat":
                        received.append(await asyncio.to_thread(stalled.message))
                account = received.pop()
                seqs = [m["seq"] for m in received]
                assert seqs == sorted(set(seqs)), "in order, none twice"
                assert account["due"] == (
                    account["sent"] + account["conflated"] + account["dropped"]
                )
                assert account["sent"] == len(received)
                assert account["conflated"] >= 200
                assert account["due"] == seqs[-1] - seqs[0] + 1, "every reading is accounted for"
                assert seqs[-1] >= newest, "what it gets after the stall is the newest"
                assert len(received) < 150, "little was kept for it, in the kernel or here"

    run_async(body())


def test_a_client_that_takes_nothing_is_evicted_and_counted():
    with stand() as place:
        place.daemon("--simulate", "--rate", "100")
        place.bridge("--evict-after", "1")
        asyncio.run(until_ready(place))
        with StalledClient(place, "/ws/power?interval=0.01").sock:
            name = 'wsbridge_connections_closed_total{code="4008",reason="evicted"}'
            deadline = time.monotonic() + DEADLINE
            while name.encode() not in http(place, "/metrics")[1]:
                assert time.monotonic() < deadline
        assert metric(place, "wsbridge_messages_dropped_total") >= 1


def test_a_drain_waits_for_nobody_who_does_not_read():
    with stand() as place:
        place.daemon("--simulate", "--rate", "100")
        bridge = place.bridge()
        asyncio.run(until_ready(place))
        with StalledClient(place, "/ws/power?interval=0.01").sock:
            wait_metric(place, "wsbridge_messages_conflated_total", 1)
            started = time.monotonic()
            assert bridge.terminate() == 0
            assert time.monotonic() - started < 2 + MARGIN


def test_many_clients_are_told_to_come_back_at_different_times(run_async):
    async def body() -> None:
        with stand() as place:
            bridge = place.bridge()
            sockets = [await connect(f"{place.url}/ws/power", proxy=None) for _ in range(200)]
            bridge.signal(signal.SIGTERM)
            delays = []
            for websocket in sockets:
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        message = orjson.loads(await websocket.recv())
                        if message["type"] == "reconnect":
                            delays.append(message["retry_after"])
                assert websocket.close_code == 1012
            assert bridge.wait() == 0
            assert len(delays) == 200
            assert len(set(delays)) > 150
            assert all(0 < delay <= 30 for delay in delays)

    run_async(body())


def workers(bridge_pid: int) -> list[int]:
    children = Path(f"/proc/{bridge_pid}/task/{bridge_pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def test_workers_share_a_port_and_a_dead_one_is_replaced(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            bridge = place.bridge("--workers", "2")
            bridge.wait_for("2 workers share")
            await until_ready(place)
            clients = [await connect(f"{place.url}/ws/power", proxy=None) for _ in range(20)]
            assert orjson.loads(http(place, "/healthz")[1])["active_streams"] == 20
            assert metric(place, "wsbridge_connections") == 20
            victim = workers(bridge.pid)[0]
            os.kill(victim, signal.SIGKILL)
            bridge.wait_for("starting another")
            deadline = time.monotonic() + DEADLINE
            while len(set(workers(bridge.pid)) - {victim}) < 2:
                assert time.monotonic() < deadline
            async with viewer(f"{place.url}/ws/power") as client:
                await client.wait_type("data")
            for websocket in clients:
                await websocket.close()
            assert bridge.terminate() == 0
            assert "Traceback" not in bridge.output

    run_async(body())


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--workers", "x"]])
def test_a_wrong_number_of_workers_is_refused(arguments: list[str]):
    with stand() as place:
        process = place.start("wsbridge", *arguments)
        assert process.wait() == 2
        assert "workers" in process.output
