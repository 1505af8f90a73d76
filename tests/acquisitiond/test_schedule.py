"""Due times: no drift, no bursts, nobody left out."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisitiond.schedule import Schedule


def test_nothing_wanted_is_nothing_due() -> None:
    schedule = Schedule()
    assert schedule.next_due() is None
    schedule.update({}, 5.0)
    assert schedule.next_due() is None


def test_a_new_module_is_due_at_once() -> None:
    schedule = Schedule()
    schedule.update({4: 0.1}, 5.0)
    assert schedule.next_due() == (4, 5.0)
    assert schedule.periods == {4: 0.1}


def test_after_its_reading_a_module_is_due_one_period_later() -> None:
    schedule = Schedule()
    schedule.update({4: 0.5}, 5.0)
    assert schedule.taken(4, 5.0) == 0
    assert schedule.next_due() == (4, 5.5)


def test_a_late_reading_does_not_move_those_after_it() -> None:
    schedule = Schedule()
    schedule.update({4: 0.5}, 5.0)
    assert schedule.taken(4, 5.4) == 0
    assert schedule.next_due() == (4, 5.5)


def test_missed_slots_are_counted_and_not_made_up_for() -> None:
    schedule = Schedule()
    schedule.update({4: 0.5}, 5.0)
    schedule.taken(4, 5.0)
    assert schedule.taken(4, 8.2) == 5  # 5.5, 6.0, 6.5, 7.0, 7.5; 8.0 is the one being taken
    assert schedule.next_due() == (4, 8.5)


def test_the_same_periods_again_change_nothing() -> None:
    schedule = Schedule()
    schedule.update({4: 0.5}, 5.0)
    schedule.taken(4, 5.0)
    schedule.update({4: 0.5}, 5.3)
    assert schedule.next_due() == (4, 5.5)


def test_a_module_whose_period_changed_is_due_at_once_and_the_others_keep_their_grid() -> None:
    schedule = Schedule()
    schedule.update({1: 10.0, 4: 1.0}, 5.0)
    schedule.taken(1, 5.0)
    schedule.taken(4, 5.0)
    schedule.update({1: 0.25, 4: 1.0}, 5.1)
    assert schedule.next_due() == (1, 5.1)
    schedule.taken(1, 5.1)
    schedule.taken(1, 5.35)
    schedule.taken(1, 5.6)
    schedule.taken(1, 5.85)
    assert schedule.next_due() == (4, 6.0)


def test_a_module_that_nobody_wants_any_more_is_forgotten() -> None:
    schedule = Schedule()
    schedule.update({1: 1.0, 4: 1.0}, 5.0)
    schedule.update({4: 1.0}, 5.0)
    assert schedule.periods == {4: 1.0}
    assert schedule.next_due() == (4, 5.0)


def test_a_hundred_thousand_late_readings_stay_on_the_grid() -> None:
    rng = random.Random(1)
    period, start = 0.01, 1234.5
    schedule = Schedule()
    schedule.update({4: period}, start)
    slot, now = 0, start
    for _ in range(100_000):
        module, due = schedule.next_due() or (0, 0.0)
        assert module == 4
        assert due == pytest.approx(start + slot * period, abs=1e-6)
        lateness = rng.choice((0.0, rng.uniform(0, 0.009), rng.uniform(0, 0.05)))
        now = max(now, due + lateness)
        missed = schedule.taken(4, now)
        slot += 1 + missed
        next_due = schedule.next_due()
        assert next_due is not None
        assert next_due[1] > now - 1e-9  # what was missed leaves nothing due already


def test_taken_and_missed_together_are_all_slots_of_the_time_that_passed() -> None:
    rng = random.Random(2)
    schedule = Schedule()
    schedule.update({4: 0.125}, 0.0)
    now, slots = 0.0, 0
    while now < 1000:
        _, due = schedule.next_due() or (0, 0.0)
        now = due + rng.uniform(0, 0.5)
        slots += 1 + schedule.taken(4, now)
    assert slots == int(now / 0.125) + 1


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=30),
    st.sampled_from([0.01, 0.1, 1 / 3, 1.0, 10.0]),
)
def test_after_a_reading_the_next_is_in_the_future_and_at_most_a_period_away(
    steps: list[float], period: float
) -> None:
    schedule = Schedule()
    now = 1000.0
    schedule.update({4: period}, now)
    for step in steps:
        _, due = schedule.next_due() or (0, 0.0)
        now = max(now + step, due)
        assert schedule.taken(4, now) >= 0
        _, following = schedule.next_due() or (0, 0.0)
        assert now - 1e-9 <= following <= now + period + 1e-9


def test_modules_of_one_period_take_turns_though_a_reading_takes_longer_than_that() -> None:
    schedule = Schedule()
    schedule.update({1: 0.01, 2: 0.01, 3: 0.01}, 0.0)
    order = []
    for step in range(30):
        module, _ = schedule.next_due() or (0, 0.0)
        order.append(module)
        schedule.taken(module, step * 0.025)
    for turn in range(0, len(order), 3):
        assert set(order[turn : turn + 3]) == {1, 2, 3}


def test_a_fast_module_does_not_starve_a_slow_one_under_overload() -> None:
    schedule = Schedule()
    schedule.update({1: 0.001, 2: 1.0}, 0.0)
    taken: Counter[int] = Counter()
    now = 0.0
    while now < 60:
        module, due = schedule.next_due() or (0, 0.0)
        now = max(now, due)
        schedule.taken(module, now)
        taken[module] += 1
        now += 0.02  # twenty times longer than the fast one's period
    assert taken[2] in (60, 61)
