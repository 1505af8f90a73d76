"""Who gets what and when: thinned on a grid, in order, never twice, and told when nothing comes."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode

from ctp10 import wire
from tests.support.frames import messages
from tests.support.upstream import HubWithUpstream
from wsbridge.bucket import MOST_A_TICK, Bucket, Mode, Subscription
from wsbridge.hub import Want
from wsbridge.message import Encoding, Message

START = 1_764_000_000.0  # Unix seconds; the monotonic clock of these tests starts at 0
EPOCH = "5f0c2a9be47d1380"


class Viewer:
    """A client that takes everything, and remembers it."""

    def __init__(self, encoding: Encoding = "ctp10.json") -> None:
        self.encoding: Encoding = encoding
        self.paused = False
        self.got: list[Any] = []
        self.writes = 0
        self.held: tuple[bytes, int] | None = None
        self.bucket: Bucket | None = None
        #: Bytes that its socket takes at once; a buffer takes the rest.
        self.room = 1_000_000
        self._taken = b""

    def stall(self) -> None:
        """Take nothing for now, as a connection does that its transport pauses."""
        assert self.bucket is not None
        self.paused = True
        self.bucket.stall(self)

    def go_on(self) -> None:
        """Take everything again."""
        assert self.bucket is not None
        self.paused = False
        self.bucket.go_on(self)

    def push(self, data: bytes) -> int:
        assert not self.paused
        if not self.room:
            raise BlockingIOError
        self._taken = data[: self.room]
        if len(self._taken) == len(data):
            self.write(b"")
        return min(len(data), self.room)

    def write(self, data: bytes) -> None:
        assert not self.paused
        assert self.encoding == "ctp10.json"
        self.writes += 1
        self.got += map(orjson.loads, messages(self._taken + data, Opcode.TEXT))
        self._taken = b""

    def hold(self, frames: bytes, count: int) -> None:
        assert self.paused
        assert len(messages(frames)) == count
        self.held = frames, count

    def deliver(self, frames: bytes, count: int) -> None:
        assert len(messages(frames)) == count
        self.write(frames)

    def tell(self, message: Message) -> None:
        self.got += map(orjson.loads, messages(message.frame(self.encoding)))

    @property
    def seqs(self) -> list[int]:
        return [message["seq"] for message in self.got if message["type"] == "data"]

    @property
    def errors(self) -> list[str]:
        return [message["message"] for message in self.got if message["type"] == "error"]


def wanted(module: int = 4, interval: float = 0.1, mode: Mode = "latest") -> Subscription:
    return Subscription(module, interval, mode, "ctp10.json")


def reading(seq: int, at: float, module: int = 4, epoch: str = EPOCH) -> bytes:
    return wire.encode(
        wire.Reading(
            timestamp=round(START + at, 6),
            module=module,
            wavelength_nm=1310.0,
            unit="dBm",
            ch1_power=-float(seq % 10),
            ch2_power=-21.56,
            ch3_power=6.94,
            ch4_power=-60.12,
            quality="VALID",
            epoch=epoch,
            seq=seq,
        )
    )


def absence(module: int = 4, seq: int = 1) -> bytes:
    return wire.encode(
        wire.Error(
            message=f"module {module} is not in the instrument",
            timestamp=wire.iso_timestamp(START),
            recoverable=True,
            error_count=1,
            module=module,
            epoch=EPOCH,
            seq=seq,
        )
    )


class Bench:
    """A hub whose source can be heard, and a source that counts."""

    def __init__(self) -> None:
        self.hub = HubWithUpstream(lambda: START)
        self.hub.set_trouble(None)
        self.seq = 0

    def join(
        self, now: float, module: int = 4, interval: float = 0.1, mode: Mode = "latest"
    ) -> Viewer:
        viewer = Viewer()
        viewer.bucket = self.hub.join(viewer, wanted(module, interval, mode), now)
        return viewer

    def arrive(self, now: float, taken_at: float | None = None, module: int = 4) -> int:
        self.seq += 1
        payload = reading(self.seq, now if taken_at is None else taken_at, module)
        return self.hub.reading(module, payload, now)

    def miss(self, module: int = 4) -> None:
        """The daemon says, under the topic's next number, that the module is not there."""
        self.seq += 1
        self.hub.reading(module, absence(module, self.seq), 0.0)

    def flush(self) -> int:
        return self.hub.flush().messages

    def tick(self, now: float, module: int = 4) -> None:
        self.arrive(now, module=module)
        self.flush()


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- joining and leaving -------------------------------------------------------------------------


