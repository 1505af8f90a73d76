"""The whole path with real processes: instrument, daemon, bridge, viewer."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request

import orjson
import pytest
import zmq

from ctp10 import wire
from tests.support.processes import DEADLINE, Stand, stand
from tests.support.viewers import viewer


def http(stand: Stand, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{stand.port}{path}", timeout=5) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


async def until_ready(place: Stand) -> None:
    deadline = time.monotonic() + DEADLINE
    while (answer := await asyncio.to_thread(http, place, "/readyz"))[0] != 200:
        assert time.monotonic() < deadline, answer


def test_a_viewer_gets_ten_readings_a_second_as_the_contract_says(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power?module=4&interval=0.1") as client:
                first = await client.wait_count("data", 1)
                assert client.messages[0]["type"] == "data", "the newest reading comes first"
                readings = await client.wait_count("data", 21)
            keys = [
                "type",
                "timestamp",
                "module",
                "wavelength_nm",
                "unit",
                "ch1_power",
                "ch2_power",
                "ch3_power",
                "ch4_power",
                "quality",
                "epoch",
                "seq",
            ]
            assert [k for k in first[0] if k != "_arrived"] == keys
            assert first[0] | {"quality": "VALID", "unit": "dBm", "module": 4} == first[0]
            seqs = [r["seq"] for r in readings]
            assert seqs == list(range(seqs[0], seqs[0] + 21)), "10 Hz from a 10 Hz source: all"
            assert 1.7 < readings[-1]["timestamp"] - readings[0]["timestamp"] < 2.6

    run_async(body())


def test_fast_and_slow_viewers_each_get_their_rate_and_the_newest(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            place.bridge()
            await until_ready(place)
            async with (
                viewer(f"{place.url}/ws/power?interval=1") as slow,
                viewer(f"{place.url}/ws/power?interval=0.01") as fast,
            ):
                # The daemon raises its rate once it hears of the wish.
                await fast.wait_count("data", 50)
                start = len(fast.messages)
                slow_start = len(slow.of("data"))
                await slow.wait_count("data", slow_start + 3)
                window = fast.messages[start:]
                seconds = window[-1]["timestamp"] - window[0]["timestamp"]
                assert 85 <= (len(window) - 1) / seconds <= 115
                for reading in slow.of("data")[slow_start:]:
                    newest = max(
                        m["seq"] for m in fast.messages if m["_arrived"] <= reading["_arrived"]
                    )
                    assert reading["seq"] >= newest - 2, "the newest reading, not an old one"

    run_async(body())


def test_two_bridges_serve_the_same_readings(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            place.bridge()
            second = place.bridge(port=0).wait_for(r"serving on http://127.0.0.1:(\d+)")[1]
            await until_ready(place)
            async with (
                viewer(f"{place.url}/ws/power") as one,
                viewer(f"ws://127.0.0.1:{second}/ws/power") as two,
            ):
                await one.wait_count("data", 5)
                await two.wait_count("data", 5)
                by_seq = {m["seq"]: {**m, "_arrived": 0} for m in one.of("data")}
                common = [m for m in two.of("data") if m["seq"] in by_seq]
                assert common
                for message in common:
                    assert {**message, "_arrived": 0} == by_seq[message["seq"]]

    run_async(body())


def test_a_notebook_gets_the_same_bytes_over_zeromq_and_asks_over_control(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
            with (
                context.socket(zmq.SUB) as sub,
                context.socket(zmq.DEALER) as dealer,
                context.socket(zmq.REQ) as req,
            ):
                for socket in (sub, dealer, req):
                    socket.linger, socket.rcvtimeo = 0, int(DEADLINE * 1000)
                sub.subscribe(b"power/4/")
                sub.connect(place.publish)
                topic, payload = sub.recv_multipart()
                assert topic == b"power/4/"
                reading = wire.decode(payload)
                assert isinstance(reading, wire.Reading)
                assert reading.quality == "VALID"
                dealer.connect(place.control)
                dealer.send(b'{"jsonrpc":"2.0","id":1,"method":"snapshot"}')
                snapshot = orjson.loads(dealer.recv_multipart()[-1])["result"]
                assert snapshot["epoch"] == reading.epoch
                assert snapshot["topics"]["power/4/"]["seq"] >= reading.seq
                req.connect(place.control)
                req.send(b'{"jsonrpc":"2.0","id":"x","method":"status"}')
                status = orjson.loads(req.recv())
                assert status["id"] == "x"
                assert status["result"]["state"] == "connected"

    run_async(body())


def test_a_module_is_read_while_somebody_subscribes_to_it(run_async):
    async def body() -> None:
        with stand() as place:
            place.simulator("--module", "4", "--module", "7:2")
            place.daemon()
            place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power?module=7") as client:
                reading = await client.wait_type("data")
                assert reading["module"] == 7
                assert reading["quality"] == "VALID"
                assert reading["ch1_power"] is not None
                assert reading["ch3_power"] is None, "the module has two detectors"
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
            with context.socket(zmq.REQ) as req:
                req.linger, req.rcvtimeo = 0, int(DEADLINE * 1000)
                req.connect(place.control)
                deadline = time.monotonic() + DEADLINE
                while True:  # the unsubscription takes its way through two sockets
                    req.send(b'{"jsonrpc":"2.0","id":1,"method":"status"}')
                    if list(orjson.loads(req.recv())["result"]["periods"]) == ["4"]:
                        break
                    assert time.monotonic() < deadline

    run_async(body())


def test_health_sends_a_heartbeat_at_once_and_answers_ping(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/health") as client, viewer(f"{place.url}/ws/power"):
                heartbeat = await client.wait_type("heartbeat")
                assert client.messages[0] is heartbeat
                assert heartbeat["state"] == "connected"
                await client.websocket.send("ping")
                pong = await client.wait_type("pong")
                assert pong["timestamp"].startswith("20")
                # The next one is due within ten seconds, and counts the other viewer.
                await client.wait(lambda m: m.get("active_streams") == 1, timeout=15)

    run_async(body())


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics"])
def test_plain_pages(path: str) -> None:
    with stand() as place:
        place.daemon("--simulate")
        place.bridge()
        asyncio.run(until_ready(place))
        status, body = http(place, path)
        assert status == 200
        assert body
