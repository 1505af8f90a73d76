"""Start order does not matter, and whoever dies is not missed for longer than it is away."""

from __future__ import annotations

import signal
import time

import pytest

from tests.integration.test_path import until_ready
from tests.support.processes import Process, stand
from tests.support.viewers import Viewer, viewer

RECOVERY = 2.0
"""Seconds that the promise allows from the return of what was away to data."""
MARGIN = 1.0
"""Seconds that a loaded machine may add: starting an interpreter is in the measured time."""


async def data_again(client: Viewer, since: float, after: int) -> None:
    reading = await client.wait(
        lambda m: m["type"] == "data" and m["timestamp"] >= since, after=after
    )
    assert reading["_arrived"] - since < RECOVERY + MARGIN
    assert client.open


def test_the_bridge_may_start_first_and_the_instrument_last(run_async):
    async def body() -> None:
        with stand() as place:
            place.bridge()
            async with viewer(f"{place.url}/ws/power?module=4&interval=0.1") as client:
                error = await client.wait_type("error")
                assert error["recoverable"] is True
                place.daemon()
                await client.wait(lambda m: m["type"] == "error" and "instrument" in m["message"])
                place.simulator()
                await data_again(client, time.time(), 0)

    run_async(body())


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("who", ["simulator", "daemon"])
def test_viewers_stay_and_are_told_when_one_restarts(run_async, who: str, way: int):
    async def body() -> None:
        with stand() as place:
            running: dict[str, Process] = {
                "simulator": place.simulator(),
                "daemon": place.daemon(),
            }
            place.bridge()
            async with viewer(f"{place.url}/ws/power") as client:
                first = await client.wait_type("data")
                seen = len(client.messages)
                running[who].signal(way)
                running[who].wait()
                gone = time.time()
                error = await client.wait_type("error", after=seen)
                assert error["_arrived"] - gone < 1.5
                seen = len(client.messages)
                getattr(place, who)()
                await data_again(client, time.time(), seen)
                last = client.of("data")[-1]
                assert (last["epoch"] == first["epoch"]) == (who == "simulator")

    run_async(body())


def test_a_stopped_daemon_is_noticed_and_resumes(run_async):
    async def body() -> None:
        with stand() as place:
            daemon = place.daemon("--simulate")
            place.bridge()
            async with viewer(f"{place.url}/ws/power") as client:
                await client.wait_type("data")
                seen = len(client.messages)
                daemon.signal(signal.SIGSTOP)
                await client.wait_type("error", after=seen)
                seen = len(client.messages)
                daemon.signal(signal.SIGCONT)
                await data_again(client, time.time(), seen)

    run_async(body())


def test_a_bridge_that_restarts_serves_whoever_comes_back(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            bridge = place.bridge()
            async with viewer(f"{place.url}/ws/power") as client:
                await client.wait_type("data")
                assert bridge.terminate() == 0
                reconnect = await client.wait_type("reconnect")
                assert reconnect["retry_after"] > 0
                assert await client.closed() in (1001, 1012)
            place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power") as client:
                await client.wait_type("data")

    run_async(body())


@pytest.mark.parametrize("who", ["daemon", "bridge"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds_with_code_0(run_async, who: str, number: int):
    async def body() -> None:
        with stand() as place:
            running = {"daemon": place.daemon("--simulate"), "bridge": place.bridge()}
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power"):
                started = time.monotonic()
                running[who].signal(number)
                assert running[who].wait() == 0, running[who].output
                assert time.monotonic() - started < 2 + MARGIN
                assert "Traceback" not in running[who].output

    run_async(body())


def test_the_daemon_ends_though_the_instrument_never_answers():
    with stand() as place:
        place.simulator("--latency-ms", "60000")
        daemon = place.daemon("--timeout-ms", "600000")
        started = time.monotonic()
        assert daemon.terminate() == 0
        assert time.monotonic() - started < 2 + MARGIN


def test_ctp10_up_says_when_data_flows_and_one_ctrl_c_ends_all():
    with stand() as place:
        endpoints = ("--publish", place.publish, "--control", place.control, "--metrics-port", "0")
        up = place.start("ctp10", "up", "--simulate", "--port", str(place.port), *endpoints)
        up.wait_for(rf"open http://localhost:{place.port}/")
        up.signal(signal.SIGINT)
        assert up.wait() == 0
        assert "Traceback" not in up.output


def test_ctp10_up_ends_with_a_reason_when_a_port_is_taken():
    with stand() as place:
        place.bridge()
        endpoints = ("--publish", place.publish, "--control", place.control, "--metrics-port", "0")
        up = place.start("ctp10", "up", "--simulate", "--port", str(place.port), *endpoints)
        assert up.wait() == 1
        assert "Address already in use" in up.output or "address already in use" in up.output
        assert "Traceback" not in up.output