def test_a_client_gets_the_newest_reading_at_once(bench: Bench) -> None:
    for number in range(3):
        bench.tick(number / 10)
    assert bench.join(0.25).seqs == [3]


def test_a_client_before_any_reading_gets_an_error_and_then_the_first(bench: Bench) -> None:
    viewer = bench.join(0.0)
    assert [message["type"] for message in viewer.got] == ["error"]
    assert "module 4" in viewer.errors[0]
    assert viewer.got[0]["recoverable"] is True
    bench.tick(0.01)
    assert viewer.seqs == [1]


def test_a_client_does_not_get_a_stale_reading_for_a_live_one(bench: Bench) -> None:
    bench.tick(0.0)
    viewer = bench.join(5.0)
    assert viewer.seqs == []
    assert len(viewer.errors) == 1


def test_a_client_that_comes_while_nothing_can_come_is_told_why(bench: Bench) -> None:
    bench.tick(0.0)
    bench.hub.set_trouble("acquisitiond is away")
    viewer = bench.join(0.05)
    assert viewer.seqs == []
    assert viewer.errors == ["acquisitiond is away"]


def test_before_anything_was_heard_a_client_is_told_so() -> None:
    hub, viewer = HubWithUpstream(lambda: START), Viewer()
    hub.join(viewer, wanted(), 0.0)
    assert len(viewer.errors) == 1
    assert "acquisitiond" in viewer.errors[0]


def test_a_client_of_a_module_that_is_not_there_gets_the_daemons_own_words(bench: Bench) -> None:
    bench.miss(7)
    assert bench.join(0.0, module=7).errors == ["module 7 is not in the instrument"]


def test_the_newest_reading_of_a_snapshot_is_for_all_clients_while_it_is_fresh(
    bench: Bench,
) -> None:
    before = bench.join(0.0)
    bench.hub.old_reading(4, reading(41, -0.3), 0.0)
    bench.hub.flush()
    assert before.seqs == [41]
    assert bench.join(0.1).seqs == [41]


def test_an_old_reading_of_a_snapshot_is_nobodys_newest(bench: Bench) -> None:
    before = bench.join(0.0)
    bench.hub.old_reading(4, reading(41, -9.0), 0.0)
    bench.hub.flush()
    assert before.seqs == []
    assert bench.join(0.1).seqs == []


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"type":"data"}'])
def test_a_snapshot_that_is_no_reading_counts_for_nothing(bench: Bench, payload: bytes) -> None:
    bench.hub.old_reading(4, payload, 0.0)
    assert len(bench.join(0.1).errors) == 1


def test_a_snapshot_never_replaces_a_newer_reading(bench: Bench) -> None:
    bench.tick(0.9)
    bench.tick(1.0)
    bench.hub.old_reading(4, reading(1, 0.9), 1.0)
    assert bench.join(1.1).seqs == [2]


def test_what_a_snapshot_brought_is_not_delivered_again_when_it_arrives(bench: Bench) -> None:
    bench.hub.old_reading(4, reading(2, 0.1), 0.1)
    viewer = bench.join(0.15)
    for now in (0.16, 0.17):
        bench.tick(now)  # 1 and 2 were on their way when the snapshot was taken
    bench.tick(0.2)
    assert viewer.seqs == [2, 3]


def test_a_client_that_left_gets_nothing_more(bench: Bench) -> None:
    stays, leaves = bench.join(0.0), bench.join(0.0)
    bench.hub.leave(leaves, wanted())
    bench.hub.set_trouble("away")
    bench.hub.set_trouble(None)
    bench.miss()
    bench.tick(0.0)
    assert (len(stays.errors), stays.seqs) == (3, [2])
    assert (len(leaves.errors), leaves.seqs) == (1, [])


def test_leaving_what_was_never_joined_is_nothing(bench: Bench) -> None:
    bench.hub.leave(Viewer(), wanted())
    viewer = bench.join(0.0)
    bench.hub.leave(viewer, wanted(interval=1.0))
    bench.hub.leave(Viewer(), wanted())
    bench.tick(0.1)
    assert viewer.seqs == [1]
    bench.hub.leave(viewer, wanted())
    bench.hub.leave(viewer, wanted())


