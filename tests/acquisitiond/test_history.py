"""What is kept of each topic, and what is said of the rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from acquisitiond.history import OVERHEAD, Gone, History

TOPIC = b"power/4/"


def filled(count: int, max_bytes: int = 1_000_000, size: int = 10) -> History:
    history = History(max_bytes)
    for seq in range(1, count + 1):
        history.add(TOPIC, seq, b"%0*d" % (size, seq))
    return history


def test_what_follows_comes_in_order_and_no_more_than_asked() -> None:
    excerpt = filled(10).after(TOPIC, 3, 4)
    assert excerpt.first_seq == 4
    assert [int(payload) for payload in excerpt.payloads] == [4, 5, 6, 7]
    assert excerpt.gone is None


def test_whoever_has_everything_gets_nothing() -> None:
    assert filled(10).after(TOPIC, 10, 100).payloads == []
    assert filled(10).after(TOPIC, 99, 100).payloads == []


def test_a_topic_that_nobody_published_has_nothing() -> None:
    excerpt = filled(3).after(b"power/5/", 0, 10)
    assert (excerpt.payloads, excerpt.gone) == ([], None)


def test_the_oldest_go_first_and_their_range_is_named() -> None:
    history = filled(100, max_bytes=10 * (10 + OVERHEAD))
    excerpt = history.after(TOPIC, 50, 100)
    assert excerpt.gone == Gone(51, 90, "evicted")
    assert [int(payload) for payload in excerpt.payloads] == list(range(91, 101))


def test_the_newest_is_kept_however_large() -> None:
    history = filled(5, max_bytes=1)
    assert [int(payload) for payload in history.after(TOPIC, 0, 10).payloads] == [5]


@given(
    count=st.integers(1, 60),
    room=st.integers(1, 80),
    seq=st.integers(0, 70),
    limit=st.integers(1, 50),
)
def test_no_message_is_unaccounted_for(count: int, room: int, seq: int, limit: int) -> None:
    history = filled(count, max_bytes=room * (10 + OVERHEAD))
    excerpt = history.after(TOPIC, seq, limit)
    gone = range(excerpt.gone.from_seq, (excerpt.gone.to_seq or 0) + 1) if excerpt.gone else ()
    given_out = [int(payload) for payload in excerpt.payloads]
    assert [*gone, *given_out] == list(range(seq + 1, seq + 1 + len(gone) + len(given_out)))
    assert len(given_out) == min(
        limit, max(0, min(count, room) - max(0, seq - (count - room)))
    ) or (room >= count and len(given_out) == min(limit, max(0, count - seq)))
