"""In order, never twice, and every hole asked for or announced: whatever is lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsbridge.message import Message
from wsbridge.sequence import PATIENCE, Missing, Numbered, Output, Position, Sequencer


def numbered(seq: int, epoch: str = "a") -> Numbered:
    return Numbered(Position(epoch, seq), Message(b"%d" % seq))


def seen(outputs: list[Output]) -> list[object]:
    """Seqs of messages, and tuples of what is missing."""
    return [
        output.position.seq
        if isinstance(output, Numbered)
        else (output.epoch, output.from_seq, output.to_seq, output.reason)
        for output in outputs
    ]


def payloads(*seqs: int) -> list[Message]:
    return [Message(b"%d" % seq) for seq in seqs]


def started(*seqs: int) -> Sequencer:
    sequencer = Sequencer()
    for seq in seqs:
        sequencer.arrived(numbered(seq), 0.0)
    return sequencer


def test_what_was_before_the_first_message_is_not_missed() -> None:
    assert seen(Sequencer().arrived(numbered(7), 0.0)) == [7]


def test_a_hole_is_asked_for_and_repaired_in_order() -> None:
    sequencer = started(1, 2)
    assert sequencer.arrived(numbered(5), 0.0) == []
    assert sequencer.need == Position("a", 2)
    assert sequencer.arrived(numbered(6), 0.1) == []
    assert sequencer.holes == 2
    outputs = sequencer.replayed(Position("a", 2), payloads(3, 4, 5), None, 0.2)
    assert seen(outputs) == [3, 4, 5, 6]
    assert sequencer.need is None


def test_a_long_hole_is_asked_for_page_by_page() -> None:
    sequencer = started(1)
    sequencer.arrived(numbered(6), 0.0)
    assert seen(sequencer.replayed(Position("a", 1), payloads(2, 3), None, 0.1)) == [2, 3]
    assert sequencer.need == Position("a", 3)
    assert seen(sequencer.replayed(Position("a", 3), payloads(4, 5), None, 0.2)) == [4, 5, 6]


def test_what_cannot_be_had_is_announced_and_the_rest_comes() -> None:
    sequencer = started(1)
    sequencer.arrived(numbered(9), 0.0)
    gone = Missing("a", 2, 5, "evicted")
    outputs = sequencer.replayed(Position("a", 1), payloads(6, 7, 8), gone, 0.1)
    assert seen(outputs) == [("a", 2, 5, "evicted"), 6, 7, 8, 9]


def test_nobody_waits_longer_than_promised() -> None:
    sequencer = started(1)
    sequencer.arrived(numbered(4), 0.0)
    assert sequencer.check(PATIENCE / 2) == []
    assert seen(sequencer.check(PATIENCE)) == [("a", 2, 3, "unreachable"), 4]
    assert seen(sequencer.arrived(numbered(5), PATIENCE)) == [5]


def test_an_answer_that_comes_too_late_changes_nothing() -> None:
    sequencer = started(1)
    sequencer.arrived(numbered(4), 0.0)
    sequencer.check(PATIENCE)
    assert sequencer.replayed(Position("a", 1), payloads(2, 3), None, PATIENCE) == []


def test_an_empty_answer_is_no_reason_to_ask_for_ever() -> None:
    sequencer = started(1)
    sequencer.arrived(numbered(4), 0.0)
    outputs = sequencer.replayed(Position("a", 1), [], None, 0.1)
    assert seen(outputs) == [("a", 2, 3, "unreachable"), 4]


def test_a_lost_tail_is_noticed_by_the_heartbeat() -> None:
    sequencer = started(1, 2)
    sequencer.heard("a", 2, 0.0)
    assert sequencer.need is None
    sequencer.heard("a", 4, 0.0)
    assert sequencer.need == Position("a", 2)
    assert seen(sequencer.replayed(Position("a", 2), payloads(3, 4), None, 0.1)) == [3, 4]


def test_a_new_epoch_is_announced_and_had_from_its_first_message() -> None:
    sequencer = started(1, 2)
    outputs = sequencer.arrived(numbered(3, "b"), 0.0)
    assert seen(outputs) == [("a", 3, None, "epoch_changed")]
    assert sequencer.need == Position("b", 0)
    assert seen(sequencer.replayed(Position("b", 0), payloads(1, 2), None, 0.1)) == [1, 2, 3]


def test_a_snapshot_is_a_start_only_where_nothing_is_known() -> None:
    sequencer = Sequencer()
    assert sequencer.start("a", 41)
    assert seen(sequencer.arrived(numbered(41), 0.0)) == []
    assert seen(sequencer.arrived(numbered(42), 0.0)) == [42]
    assert not sequencer.start("a", 99)


@given(
    lost=st.lists(st.booleans(), min_size=1, max_size=60),
    kept_from=st.integers(1, 60),
    answers=st.lists(st.sampled_from(["all", "page", "nothing", "late"]), max_size=30),
)
def test_every_message_comes_once_in_order_or_is_announced(
    lost: list[bool], kept_from: int, answers: list[str]
) -> None:
    """Against a daemon that forgot what was before `kept_from`, and does not always answer."""
    sequencer, now, outputs = Sequencer(), 0.0, []
    outputs += sequencer.arrived(numbered(1), now)
    last = len(lost) + 2
    for seq in [s for s, gone in enumerate(lost, 2) if not gone] + [last]:
        outputs += sequencer.arrived(numbered(seq), now)
        while (need := sequencer.need) is not None:
            answer = answers.pop() if answers else "all"
            if answer == "late":
                now += PATIENCE
                outputs += sequencer.check(now)
                continue
            first = max(need.seq + 1, min(kept_from, seq))  # the newest is always kept
            gone = (
                Missing("a", need.seq + 1, first - 1, "evicted") if first > need.seq + 1 else None
            )
            some = {"all": range(first, seq + 1), "page": range(first, first + 3), "nothing": ()}
            messages = payloads(*(s for s in some[answer] if s <= seq))
            outputs += sequencer.replayed(need, messages, gone, now)
    accounted: list[int] = []
    for output in outputs:
        if isinstance(output, Numbered):
            assert output.message.payload == b"%d" % output.position.seq
            accounted.append(output.position.seq)
        else:
            assert output.to_seq is not None
            accounted += range(output.from_seq, output.to_seq + 1)
    assert accounted == list(range(1, last + 1))