# --- what is wanted ------------------------------------------------------------------------------


def test_the_shortest_interval_of_a_module_is_wanted_for_as_long_as_somebody_has_it(
    bench: Bench,
) -> None:
    assert bench.hub.wants() == set()
    slow = bench.join(0.0, interval=1.0)
    fast = bench.join(0.0, interval=0.02)
    bench.join(0.0, module=7, interval=0.5)
    assert bench.hub.wants() == {Want(4, 50.0), Want(7, 2.0)}
    bench.hub.leave(fast, wanted(interval=0.02))
    assert bench.hub.wants() == {Want(4, 1.0), Want(7, 2.0)}
    bench.hub.leave(slow, wanted(interval=1.0))
    assert bench.hub.wants() == {Want(7, 2.0)}


def test_readings_of_a_module_that_nobody_has_make_it_not_wanted(bench: Bench) -> None:
    bench.tick(0.0, module=9)
    assert bench.hub.wants() == set()


# --- thinning ------------------------------------------------------------------------------------


def run(bench: Bench, viewer_interval: float, hz: float, seconds: float, jitter: float) -> Viewer:
    """A source of `hz`, each of its readings up to `jitter` late, and one viewer of it."""
    rng = random.Random(7)
    period = 1 / hz
    bench.tick(0.0)
    bench.hub.periods({4: period})
    viewer = bench.join(0.001, interval=viewer_interval)
    for number in range(1, round(seconds * hz) + 1):
        bench.tick(number * period + rng.uniform(0, jitter))
    return viewer


def test_a_hundredth_of_a_second_from_a_hundred_a_second_is_every_reading(bench: Bench) -> None:
    viewer = run(bench, 0.01, hz=100, seconds=30, jitter=0.004)
    assert viewer.seqs == list(range(1, 3002))


@pytest.mark.parametrize("jitter", [0.0, 0.004])
def test_one_a_second_from_a_hundred_a_second_is_one_a_second(bench: Bench, jitter: float) -> None:
    viewer = run(bench, 1.0, hz=100, seconds=30, jitter=jitter)
    times = [message["timestamp"] - START for message in viewer.got]
    assert len(times) == 31
    assert times == pytest.approx(range(31), abs=0.02)


@pytest.mark.parametrize("jitter", [0.0, 0.02])
def test_a_quarter_of_a_second_from_ten_a_second_is_four_a_second_on_average(
    bench: Bench, jitter: float
) -> None:
    viewer = run(bench, 0.25, hz=10, seconds=60, jitter=jitter)
    assert len(viewer.seqs) == pytest.approx(241, abs=2)


@given(
    st.sampled_from([0.01, 0.02, 0.1, 0.25, 0.3, 1.0]),
    st.sampled_from([1.0, 10.0, 33.3, 100.0]),
)
def test_on_average_a_client_gets_what_it_asked_for_or_all_that_there_is(
    interval: float, hz: float
) -> None:
    viewer = run(Bench(), interval, hz, seconds=20, jitter=0.1 / hz)
    expected = 20 * min(hz, 1 / interval)
    assert len(viewer.seqs) - 1 == pytest.approx(expected, rel=0.03, abs=2)


def test_a_reading_that_is_much_late_is_not_made_up_for(bench: Bench) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.0, interval=1.0)
    bench.tick(5.3)
    for number in range(1, 31):
        bench.tick(5.3 + number / 10)
    assert viewer.seqs[:2] == [1, 2]
    assert 2 <= len(viewer.seqs[2:]) <= 3


def test_clients_of_different_intervals_do_not_disturb_each_other(bench: Bench) -> None:
    bench.tick(0.0)
    fast, slow = bench.join(0.0, interval=0.1), bench.join(0.0, interval=0.5)
    for number in range(1, 11):
        bench.tick(number / 10)
    assert fast.seqs == list(range(1, 12))
    assert slow.seqs == [1, 6, 11]


def test_a_source_slower_than_the_interval_is_passed_on_as_it_comes(bench: Bench) -> None:
    bench.tick(0.0)
    bench.hub.periods({4: 1.0})
    viewer = bench.join(0.0, interval=0.1)
    for number in range(1, 6):
        bench.tick(float(number))
    assert viewer.seqs == [1, 2, 3, 4, 5, 6]


