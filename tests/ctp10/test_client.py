"""The client against a real acquisitiond, and against nobody."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ctp10
from ctp10.receiver import Receiver
from tests.support.processes import DEADLINE, Stand, free_port, stand

PYTHON = [sys.executable, "-X", "dev", "-W", "error"]


@pytest.fixture(scope="module")
def place() -> Iterator[Stand]:
    with stand() as place:
        place.daemon("--simulate")
        yield place


def at(place: Stand, **options: Any) -> dict[str, Any]:
    return {"endpoint": place.publish, "control": place.control, "timeout": DEADLINE} | options


def nowhere() -> dict[str, Any]:
    return {f: f"tcp://127.0.0.1:{free_port()}" for f in ("endpoint", "control")}


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline


def tasks() -> set[str]:
    return {path.name for path in Path("/proc/self/task").iterdir()}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_readings_are_typed_immutable_and_consecutive(place: Stand):
    with ctp10.subscribe(module=4, **at(place)) as readings:
        taken = [next(readings) for _ in range(5)]
    first = taken[0]
    assert isinstance(first, ctp10.Reading)
    assert abs(first.timestamp - time.time()) < DEADLINE
    assert first.unit == "dBm"
    assert first.quality == "VALID"
    assert isinstance(first.ch1_power, float)
    with pytest.raises(AttributeError):
        first.ch1_power = 0.0  # type: ignore[misc]
    assert [r.seq for r in taken] == list(range(first.seq, first.seq + 5))


def test_a_module_that_nobody_configured_is_read_because_of_the_subscription():
    with stand() as place:
        place.simulator("--module", "4:4", "--module", "7:2")
        place.daemon("--module", "4")
        with ctp10.subscribe(module=7, **at(place)) as readings:
            assert next(readings).module == 7


def test_a_module_that_is_not_there_is_an_instrument_error(place: Stand):
    with ctp10.subscribe(module=20, **at(place)) as readings:
        with pytest.raises(ctp10.InstrumentError, match="module 20"):
            next(readings)


def test_a_wished_rate_is_read(place: Stand):
    with ctp10.subscribe(rate=100, **at(place)) as readings:
        until(lambda: -next(readings).timestamp + next(readings).timestamp < 0.05)


def test_the_state_and_status_tell_of_the_instrument(place: Stand):
    with ctp10.subscribe(**at(place)) as readings:
        until(lambda: next(readings) is not None and readings.status is not None)
        assert readings.state == "connected"
        assert readings.status is not None
        assert readings.status.simulated
        assert (readings.status.instrument or "").startswith("EXFO,CTP10")


def test_close_ends_whoever_iterates_and_leaves_nothing(place: Stand):
    threads, open_files = tasks(), descriptors()
    readings = ctp10.subscribe(**at(place))
    taken: list[ctp10.Reading] = []
    reader = threading.Thread(target=lambda: taken.extend(readings))
    reader.start()
    until(lambda: len(taken) > 1)
    readings.close()
    reader.join(DEADLINE)
    assert not reader.is_alive()
    assert list(readings) == []
    assert readings.closed
    readings.close()
    until(lambda: tasks() <= threads)
    assert descriptors() == open_files


def test_a_forgotten_subscription_ends_by_itself(place: Stand):
    threads, open_files = tasks(), descriptors()
    for _ in ctp10.subscribe(**at(place)):
        break
    until(lambda: tasks() <= threads)
    assert descriptors() == open_files


def test_a_subscription_in_a_cycle_of_garbage_ends_with_it(place: Stand):
    threads = tasks()
    cycle: list[Any] = [ctp10.subscribe(**at(place))]
    cycle.append(cycle)
    gone = weakref.ref(cycle[0])
    next(cycle[0])
    del cycle
    gc.collect()
    assert gone() is None
    until(lambda: tasks() <= threads)


def test_a_hundred_subscriptions_one_after_the_other_leave_nothing(place: Stand):
    threads, open_files = tasks(), descriptors()
    for _ in range(100):
        ctp10.subscribe(**at(place)).close()
    until(lambda: tasks() <= threads)
    assert descriptors() == open_files


def test_a_busy_consumer_misses_nothing(place: Stand):
    with ctp10.subscribe(rate=100, gaps="raise", **at(place)) as readings:
        first = next(readings)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            sum(range(10_000))  # a cell that computes and never waits
        before = time.time()
        taken = [first]
        while taken[-1].timestamp < before:
            taken.append(next(readings))
    assert [r.seq for r in taken] == list(range(first.seq, first.seq + len(taken)))
    assert len(taken) > 50


def test_async_for_and_a_loop_that_is_busy(place: Stand, run_async: Any):
    async def body() -> None:
        async with ctp10.subscribe(gaps="raise", **at(place)) as readings:
            seqs = []
            async for reading in readings:
                seqs.append(reading.seq)
                if len(seqs) == 3:
                    time.sleep(0.5)  # the kernel's loop is held up  # noqa: ASYNC251
                if len(seqs) == 10:
                    break
            assert seqs == list(range(seqs[0], seqs[0] + 10))

    run_async(body())


def test_a_cancelled_wait_loses_nothing(place: Stand, run_async: Any):
    async def body() -> None:
        async with ctp10.subscribe(gaps="raise", **at(place)) as readings:
            seqs = [(await anext(readings)).seq]
            while len(seqs) < 5:
                try:
                    async with asyncio.timeout(0.01):
                        seqs.append((await anext(readings)).seq)
                except TimeoutError:
                    continue
            assert seqs == list(range(seqs[0], seqs[0] + 5))

    run_async(body())


def test_a_timeout_says_why():
    with ctp10.subscribe(timeout=0.05, **nowhere()) as readings:
        with pytest.raises(TimeoutError, match=r"acquisitiond is not heard at tcp://127"):
            next(readings)
        assert readings.state == "unreachable"


def test_an_async_timeout_says_why(run_async: Any):
    async def body() -> None:
        async with ctp10.subscribe(timeout=0.05, **nowhere()) as readings:
            with pytest.raises(TimeoutError, match=r"acquisitiond is not heard"):
                await anext(readings)

    run_async(body())


def test_a_timeout_says_that_the_instrument_is_away():
    with stand() as place:
        place.daemon()  # where its simulator would be, there is nothing
        with ctp10.subscribe(**at(place, timeout=1.5)) as readings:
            with pytest.raises(TimeoutError, match=r"the instrument is not connected \(.*refused"):
                next(readings)
            assert readings.state == "connecting"


def test_it_waits_for_a_daemon_and_goes_on_when_that_is_restarted():
    with stand() as place:
        with ctp10.subscribe(gaps="report", **at(place)) as readings:
            daemon = place.daemon("--simulate")
            before = next(readings)
            assert isinstance(before, ctp10.Reading)
            daemon.kill()
            place.daemon("--simulate")
            between = [before, next(readings)]
            while not isinstance(between[-1], ctp10.Gap):
                between.append(next(readings))
            gap, after = between[-1], next(readings)
        assert gap.reason == "epoch_changed"
        assert gap.epoch == before.epoch
        assert gap.from_seq == between[-2].seq + 1  # type: ignore[union-attr]
        assert isinstance(after, ctp10.Reading)
        assert after.epoch != before.epoch
        assert after.seq == 1, "the new daemon's first readings were fetched"


def test_since_brings_everything_from_then_on(place: Stand):
    with ctp10.subscribe(**at(place)) as readings:
        first = next(readings)
        for _ in range(3):
            last = next(readings)
    with ctp10.subscribe(since=first, gaps="raise", **at(place)) as readings:
        again = [next(readings) for _ in range(6)]
    assert [r.seq for r in again] == list(range(first.seq + 1, first.seq + 7))
    assert again[2] == last


def test_a_fault_of_the_receiving_thread_is_raised(monkeypatch: pytest.MonkeyPatch):
    def fail(_: Receiver) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Receiver, "_receive", fail)
    with ctp10.subscribe(**nowhere()) as readings:
        with pytest.raises(RuntimeError, match="receiving thread failed"):
            next(readings)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"module": 0}, "module=0 is not allowed: expected a whole number from 1 to 20"),
        ({"module": "4"}, "module='4'"),
        ({"rate": 0}, "rate=0"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"gaps": "ignore"}, "gaps='ignore'"),
        ({"timeout": -1}, "timeout=-1"),
        ({"buffer": 0}, "buffer=0"),
        ({"since": "a:1"}, "since='a:1'"),
        ({"endpoint": "localhost"}, "endpoint='localhost'.*tcp://HOST:PORT"),
        ({"control": "udp://x"}, "control='udp://x'"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(wrong: dict[str, Any], says: str):
    threads, open_files = tasks(), descriptors()
    with pytest.raises(ValueError, match=says):
        ctp10.subscribe(**wrong)
    until(lambda: tasks() <= threads)
    assert descriptors() == open_files


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PYTHON, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_importing_it_needs_pyzmq_and_orjson_only():
    script = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"ctp10", "zmq", "orjson"}:
            raise ImportError(f"{name} is not among what a notebook must have")
sys.meta_path.insert(0, Blocker())
import zmq
import ctp10
assert ctp10.subscribe and ctp10.__version__
ctp10.subscribe().close()
"""
    assert run(script).stderr == ""


