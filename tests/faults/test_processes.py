"""What becomes of the processes, and what viewers see of it: killed, stopped, starved, besieged.

What `watched` and `line` check at the end holds here too: see `test_link`. The wall clock cannot be
set for one process without a tool that is not at hand everywhere; `test_clock` hands it in.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.line import HOLD, MARGIN, Line, at_rest, is_valid, line, stopped
from tests.integration.test_fanout import StalledClient, metric
from tests.integration.test_path import until_ready
from tests.integration.test_restarts import RECOVERY
from tests.support.processes import free_port, stand

SILENT = 1.0 + 0.25 + MARGIN
"""Seconds after which a viewer is told that readings stopped without a word."""


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """One line for all who are not killed, without a proxy in it."""
    with line(tmp_path_factory.mktemp("measured"), direct=True) as running:
        yield running


def test_whoever_is_killed_is_told_and_served_when_it_is_back(run_async, tmp_path: Path):
    """SIGKILL, in turn. The daemon: an `error` within 1.5 s, and data of a new epoch when there is
    another. The instrument: the same, in the same epoch. The bridge: its viewers lose their
    connections, the daemon and the notebook notice nothing, and who comes back has data at once."""

    async def body() -> None:
        with line(tmp_path, direct=True) as link:
            async with link.watched():
                first = await link.back()
                seen = link.now
                link.daemon.kill()
                await link.told_error(seen, 1.5 + MARGIN)
                link.start_daemon()
                second = await link.back(RECOVERY + MARGIN)
                assert second["epoch"] != first["epoch"]

                seen, started = link.now, first["timestamp"] - 10
                link.simulator.kill()
                link.unlogged.append((started, time.time()))
                await link.told_error(seen, 1.5 + MARGIN)
                link.start_simulator()
                assert (await link.back(RECOVERY + MARGIN))["epoch"] == second["epoch"]

                link.bridge.kill()
                await link.client.closed()
                before = len(link.notebook.messages)
                with at_rest(link.daemon):
                    link.start_bridge()
                    await until_ready(link.place)
                async with link.viewing():
                    assert (await link.back(RECOVERY + MARGIN))["epoch"] == second["epoch"]
                    assert not [m for m in link.notebook.messages[before:] if not is_valid(m)]

    run_async(body())


def test_a_stopped_daemon_is_told_and_goes_on_where_it_was(run_async, link: Line):
    """SIGSTOP: an `error` once no reading is fresh. SIGCONT: data again at once, of the same
    epoch, and no burst of readings to make up for those that were not taken."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            with stopped(link.daemon):
                await link.told_error(seen, SILENT)
                with at_rest(link.bridge):
                    await asyncio.sleep(HOLD)
            continued, seen = time.time(), link.now
            await link.back(RECOVERY + MARGIN)
            burst = [m for m in link.client.messages[seen:] if m["_arrived"] < continued + 0.5]
            assert len([m for m in burst if m["type"] == "data"]) <= 8

    run_async(body())


def test_a_stopped_bridge_shows_the_present_when_it_goes_on(run_async, link: Line):
    """SIGSTOP for longer than the bridge's own patience. Meanwhile the daemon acquires and the
    notebook misses nothing. SIGCONT: the viewer gets the newest readings at once, in order, and
    not the whole past."""

    async def body() -> None:
        async with link.watched():
            before = len(link.notebook.messages)
            with stopped(link.bridge), at_rest(link.daemon):
                await asyncio.sleep(3.0)
            continued, seen = time.time(), link.now
            await link.back(RECOVERY + MARGIN)
            old = [m for m in link.client.messages[seen:] if m.get("seq") and is_valid(m)]
            assert len([m for m in old if m["timestamp"] < continued - 1.0]) <= 8
            assert len(link.notebook.messages) - before > 25
            assert all(is_valid(m) for m in link.notebook.messages[before:])

    run_async(body())


