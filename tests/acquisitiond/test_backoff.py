"""Waiting before the next attempt to connect."""

import random

from hypothesis import given
from hypothesis import strategies as st

from acquisitiond.backoff import FIRST, LONGEST, Backoff


@given(st.integers())
def test_delays_grow_to_a_bound_and_are_never_less_than_half_of_it(seed: int) -> None:
    backoff = Backoff(random.Random(seed))
    bound = FIRST
    for _ in range(12):
        assert bound / 2 <= backoff.next() <= bound
        bound = min(2 * bound, LONGEST)


@given(st.integers())
def test_after_a_success_the_first_delay_is_the_shortest_again(seed: int) -> None:
    backoff = Backoff(random.Random(seed))
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= FIRST


def test_two_daemons_do_not_keep_step() -> None:
    one, other = Backoff(random.Random(1)), Backoff(random.Random(2))
    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]


def test_data_is_back_within_two_seconds_of_the_instrument() -> None:
    assert LONGEST < 2.0
