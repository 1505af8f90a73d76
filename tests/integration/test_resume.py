"""A client that comes back has every reading, or knows exactly which it lacks."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise

from tests.integration.test_path import until_ready
from tests.support.processes import stand
from tests.support.viewers import Viewer, viewer

CLIENTS = 40


def position(client: Viewer) -> str:
    last = client.of("data")[-1]
    return f"{last['epoch']}:{last['seq']}"


def test_after_a_bridge_was_killed_every_client_holds_every_reading(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate", "--rate", "50")
            bridge = place.bridge()
            await until_ready(place)
            url = f"{place.url}/ws/power?interval=0.01"
            async with contextlib.AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(viewer(url)) for _ in range(CLIENTS)]
                for client in clients:
                    await client.wait_count("data", 5)
                bridge.kill()
                for client in clients:
                    await client.closed()
            place.bridge()
            async with contextlib.AsyncExitStack() as stack:
                back = [
                    await stack.enter_async_context(viewer(f"{url}&since={position(client)}"))
                    for client in clients
                ]
                for before, after in zip(clients, back, strict=True):
                    await after.wait_count("data", 60)
                    assert after.messages[0]["type"] == "resumed"
                    assert after.messages[0]["recovered"] is True
                    seqs = [m["seq"] for m in before.of("data") + after.of("data")]
                    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
                    assert not after.of("gap")

    run_async(body())


def test_since_an_epoch_that_ended_says_so_and_brings_the_new_one_from_its_start(run_async):
    async def body() -> None:
        with stand() as place:
            daemon = place.daemon("--simulate")
            place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power") as staying:
                async with viewer(f"{place.url}/ws/power") as client:
                    await client.wait_count("data", 5)
                old = client.of("data")[-1]
                daemon.kill()
                place.daemon("--simulate")
                gap = await staying.wait_type("gap")
                assert (gap["epoch"], gap["reason"]) == (old["epoch"], "epoch_changed")
                new = await staying.wait(
                    lambda m: m["type"] == "data" and m["epoch"] != old["epoch"]
                )
                assert new["seq"] == 1, "all of the new epoch"
                async with viewer(f"{place.url}/ws/power?since={position(client)}") as back:
                    await back.wait_count("data", 3)
                    resumed, gap = back.messages[:2]
                    assert (resumed["type"], resumed["recovered"]) == ("resumed", False)
                    assert (gap["type"], gap["from_seq"]) == ("gap", old["seq"] + 1)
                    assert (gap["to_seq"], gap["reason"]) == (None, "epoch_changed")
                    seqs = [m["seq"] for m in back.of("data")]
                    assert seqs == list(range(1, len(seqs) + 1))

    run_async(body())


def test_what_the_history_forgot_is_announced(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate", "--rate", "100", "--history-mb", "0.02")
            bridge = place.bridge()
            await until_ready(place)
            url = f"{place.url}/ws/power?interval=0.01"
            async with viewer(url) as client:
                await client.wait_count("data", 5)
            bridge.kill()
            place.bridge()
            await until_ready(place)
            async with viewer(f"{url}&since={client.of('data')[0]['epoch']}:0") as back:
                await back.wait_count("data", 10)
                resumed, gap = back.messages[:2]
                assert (resumed["type"], resumed["recovered"]) == ("resumed", False)
                assert (gap["from_seq"], gap["reason"]) == (1, "evicted")
                seqs = [m["seq"] for m in back.of("data")]
                assert seqs == list(range(gap["to_seq"] + 1, gap["to_seq"] + 1 + len(seqs)))

    run_async(body())


def test_a_thinned_client_resumes_thinned(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate", "--rate", "50")
            place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power?interval=0.01") as fast:
                first = (await fast.wait_count("data", 150))[0]
            since = f"{first['epoch']}:{first['seq']}"
            async with viewer(f"{place.url}/ws/power?interval=0.5&since={since}") as slow:
                readings = await slow.wait_count("data", 8)
                steps = {round(b["timestamp"] - a["timestamp"], 1) for a, b in pairwise(readings)}
                assert steps <= {0.5, 0.4, 0.6}

    run_async(body())


def test_a_wrong_since_is_refused(run_async):
    async def body() -> None:
        with stand() as place:
            place.bridge()
            for bad in ("x", "a:", ":1", "a:-1", "a:1:2", "", "é:1"):
                with contextlib.suppress(Exception):
                    async with viewer(f"{place.url}/ws/power?since={bad}"):
                        raise AssertionError(bad)

    run_async(body())


def test_a_bridge_that_was_stopped_loses_nothing(run_async):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate", "--rate", "100")
            bridge = place.bridge()
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power?interval=0.01") as client:
                await client.wait_count("data", 10)
                bridge.signal(19)
                with contextlib.suppress(TimeoutError):  # the stop is to last a while
                    await client.wait(lambda m: False, timeout=3)
                bridge.signal(18)
                count = len(client.of("data"))
                await client.wait_count("data", count + 100)
                assert client.open
            seqs = [m["seq"] for m in client.of("data")]
            assert seqs == sorted(set(seqs))
            await asyncio.sleep(0)

    run_async(body())