def test_a_stopped_instrument_is_told_and_served_when_it_goes_on(run_async, link: Line):
    """SIGSTOP: the kernel goes on accepting connections and questions in its name, and nothing
    answers. SIGCONT: it answers all that it was asked meanwhile, on connections long given up."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            with stopped(link.simulator):
                await link.told(seen)
                await link.lasts()
            await link.back()

    run_async(body())


def test_an_answer_that_is_read_long_after_it_came_is_no_reading_of_now(run_async, tmp_path: Path):
    """The daemon is stopped while it waits for an answer, longer than its deadline. What it finds
    when it goes on was measured when it was stopped: shown with the present's timestamp, it would
    be an old reading for a live one. The instrument takes longer than a period, so that a stop
    always hits such a moment."""

    async def body() -> None:
        with line(tmp_path, "--latency-ms", "150", direct=True) as link:
            async with link.watched():
                for _ in range(2):
                    with stopped(link.daemon):
                        await asyncio.sleep(HOLD)
                    await link.back()

    run_async(body())


def test_a_client_that_never_reads_is_nobody_elses_trouble(run_async, link: Line):
    """It asks for a hundred readings a second and takes none. The others get theirs without a gap
    worth mentioning, and the bridge is not busy with it."""

    async def body() -> None:
        async with link.watched():
            with StalledClient(link.place, "/ws/power?interval=0.01").sock:
                seen = link.now
                with at_rest(link.bridge), at_rest(link.daemon):
                    await link.client.wait_count("data", len(link.client.of("data")) + 15)
                assert_uninterrupted(link, seen)

    run_async(body())


def test_200_clients_that_drop_at_once_are_nobody_elses_trouble(run_async, link: Line):
    """All of them by RST, without a close frame. Those who stay have no gap, the dead are counted
    out, and neither a core nor a log is full of them."""

    async def body() -> None:
        async with link.watched():
            clients = [StalledClient(link.place, "/ws/power") for _ in range(200)]
            seen = link.now
            assert metric(link.place, "wsbridge_connections") == 201
            with at_rest(link.bridge), at_rest(link.daemon):
                for client in clients:
                    reset(client.sock)
                await link.client.wait_count("data", len(link.client.of("data")) + 15)
            assert metric(link.place, "wsbridge_connections") == 1
            assert_uninterrupted(link, seen)

    run_async(body())


def assert_uninterrupted(link: Line, after: int) -> None:
    """From message `after` on, the viewer got VALID readings only, and none came late."""
    messages = link.client.messages[after:]
    assert all(is_valid(message) for message in messages), messages
    gaps = [later["_arrived"] - earlier["_arrived"] for earlier, later in pairwise(messages)]
    assert max(gaps) < MARGIN


def reset(sock: socket.socket) -> None:
    """Close by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("what", ["port", "publish", "control"])
def test_who_finds_a_port_taken_says_which_and_ends_and_harms_nobody(
    run_async, link: Line, what: str
):
    """Exit code 1, and the last line names the port; no traceback. Who has the port goes on."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            if what == "port":
                taken = str(link.place.port)
                process = link.place.start("wsbridge", "--port", taken)
            else:
                taken = getattr(link.place, what)
                other = {"publish": "control", "control": "publish"}[what]
                free = f"tcp://127.0.0.1:{free_port()}"
                options = (f"--{what}", taken, f"--{other}", free, "--metrics-port", "0")
                process = link.place.start(
                    "acquisitiond", "--address", link.place.address, *options
                )
            assert await asyncio.to_thread(process.wait) == 1
            assert taken in process.output.splitlines()[-1]
            assert "Traceback" not in process.output
            assert all(is_valid(message) for message in link.client.messages[seen:])

    run_async(body())


def test_a_daemon_whose_metrics_port_is_taken_says_so_and_measures_without(link: Line):
    """Readings matter more than their statistics."""
    with socket.create_server(("127.0.0.1", 0)) as somebody, stand() as place:
        taken = somebody.getsockname()[1]
        daemon = place.daemon("--metrics-port", str(taken), address=link.place.address)
        daemon.wait_for(f"no metrics: port {taken}")
        daemon.wait_for("connected to EXFO")