def test_importing_it_is_quick():
    script = """
import time, zmq
start = time.process_time()
import ctp10
print(time.process_time() - start)
"""
    times = [
        float(subprocess.check_output([sys.executable, "-c", script], text=True)) for _ in range(5)
    ]
    assert min(times) < 0.15


def test_an_interpreter_that_ends_in_the_middle_ends_at_once(place: Stand):
    script = """
import sys, ctp10
readings = ctp10.subscribe(endpoint=sys.argv[1], control=sys.argv[2], rate=100)
print(next(readings).seq)
"""
    ended = run(script, place.publish, place.control)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_fork_leaves_its_parents_subscription_alone(place: Stand):
    script = """
import os, sys, ctp10
readings = ctp10.subscribe(endpoint=sys.argv[1], control=sys.argv[2], gaps="raise")
next(readings)
child = os.fork()
if child == 0:
    del readings
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
for _ in range(5):
    next(readings)
"""
    ended = run(script, place.publish, place.control)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_ctrl_c_ends_the_wait():
    script = """
import os, signal, sys, threading, ctp10
main = threading.get_ident()
def interrupt():
    while sys._current_frames()[main].f_back.f_code.co_name != "take":
        pass
    os.kill(os.getpid(), signal.SIGINT)
with ctp10.subscribe(endpoint=sys.argv[1], control=sys.argv[1]) as readings:
    threading.Thread(target=interrupt).start()
    try:
        next(readings)
    except KeyboardInterrupt:
        print("interrupted")
"""
    ended = run(script, f"tcp://127.0.0.1:{free_port()}")
    assert (ended.stdout, ended.stderr, ended.returncode) == ("interrupted\n", "", 0)
