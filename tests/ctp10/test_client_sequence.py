"""The order of readings, without sockets: repaired, never twice, every loss named."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from ctp10 import wire
from ctp10.sequence import MOST_HELD, PATIENCE, Item, Position, Sequencer


def reading(seq: int, epoch: str = "a") -> wire.Reading:
    return wire.Reading(
        timestamp=1000.0 + seq,
        module=4,
        wavelength_nm=1310.0,
        unit="dBm",
        ch1_power=-seq / 10,
        ch2_power=None,
        ch3_power=None,
        ch4_power=None,
        quality="VALID",
        epoch=epoch,
        seq=seq,
    )


def readings(*seqs: int, epoch: str = "a") -> list[wire.Reading]:
    return [reading(seq, epoch) for seq in seqs]


def gap(first: int, last: int | None, reason: wire.GapReason, epoch: str = "a") -> wire.Gap:
    return wire.Gap(module=4, epoch=epoch, from_seq=first, to_seq=last, reason=reason)


def error(seq: int) -> wire.Error:
    return wire.Error(
        message="not there",
        timestamp="2026-01-01T00:00:00+00:00",
        recoverable=True,
        error_count=1,
        module=4,
        epoch="a",
        seq=seq,
    )


def feed(sequencer: Sequencer, items: Iterable[wire.Reading | wire.Error]) -> list[Item]:
    return [out for item in items for out in sequencer.arrived(item, 0.0)]


def test_the_first_reading_is_where_it_begins():
    assert feed(Sequencer(4), readings(7, 8)) == readings(7, 8)


def test_the_first_heartbeat_may_be_where_it_begins():
    sequencer = Sequencer(4)
    assert sequencer.heard("a", 6, 0.0) == []
    assert sequencer.need is None
    assert feed(sequencer, readings(7)) == readings(7)


def test_what_is_missing_is_asked_for_and_put_in_its_place():
    sequencer = Sequencer(4)
    assert feed(sequencer, readings(1, 4, 5)) == readings(1)
    need = sequencer.need
    assert need == Position("a", 1)
    assert sequencer.replayed(need, readings(2, 3, 4), None, 0.1) == readings(2, 3, 4, 5)
    assert sequencer.need is None
    assert feed(sequencer, readings(3, 5, 6)) == readings(6), "nothing twice"


def test_two_holes_are_both_repaired():
    sequencer = Sequencer(4)
    feed(sequencer, readings(1, 3, 5))
    assert sequencer.replayed(Position("a", 1), readings(2), None, 0.0) == readings(2, 3)
    assert sequencer.need == Position("a", 3)
    assert sequencer.replayed(Position("a", 3), readings(4, 5), None, 0.0) == readings(4, 5)
    assert sequencer.need is None


def test_a_lost_tail_is_noticed_by_the_heartbeat():
    sequencer = Sequencer(4)
    feed(sequencer, readings(1))
    sequencer.heard("a", 3, 0.0)
    assert sequencer.replayed(Position("a", 1), readings(2, 3), None, 0.0) == readings(2, 3)


def test_what_the_ring_lost_is_named_before_what_it_has():
    sequencer = Sequencer(4)
    feed(sequencer, readings(1, 6))
    gone = gap(2, 4, "evicted")
    assert sequencer.replayed(Position("a", 1), readings(5), gone, 0.0) == [gone, *readings(5, 6)]


def test_without_an_answer_it_is_named_after_a_while_and_goes_on():
    sequencer = Sequencer(4)
    feed(sequencer, readings(1, 3, 5))
    assert sequencer.check(PATIENCE - 0.1) == []
    assert sequencer.check(PATIENCE) == [
        gap(2, 2, "unreachable"),
        reading(3),
        gap(4, 4, "unreachable"),
        reading(5),
    ]
    assert sequencer.replayed(Position("a", 1), readings(2, 3), None, 9.0) == [], "too late"
    assert feed(sequencer, readings(6)) == readings(6)


def test_an_empty_answer_ends_the_asking():
    sequencer = Sequencer(4)
    feed(sequencer, readings(1, 3))
    outcome = sequencer.replayed(Position("a", 1), [], None, 0.0)
    assert outcome == [gap(2, 2, "unreachable"), reading(3)]
    assert sequencer.need is None


def test_a_new_epoch_is_read_from_its_beginning_and_the_old_tail_is_named():
    sequencer = Sequencer(4)
    feed(sequencer, readings(1, 2))
    assert sequencer.arrived(reading(3, "b"), 0.0) == [gap(3, None, "epoch_changed")]
    need = sequencer.need
    assert need == Position("b", 0)
    recovered = sequencer.replayed(need, readings(1, 2, 3, epoch="b"), None, 0.0)
    assert recovered == readings(1, 2, 3, epoch="b")


def test_a_new_epoch_is_noticed_by_the_heartbeat_too():
    sequencer = Sequencer(4, since=Position("a", 9))
    assert sequencer.heard("b", 0, 0.0) == [gap(10, None, "epoch_changed")]
    assert sequencer.need is None
    assert feed(sequencer, readings(1, epoch="b")) == readings(1, epoch="b")


def test_a_question_about_an_epoch_that_ended_is_answered_by_its_gap():
    sequencer = Sequencer(4)
    feed(sequencer, readings(1, 3))
    gone = gap(2, None, "epoch_changed")
    outcome = sequencer.replayed(Position("a", 1), [], gone, 0.0)
    assert outcome == [gap(2, 2, "epoch_changed"), reading(3)]
    assert sequencer.heard("b", 0, 0.0) == [gap(4, None, "epoch_changed")]


def test_since_is_asked_for_when_something_is_heard():
    sequencer = Sequencer(4, since=Position("a", 5))
    assert sequencer.need is None
    sequencer.heard("a", 8, 0.0)
    assert sequencer.need == Position("a", 5)
    recovered = sequencer.replayed(Position("a", 5), readings(6, 7, 8), None, 0.0)
    assert recovered == readings(6, 7, 8)


def test_an_error_of_now_is_handed_on_and_an_error_of_then_is_not():
    sequencer = Sequencer(4)
    assert feed(sequencer, [error(1)]) == [error(1)]
    feed(sequencer, readings(4))
    repaired = sequencer.replayed(Position("a", 1), [error(2), reading(3)], None, 0.0)
    assert repaired == readings(3, 4)


def test_what_waits_is_bounded_and_still_nothing_is_lost():
    sequencer = Sequencer(4)
    last = MOST_HELD + 50
    out = feed(sequencer, readings(1, *range(3, last + 1)))
    while (need := sequencer.need) is not None:
        page = readings(*range(need.seq + 1, min(need.seq + 1000, last) + 1))
        out += sequencer.replayed(need, page, None, 0.0)
    assert out == readings(*range(1, last + 1))


@given(
    lost=st.sets(st.integers(2, 60)),
    evicted=st.integers(0, 60),
    unanswered=st.sets(st.integers(0, 60)),
    page=st.integers(1, 7),
)
def test_every_seq_comes_once_in_order_or_is_named(
    lost: set[int], evicted: int, unanswered: set[int], page: int
):
    """Whatever is lost, however little the ring has, whichever questions nobody answers."""
    sequencer = Sequencer(4)
    now = 0.0
    out: list[Item] = []
    for seq in range(1, 61):
        now += 0.1
        if seq not in lost:
            out += sequencer.arrived(reading(seq), now)
        if seq % 10 == 0:
            out += sequencer.heard("a", seq, now)
        need = sequencer.need
        if need is not None and need.seq not in unanswered:
            first = max(need.seq + 1, min(evicted, seq) + 1)
            gone = gap(need.seq + 1, first - 1, "evicted") if first > need.seq + 1 else None
            ring = readings(*range(first, min(first + page - 1, seq) + 1))
            out += sequencer.replayed(need, ring, gone, now)
        out += sequencer.check(now)
    out += sequencer.check(now + PATIENCE)
    position = 0
    for item in out:
        if isinstance(item, wire.Gap):
            assert item.from_seq == position + 1
            assert item.to_seq is not None
            position = item.to_seq
        else:
            assert item.seq == position + 1
            position = item.seq
    assert position == 60
