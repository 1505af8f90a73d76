"""What is wrong is refused with a clear word, counted, and nobody else's stream suffers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
import urllib.request
from itertools import pairwise

import orjson
import pytest
import zmq
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.integration.test_path import http, until_ready
from tests.support.instruments import Conversation, ScriptedInstrument, answering
from tests.support.processes import DEADLINE, Stand, free_port, stand
from tests.support.viewers import viewer


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        *((f"module={bad}", "module") for bad in ("0", "21", "x", "", "-1", "4.0", "%D9%A4")),
        *(
            (f"interval={bad}", "interval")
            for bad in ("0.005", "15", "nan", "inf", "", "-1", "1_0", "0x1", "1e999")
        ),
        ("modul=4", "modul"),
        ("module=4&module=5", "module"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(bridge: Stand, query: str, parameter: str):
    async def body() -> None:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{bridge.url}/ws/power?{query}", proxy=None)
        assert refusal.value.response.status_code == 400
        answer = orjson.loads(refusal.value.response.body or b"")
        assert answer["parameter"] == parameter
        assert answer["allowed"]

    asyncio.run(body())


@pytest.fixture(scope="module")
def bridge():
    """A bridge without a daemon: what it refuses, it refuses alone."""
    with stand() as place:
        place.bridge()
        yield place


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /ws/power HTTP/1.1", 426),
        (b"GET /nowhere HTTP/1.1", 404),
        (b"GET /ws/nowhere HTTP/1.1", 404),
        (b"POST /ws/power HTTP/1.1", 405),
        (b"POST / HTTP/1.1\r\nContent-Length: 2", 405),
        (b"DELETE /healthz HTTP/1.1", 405),
        (b"GET / HTTP/3.0", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
    ],
)
def test_wrong_http_gets_a_status_and_json(bridge: Stand, request_line: bytes, status: int):
    with socket.create_connection(("127.0.0.1", bridge.port), DEADLINE) as sock:
        sock.sendall(request_line + b"\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}\n"):
            data = sock.recv(65536)
            assert data, answer
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode()
    assert b"application/json" in head
    assert orjson.loads(body)["error"]


def test_a_client_that_sends_a_megabyte_is_closed_and_the_others_go_on(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            place.bridge()
            await until_ready(place)
            async with (
                viewer(f"{place.url}/ws/power") as good,
                viewer(f"{place.url}/ws/power") as bad,
            ):
                await good.wait_type("data")
                await bad.websocket.send("x" * 1_000_000)
                assert await bad.closed() == 1009
                count = len(good.of("data"))
                await good.wait_count("data", count + 5)
            deadline = time.monotonic() + DEADLINE
            counted = b'wsbridge_connections_closed_total{code="1009",reason=""} 1.0'
            while counted not in (await asyncio.to_thread(http, place, "/metrics"))[1]:
                assert time.monotonic() < deadline

    run_async(body())


def test_garbage_on_the_zeromq_ports_harms_nobody(run_async):
    async def body() -> None:
        with stand() as place:
            metrics_port = free_port()
            daemon = place.daemon("--simulate", "--metrics-port", str(metrics_port))
            place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power") as client:
                await client.wait_type("data")
                for endpoint in (place.publish, place.control):
                    port = int(endpoint.rpartition(":")[2])
                    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096, b"\xff" * 100_000):
                        with socket.create_connection(("127.0.0.1", port)) as sock:
                            # It may hang up in the middle: that is one right answer.
                            with contextlib.suppress(ConnectionError):
                                sock.sendall(garbage)
                context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
                with context.socket(zmq.DEALER) as dealer, context.socket(zmq.XSUB) as xsub:
                    for sock_ in (dealer, xsub):
                        sock_.linger, sock_.rcvtimeo = 0, int(DEADLINE * 1000)
                    dealer.connect(place.control)
                    for request, code in (
                        (b"\xff\xfe", -32700),
                        (b"{}", -32600),
                        (b'{"jsonrpc":"2.0","id":1,"method":"nope"}', -32601),
                        (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"a":1}}', -32602),
                        (b"[]", -32600),
                    ):
                        dealer.send(request)
                        assert orjson.loads(dealer.recv())["error"]["code"] == code
                    dealer.send_multipart([b"", b"", b""])
                    dealer.recv_multipart()
                    xsub.connect(place.publish)
                    for garbage in (b"", b"\x01", b"\x01power/999/", b"\x07x", b"\x01rate/4/nan/"):
                        xsub.send(garbage)
                count = len(client.of("data"))
                await client.wait_count("data", count + 5)
                assert not client.of("error")
            page = f"http://127.0.0.1:{metrics_port}/metrics"
            metrics = await asyncio.to_thread(lambda: urllib.request.urlopen(page).read())
            counted = dict(re.findall(rb'acquisitiond_errors_total\{kind="(\w+)"\} (\S+)', metrics))
            assert float(counted[b"not_zmtp"]) >= 4, counted
            assert float(counted[b"request"]) >= 6, counted
            assert daemon.terminate() == 0

    run_async(body())


IDENTITY = b"EXFO,CTP10,1,1"


def usual(message: bytes) -> bytes:
    """A well-behaved CTP10, on compound messages too."""

    def one(unit: bytes) -> bytes:
        if unit == b"*IDN?":
            return IDENTITY
        if unit.endswith(b"WAVelength?"):
            return b"1.31000000E-006"
        return b"0" if unit.endswith(b"Y?") else b"-10.5"

    return b";".join(one(unit) for unit in message.split(b";"))


def faulty(answer: bytes, cue: threading.Event) -> ScriptedInstrument:
    """Answers powers with `answer` until `cue`, and well before and after."""

    def script(conversation: Conversation) -> None:
        def reply(message: bytes) -> bytes:
            if b"POWer?" in message and b"IDN" not in message and not cue.is_set():
                return answer
            return usual(message) + b"\r\n"

        answering(reply)(conversation)

    return ScriptedInstrument(script)


@pytest.mark.parametrize(
    "answer",
    [
        b"abc;def;ghi;jkl\r\n",
        b"9.91E37;9.91E37;9.9E37;-9.9E37\r\n",
        b"-10.5;-10.5\r\n",
        b"-10.5;-10.5;-1",
        b"-10.5;-10.5;-10.5;-10.5\r\n-1;-1;-1;-1\r\n",
        b"\xff\xfe\x00;;;\r\n",
        b"\r\n",
        b"",
    ],
    ids=["text", "nan", "too few", "half a line", "two lines", "binary", "empty line", "nothing"],
)
def test_an_instrument_that_answers_nonsense_is_reported_and_recovers(run_async, answer: bytes):
    async def body() -> None:
        cue = threading.Event()
        with faulty(answer, cue) as instrument, stand() as place:
            place.daemon("--timeout-ms", "300", address=instrument.address)
            place.bridge()
            async with viewer(f"{place.url}/ws/power") as client:
                bad = await client.wait_type("data")
                assert bad["quality"] == "INVALID"
                assert [bad[f"ch{c}_power"] for c in range(1, 5)] == [None] * 4
                cue.set()
                good = await client.wait(
                    lambda m: m["type"] == "data" and m["quality"] == "VALID", timeout=5
                )
                assert good["ch1_power"] == -10.5
                assert good["wavelength_nm"] == 1310.0

    run_async(body())


def test_many_viewers_of_an_absent_module_cost_one_probe_and_no_stall(run_async):
    async def body() -> None:
        def reply(message: bytes) -> bytes | None:
            return None if b"SENSe9" in message else usual(message) + b"\r\n"

        with ScriptedInstrument(answering(reply)) as instrument, stand() as place:
            place.daemon(address=instrument.address)
            place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power?module=4") as good:
                await good.wait_type("data")
                for _ in range(3):
                    async with viewer(f"{place.url}/ws/power?module=9") as client:
                        error = await client.wait(
                            lambda m: (
                                m["type"] == "error" and "not in the instrument" in m["message"]
                            )
                        )
                        assert error["module"] == 9
                        assert not client.of("data")
                times = [m["timestamp"] for m in good.of("data")]
                assert max(b - a for a, b in pairwise(times)) < 0.5
                assert not good.of("error")
            probes = [m for m in instrument.received if b"SENSe9" in m]
            assert len(probes) <= 3, "a compound question, then two detectors singly"

    run_async(body())


@pytest.mark.parametrize(
    ("module", "arguments", "named"),
    [
        ("acquisitiond", ["--rate", "x"], "rate"),
        ("acquisitiond", ["--rate", "200"], "max_rate"),
        ("acquisitiond", ["--module", "21"], "module"),
        ("acquisitiond", ["--address", "GPIB::1"], "address"),
        ("acquisitiond", ["--publish", "tcp://nonsense"], "publish"),
        ("acquisitiond", ["--simulate", "--address", "TCPIP::h::1::SOCKET"], "--address"),
        ("acquisitiond", ["--config", "/nonexistent.toml"], "/nonexistent.toml"),
        ("acquisitiond", ["--nonsense"], "--nonsense"),
        ("wsbridge", ["--port", "99999"], "port"),
        ("wsbridge", ["--subscribe", "nowhere"], "subscribe"),
    ],
)
def test_a_wrong_option_ends_with_code_2_and_one_sentence_that_names_it(
    module: str, arguments: list[str], named: str
):
    with stand() as place:
        process = place.start(module, *arguments)
        assert process.wait() == 2
        assert named in process.output.splitlines()[-1]
        assert "Traceback" not in process.output


def test_a_taken_port_is_one_sentence_that_names_it():
    with stand() as place:
        place.daemon("--simulate")
        again = place.start("acquisitiond", "--simulate", "--publish", place.publish)
        assert again.wait() == 1
        assert place.publish in again.output.splitlines()[-1]
        assert "Traceback" not in again.output