def test_a_module_gets_the_readings_of_no_other(bench: Bench) -> None:
    one, ten = bench.join(0.0, module=1), bench.join(0.0, module=10)
    bench.tick(0.1, module=10)
    assert one.seqs == []
    assert ten.seqs == [1]


# --- backlogs, losses, repetitions ---------------------------------------------------------------


def test_of_a_backlog_one_tick_delivers_the_newest_few_in_one_write(bench: Bench) -> None:
    bench.tick(0.0)
    bench.hub.periods({4: 0.01})
    viewer = bench.join(0.0, interval=0.01)
    for number in range(1, 101):
        bench.arrive(1.0, taken_at=number / 100)
    writes = viewer.writes
    assert bench.flush() == MOST_A_TICK
    assert viewer.writes == writes + 1
    assert viewer.seqs[1:] == list(range(102 - MOST_A_TICK, 102))


def test_a_tick_without_readings_delivers_nothing(bench: Bench) -> None:
    viewer = bench.join(0.0)
    bench.tick(0.1)
    assert bench.flush() == 0
    assert viewer.seqs == [1]


def test_a_flush_counts_what_it_wrote(bench: Bench) -> None:
    for _ in range(3):
        bench.join(0.0)
    bench.arrive(0.1)
    flushed = bench.hub.flush()
    frame = Message(reading(1, 0.1)).frame("ctp10.json")
    assert (flushed.messages, flushed.bytes) == (3, 3 * len(frame))


def test_a_client_without_room_is_handed_nothing_and_keeps_the_newest(bench: Bench) -> None:
    viewer, other = bench.join(0.0), bench.join(0.0)
    viewer.stall()
    for number in range(1, 4):
        bench.tick(number / 10)
    assert other.seqs == [1, 2, 3]
    assert viewer.seqs == []
    assert viewer.held is not None
    assert [orjson.loads(m)["seq"] for m in messages(viewer.held[0])] == [3]
    viewer.go_on()
    bench.tick(0.4)
    assert (viewer.seqs, other.seqs) == ([4], [1, 2, 3, 4])


def test_a_client_that_leaves_while_it_is_stalled_is_gone(bench: Bench) -> None:
    viewer = bench.join(0.0)
    viewer.stall()
    bench.hub.leave(viewer, wanted())
    viewer.go_on()
    bench.tick(0.1)
    assert viewer.seqs == []
    assert bench.hub.wants() == set()


@pytest.mark.parametrize("room", [0, 1, 100, 1_000_000])
def test_what_a_socket_does_not_take_at_once_is_not_lost(bench: Bench, room: int) -> None:
    viewer = bench.join(0.0)
    viewer.room = room
    for number in range(1, 4):
        bench.tick(number / 10)
    assert viewer.seqs == [1, 2, 3]


def test_lost_readings_are_counted_by_their_numbers(bench: Bench) -> None:
    assert bench.hub.reading(4, reading(5, 0.1), 0.1) == 0  # what was before is not known
    assert bench.hub.reading(4, reading(6, 0.2), 0.2) == 0
    assert bench.hub.reading(4, reading(9, 0.3), 0.3) == 2
    assert bench.hub.reading(4, reading(1, 0.4, epoch="another"), 0.4) == 0
    assert bench.hub.reading(4, reading(3, 0.5, epoch="another"), 0.5) == 1


def test_a_word_of_the_daemon_between_two_readings_is_no_loss(bench: Bench) -> None:
    assert bench.hub.reading(4, reading(1, 0.1), 0.1) == 0
    bench.hub.reading(4, absence(4, seq=2), 0.1)
    bench.hub.reading(4, absence(4, seq=3), 0.1)
    assert bench.hub.reading(4, reading(4, 0.3), 0.3) == 0


def test_a_reading_that_comes_twice_is_delivered_once(bench: Bench) -> None:
    viewer = bench.join(0.0, interval=0.01)
    for seq in (1, 2, 2, 1, 3):
        assert bench.hub.reading(4, reading(seq, seq / 10), seq / 10) == 0
        bench.flush()
    assert viewer.seqs == [1, 2, 3]


