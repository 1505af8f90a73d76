"""Who wants what, from the frames that an XPUB socket hands up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisitiond.demand import Demand
from ctp10 import wire


def on(topic: bytes) -> bytes:
    return b"\x01" + topic


def off(topic: bytes) -> bytes:
    return b"\x00" + topic


@pytest.fixture
def demand() -> Demand:
    return Demand((4,), rate=10.0, max_rate=100.0)


def test_configured_modules_are_read_though_nobody_subscribes(demand: Demand) -> None:
    assert demand.periods() == {4: 0.1}


def test_a_subscription_to_a_module_makes_it_wanted_until_it_ends(demand: Demand) -> None:
    assert demand.subscription(on(b"power/7/"))
    assert demand.periods() == {4: 0.1, 7: 0.1}
    assert demand.subscription(off(b"power/7/"))
    assert demand.periods() == {4: 0.1}


def test_modules_come_in_order() -> None:
    demand = Demand((9, 4), 10.0, 100.0)
    demand.subscription(on(b"power/20/"))
    demand.subscription(on(b"power/5/"))
    assert list(demand.periods()) == [4, 5, 9, 20]


def test_the_end_of_a_subscription_leaves_a_configured_module_being_read(demand: Demand) -> None:
    assert not demand.subscription(on(b"power/4/"))
    assert not demand.subscription(off(b"power/4/"))
    assert demand.periods() == {4: 0.1}


def test_the_highest_rate_that_is_wished_for_holds_until_that_wish_ends(demand: Demand) -> None:
    assert demand.subscription(on(b"rate/4/50/"))
    assert not demand.subscription(on(b"rate/4/20/"))
    assert demand.periods() == {4: 0.02}
    assert demand.subscription(off(b"rate/4/50/"))
    assert demand.periods() == {4: 0.05}
    assert demand.subscription(off(b"rate/4/20/"))
    assert demand.periods() == {4: 0.1}


def test_nobody_can_slow_a_module_down_below_the_configured_rate(demand: Demand) -> None:
    assert not demand.subscription(on(b"rate/4/0.1/"))
    assert demand.periods() == {4: 0.1}


def test_no_wish_exceeds_the_greatest_rate(demand: Demand) -> None:
    demand.subscription(on(b"rate/4/1e6/"))
    assert demand.periods() == {4: 0.01}


def test_a_wish_for_a_rate_makes_a_module_wanted_too(demand: Demand) -> None:
    assert demand.subscription(on(b"rate/7/50/"))
    assert demand.periods() == {4: 0.1, 7: 0.02}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01",
        b"\x02power/7/",
        b"power/7/",
        b"\x01power/",
        b"\x01power/0/",
        b"\x01power/21/",
        b"\x01rate/7/nan/",
        b"\x01status/",
        b"\x01trace/7/1/11/",
        b"\x00power/9/",
        b"\x00rate/9/50/",
        b"\x00rate/4/50/",
    ],
)
def test_any_other_frame_is_no_demand(demand: Demand, frame: bytes) -> None:
    assert not demand.subscription(frame)
    assert demand.periods() == {4: 0.1}


@given(st.lists(st.binary(max_size=24)))
def test_no_frame_of_any_bytes_is_an_error(frames: list[bytes]) -> None:
    demand = Demand((4,), 10.0, 100.0)
    for frame in frames:
        demand.subscription(frame)
    for module, period in demand.periods().items():
        assert module in wire.MODULES
        assert 0.01 <= period <= 0.1


topics = st.builds(wire.power_topic, st.integers(1, 4)) | st.builds(
    wire.rate_topic, st.integers(1, 4), st.sampled_from([1.0, 20.0, 50.0, 1000.0])
)


@given(st.sets(topics), st.sets(topics))
def test_the_demand_is_that_of_the_subscriptions_that_are_left(
    kept: set[bytes], ended: set[bytes]
) -> None:
    demand, fresh = Demand((4,), 10.0, 100.0), Demand((4,), 10.0, 100.0)
    for topic in sorted(kept | ended):
        demand.subscription(on(topic))
    for topic in sorted(ended):
        demand.subscription(off(topic))
    for topic in sorted(kept - ended):
        fresh.subscription(on(topic))
    assert demand.periods() == fresh.periods()


@given(st.lists(st.tuples(st.sampled_from([on, off]), topics)))
def test_a_change_is_reported_exactly_when_the_periods_changed(
    frames: list[tuple[object, bytes]],
) -> None:
    demand = Demand((4,), 10.0, 100.0)
    for kind, topic in frames:
        before = demand.periods()
        changed = demand.subscription(on(topic) if kind is on else off(topic))
        assert changed == (demand.periods() != before)
