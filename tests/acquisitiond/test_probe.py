"""Looking for a module, whatever an instrument says or does not say about it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from acquisitiond.instrument import ALL_CHANNELS, USUAL_CHANNELS, Profile
from acquisitiond.probe import Absent, Prober
from acquisitiond.visa import LinkError
from tests.support.fake_instrument import DEADLINE, FakeInstrument, FakeLink, FakeModule

TIMEOUT = 0.05


def look(instrument: FakeInstrument, number: int = 4) -> Profile | Absent | None:
    outcome = Prober(instrument.open, TIMEOUT, lambda: None).run(number)
    assert all(link.closed for link in instrument.links)
    return outcome


def module(detectors: int, **changes: object) -> FakeModule:
    return FakeModule(powers=["-1.5"] * detectors, **changes)  # type: ignore[arg-type]


@contextmanager
def looking(
    instrument: FakeInstrument,
    open_link: Callable[[float], FakeLink] | None = None,
) -> Iterator[tuple[Prober, threading.Event]]:
    """A prober in its thread, and the event that it wakes its owner with."""
    woken = threading.Event()
    prober = Prober(open_link or instrument.open, TIMEOUT, woken.set)
    prober.begin(4)
    try:
        yield prober, woken
    finally:
        prober.stop()
        assert woken.wait(DEADLINE)
        prober.take()
        assert all(link.closed for link in instrument.links)


# --- what there is -------------------------------------------------------------------------------


@pytest.mark.parametrize("detectors", range(1, 7))
def test_a_module_is_found_with_as_many_detectors_as_answer(detectors: int) -> None:
    instrument = FakeInstrument({4: module(detectors)})
    assert look(instrument) == Profile(tuple(range(1, detectors + 1)))


def test_detectors_that_are_missing_in_between_are_left_out() -> None:
    assert look(FakeInstrument({4: module(5, missing=(2, 3))})) == Profile((1, 4, 5))


def test_a_module_with_all_its_detectors_costs_two_questions() -> None:
    instrument = FakeInstrument({4: module(6)})
    assert look(instrument) == Profile(ALL_CHANNELS)
    assert len(instrument.received) == 2


@pytest.mark.parametrize("text", ["OVERRANGE", "9.91E37", "-17.85,0", ""])
def test_a_detector_that_answers_anything_at_all_is_there(text: str) -> None:
    assert look(FakeInstrument({4: FakeModule(powers=[text] * 4)})) == Profile()


@pytest.mark.parametrize("compound", ["none", "lines", "first"])
def test_an_instrument_that_takes_no_compound_messages_is_asked_one_by_one(
    compound: str,
) -> None:
    instrument = FakeInstrument()
    instrument.compound = compound  # type: ignore[assignment]
    assert look(instrument) == Profile(USUAL_CHANNELS, compound=False)


def test_one_by_one_a_missing_detector_is_left_out_too() -> None:
    instrument = FakeInstrument({4: module(4, missing=(1, 3))})
    instrument.compound = "none"
    assert look(instrument) == Profile((2, 4), compound=False)


# --- what there is not ---------------------------------------------------------------------------


def test_a_module_for_which_only_the_identity_is_answered_is_definitely_absent() -> None:
    instrument = FakeInstrument()
    outcome = look(instrument, 7)
    assert isinstance(outcome, Absent)
    assert outcome.definite
    assert outcome.reason == ("module 7 is not in the instrument (it says -241, Hardware missing)")


def test_the_error_queue_is_left_without_the_entries_that_looking_caused() -> None:
    instrument = FakeInstrument()
    look(instrument, 7)
    assert not instrument.errors


def test_an_error_queue_without_end_is_not_read_for_ever() -> None:
    instrument = FakeInstrument()
    instrument.errors.extend(["-350,Queue overflow"] * 1000)
    outcome = look(instrument, 7)
    assert isinstance(outcome, Absent)
    assert "-350" in outcome.reason
    assert len(instrument.received) < 50


@pytest.mark.parametrize("entry", ["", "?", "no error today"])
def test_an_error_entry_that_is_none_does_not_matter(entry: str) -> None:
    instrument = FakeInstrument()
    instrument.errors.appendleft(entry)
    assert look(instrument, 7) == Absent("module 7 is not in the instrument", definite=True)


def test_a_module_of_which_nothing_is_heard_is_perhaps_absent_after_three_silences() -> None:
    instrument = FakeInstrument({7: module(4, silent=True)})
    outcome = look(instrument, 7)
    assert isinstance(outcome, Absent)
    assert not outcome.definite
    questions = [message for message in instrument.received if "SENSe7" in message]
    assert len(questions) == 3


def test_after_a_silence_the_next_question_goes_over_a_new_link() -> None:
    instrument = FakeInstrument({7: module(4, silent=True)})
    look(instrument, 7)
    for link in instrument.links:
        assert sum("SENSe7" in message for message in link.received) <= 1


# --- what cannot be known ------------------------------------------------------------------------


def test_an_instrument_that_does_not_identify_itself_says_nothing_of_its_modules() -> None:
    instrument = FakeInstrument()
    instrument.identity = None
    assert look(instrument) is None
    assert instrument.received == ["*IDN?"]


def test_an_instrument_without_a_second_session_says_nothing_of_its_modules() -> None:
    instrument = FakeInstrument()
    instrument.sessions = 0
    assert look(instrument) is None


@pytest.mark.parametrize("kind", ["closed", "refused", "unreachable", "overrun"])
def test_a_link_that_is_lost_meanwhile_says_nothing_of_the_module(kind: str) -> None:
    instrument = FakeInstrument()
    instrument.fault = lambda message: (
        LinkError(kind, "gone") if "SENSe" in message else None  # type: ignore[arg-type]
    )
    assert look(instrument) is None


def test_a_link_that_is_lost_over_the_error_queue_does_not_matter_any_more() -> None:
    instrument = FakeInstrument()
    instrument.fault = lambda message: LinkError("closed", "gone") if "ERR" in message else None
    assert look(instrument, 7) == Absent("module 7 is not in the instrument", definite=True)


# --- beside the poll -----------------------------------------------------------------------------


def test_its_thread_wakes_the_owner_who_takes_the_outcome_once() -> None:
    with looking(FakeInstrument()) as (prober, woken):
        assert woken.wait(DEADLINE)
        assert not prober.busy
        assert prober.take() == (4, Profile())
        assert prober.take() is None
        assert not prober.busy


def test_while_it_looks_it_is_busy() -> None:
    instrument = FakeInstrument()
    instrument.hangs = lambda message: "SENSe" in message
    with looking(instrument) as (prober, woken):
        assert instrument.hanging.wait(DEADLINE)
        assert prober.busy
        assert not woken.is_set()


def test_one_prober_looks_for_one_module_after_another() -> None:
    instrument = FakeInstrument()
    with looking(instrument) as (prober, woken):
        for number in (7, 8):
            assert woken.wait(DEADLINE)
            prober.take()
            woken.clear()
            prober.begin(number)
        assert woken.wait(DEADLINE)
        outcome = prober.take()
        assert outcome is not None
        assert outcome[0] == 8


def test_stopping_ends_a_question_in_progress() -> None:
    instrument = FakeInstrument()
    instrument.hangs = lambda message: "SENSe" in message
    with looking(instrument) as (prober, woken):
        assert instrument.hanging.wait(DEADLINE)
        prober.stop()
        assert woken.wait(DEADLINE)
        assert prober.take() == (4, None)


def test_stopping_while_the_link_is_being_opened_ends_the_first_question() -> None:
    instrument = FakeInstrument()
    opening, go_on = threading.Event(), threading.Event()

    def open_slowly(timeout: float) -> FakeLink:
        opening.set()
        assert go_on.wait(DEADLINE)
        return instrument.open(timeout)

    with looking(instrument, open_slowly) as (prober, woken):
        assert opening.wait(DEADLINE)
        prober.stop()
        go_on.set()
        assert woken.wait(DEADLINE)
        assert prober.take() == (4, None)


def test_what_is_begun_after_the_stop_ends_by_itself() -> None:
    instrument = FakeInstrument()
    instrument.hangs = lambda _: True
    woken = threading.Event()
    prober = Prober(instrument.open, TIMEOUT, woken.set)
    prober.stop()
    prober.begin(4)
    assert woken.wait(DEADLINE)
    assert prober.take() == (4, None)