def test_a_new_daemon_counts_anew(bench: Bench) -> None:
    viewer = bench.join(0.0, interval=0.01)
    bench.hub.reading(4, reading(1000, 0.1), 0.1)
    bench.flush()
    bench.hub.reading(4, reading(1, 0.2, epoch="another"), 0.2)
    bench.flush()
    assert viewer.seqs == [1000, 1]


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_source_whose_clock_was_set_does_not_fall_silent(bench: Bench, step: float) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.0, interval=1.0)
    for number in range(1, 51):
        now = number / 10
        bench.arrive(now, taken_at=now + (step if number > 20 else 0.0))
        bench.flush()
    assert 5 <= len(viewer.seqs) <= 7


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"4",
        b"null",
        b'{"type":"data"',
        b'{"type":"data","timestamp":x,"epoch":"e","seq":1}',
        b'{"type":"data","timestamp":null,"epoch":"e","seq":1}',
        b'{"type":"data","timestamp":1.0,"epoch":"e"}',
        b'{"type":"data","timestamp":1.0,"epoch":"e","seq":"1"}',
        b'{"type":"data","timestamp":1.0,"epoch":"e","seq":null}',
        b"\xff",
    ],
)
@pytest.mark.parametrize("mode", ["latest", "mean", "envelope"])
def test_what_is_no_reading_is_refused_and_harms_nobody(
    bench: Bench, payload: bytes, mode: Mode
) -> None:
    viewer = bench.join(0.0, mode=mode)
    with pytest.raises(wire.WireError):
        bench.hub.reading(4, payload, 0.1)
    bench.flush()
    assert viewer.seqs == []
    bench.tick(0.2)
    assert viewer.seqs == [1]


@pytest.mark.parametrize("mode", ["mean", "envelope"])
def test_a_summary_covers_what_was_read_since_the_one_before(bench: Bench, mode: Mode) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.0, interval=1.0, mode=mode)
    for number in range(1, 31):
        bench.tick(number / 10)
    summaries = viewer.got[1:]
    assert [summary["count"] for summary in summaries] == [10, 10, 10]
    assert [summary["seq"] for summary in summaries] == [11, 21, 31]
    assert {summary["mode"] for summary in summaries} == {mode}
    if mode == "envelope":
        assert [(s["min"][0], s["max"][0]) for s in summaries] == [(-9.0, 0.0)] * 3


@pytest.mark.parametrize("mode", ["mean", "envelope"])
def test_a_power_beyond_all_milliwatts_does_not_end_the_bridge(bench: Bench, mode: Mode) -> None:
    bench.join(0.0, mode=mode)
    payload = reading(1, 0.1).replace(b'"ch2_power":-21.56', b'"ch2_power":4000.0')
    bench.hub.reading(4, payload, 0.1)


# --- trouble -------------------------------------------------------------------------------------


def test_clients_are_told_once_when_nothing_can_come_and_data_resumes_by_itself(
    bench: Bench,
) -> None:
    bench.tick(0.0)
    viewers = [bench.join(0.0), bench.join(0.0, interval=1.0)]
    for _ in range(3):
        bench.hub.set_trouble("acquisitiond is away")
    for viewer in viewers:
        assert viewer.errors == ["acquisitiond is away"]
    bench.hub.set_trouble(None)
    bench.tick(1.0)
    for viewer in viewers:
        assert viewer.errors == ["acquisitiond is away"]
        assert viewer.seqs == [1, 2]


def test_each_trouble_is_told_and_they_are_counted_until_data_comes(bench: Bench) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.0)
    bench.hub.set_trouble("one")
    bench.hub.set_trouble("two")
    assert viewer.errors == ["one", "two"]
    bench.hub.set_trouble(None)
    bench.tick(1.0)
    bench.hub.set_trouble("three")
    assert [m["error_count"] for m in viewer.got if m["type"] == "error"] == [1, 2, 1]


def test_an_error_is_of_the_contract(bench: Bench) -> None:
    viewer = bench.join(0.0)
    message = wire.decode(orjson.dumps(viewer.got[0]))
    assert message == wire.Error(
        message=viewer.errors[0],
        timestamp=wire.iso_timestamp(START),
        recoverable=True,
        error_count=1,
        module=4,
    )


def test_clients_are_told_once_when_their_readings_stop_without_a_word(bench: Bench) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.1)
    for now in (0.5, 0.9, 1.0):
        bench.hub.check(now)
    assert viewer.errors == []
    for now in (1.25, 1.5, 10.0):
        bench.hub.check(now)
    assert len(viewer.errors) == 1
    assert "module 4" in viewer.errors[0]


def test_a_slow_source_is_given_three_of_its_periods(bench: Bench) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.1)
    bench.hub.periods({4: 2.0, 9: 0.1})
    bench.hub.check(5.9)
    assert viewer.errors == []
    bench.hub.check(6.2)
    assert len(viewer.errors) == 1


def test_when_readings_stop_again_clients_are_told_again(bench: Bench) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.1)
    bench.hub.check(2.0)
    bench.tick(2.1)
    bench.hub.check(4.0)
    assert len(viewer.errors) == 2


def test_silence_needs_no_word_while_it_is_known_why(bench: Bench) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.1)
    bench.hub.set_trouble("away")
    bench.hub.check(100.0)
    assert viewer.errors == ["away"]


def test_a_newcomer_who_is_told_does_not_keep_the_others_from_being_told(bench: Bench) -> None:
    bench.tick(0.0)
    viewer = bench.join(0.1)
    bench.join(1.1)  # stale since 1.0: the newcomer is told
    bench.hub.check(1.25)
    assert len(viewer.errors) == 1


def test_nobody_listening_is_nobody_told(bench: Bench) -> None:
    bench.tick(0.0)
    bench.hub.check(100.0)
    viewer = bench.join(100.0, module=7)
    bench.hub.check(100.9)
    assert len(viewer.errors) == 1  # only that it came before any reading


def test_a_client_hears_that_its_module_is_not_there_and_then_its_readings(bench: Bench) -> None:
    viewer, other = bench.join(0.0, module=7), bench.join(0.0, module=4)
    bench.miss(7)
    assert viewer.errors[1:] == ["module 7 is not in the instrument"]
    assert len(other.errors) == 1
    bench.tick(0.1, module=7)
    assert viewer.seqs == [2]
    assert bench.join(0.15, module=7).errors == []


def test_freshness_and_age_are_those_of_the_newest_reading(bench: Bench) -> None:
    assert bench.hub.age(4, 0.0) is None
    assert not bench.hub.fresh(4, 0.0)
    bench.tick(1.0)
    assert bench.hub.age(4, 1.5) == 0.5
    assert bench.hub.fresh(4, 2.0)
    assert not bench.hub.fresh(4, 2.1)
    bench.hub.set_trouble("away")
    assert not bench.hub.fresh(4, 1.1)


# --- properties ----------------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from([0.01, 0.1, 1.0]), st.integers(1, 2)),
        st.tuples(st.just("leave"), st.integers(0, 20), st.none()),
        st.tuples(st.just("batch"), st.integers(1, 15), st.integers(1, 2)),
        st.tuples(st.just("again"), st.integers(1, 3), st.integers(1, 2)),
        st.tuples(st.just("trouble"), st.sampled_from([None, "away"]), st.none()),
        st.tuples(st.just("pass"), st.sampled_from([0.001, 0.05, 0.5, 5.0]), st.none()),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_happens_a_client_gets_its_readings_in_order_and_never_twice(
    happenings: list[tuple[Any, Any, Any]],
) -> None:
    hub = HubWithUpstream(lambda: START)
    now = 0.0
    seqs = {1: 0, 2: 0}
    viewers: list[tuple[Viewer, Subscription]] = []
    for kind, value, module in happenings:
        now += 0.001
        match kind:
            case "join":
                viewer, subscription = Viewer(), wanted(module, value)
                hub.join(viewer, subscription, now)
                assert len(viewer.got) == 1  # a reading or an error, at once
                viewers.append((viewer, subscription))
            case "leave" if viewers:
                hub.leave(*viewers.pop(value % len(viewers)))
            case "batch":
                for _ in range(value):
                    now += 0.01
                    seqs[module] += 1
                    hub.reading(module, reading(seqs[module], now, module), now)
                hub.flush()
            case "again":
                seq = max(1, seqs[module] - value)
                hub.reading(module, reading(seq, now, module), now)
                seqs[module] = max(seqs[module], seq)
                hub.flush()
            case "trouble":
                hub.set_trouble(value)
            case "pass":
                now += value
                hub.check(now)
        for viewer, subscription in viewers:
            assert viewer.seqs == sorted(set(viewer.seqs))
            assert {message["module"] for message in viewer.got} == {subscription.module}
    assert {want.module for want in hub.wants()} == {s.module for _, s in viewers}
