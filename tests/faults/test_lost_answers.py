"""Answers lost while it is looked for a module: silence must not be taken for an empty place.

A line that loses an answer now and then, or comes and goes, does so during a search too. The
instrument is in memory here, so that each answer of a search can be the one that is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acquisitiond.instrument import ALL_CHANNELS, USUAL_CHANNELS, Profile
from acquisitiond.probe import Absent, Prober
from acquisitiond.visa import LinkError
from tests.support.fake_instrument import FakeInstrument

MESSAGES = 2 + len(ALL_CHANNELS)
"""Of a search: the identity, all detectors at once, each by itself."""


def search(lost: Callable[[int], bool]) -> Profile | Absent | None:
    """What comes of a search for a module of four detectors; the answers `lost` are lost."""
    instrument = FakeInstrument()
    asked = iter(range(1000))

    def fault(_: str) -> LinkError | None:
        return LinkError("timeout", "gave no complete answer") if lost(next(asked)) else None

    instrument.fault = fault
    return Prober(instrument.open, timeout=1.0, wake=lambda: None).run(4)


def test_a_search_that_loses_nothing_finds_four_detectors():
    assert search(lambda _: False) == Profile(USUAL_CHANNELS)


@pytest.mark.parametrize("number", range(1, 2 + len(USUAL_CHANNELS)))
def test_one_lost_answer_never_hides_a_detector_nor_slows_readings_for_good(number: int):
    """The search finds all four, or nothing that is believed for long. A profile is kept for as
    long as readings succeed: with a detector missing, they would be VALID and null there for good;
    without compound messages, four round trips each for good."""
    outcome = search(lambda message: message == number)
    assert outcome in (None, Profile(USUAL_CHANNELS)) or _soon_again(outcome)


@pytest.mark.parametrize("number", [0, 2 + len(USUAL_CHANNELS), MESSAGES - 1])
def test_a_lost_identity_or_silence_of_what_is_not_there_anyway_misleads_nobody(number: int):
    """Without an identity nothing is concluded; detectors 5 and 6 do not exist."""
    outcome = search(lambda message: message == number)
    assert outcome in (None, Profile(USUAL_CHANNELS)) or _soon_again(outcome)


@pytest.mark.parametrize(
    "number",
    [
        0,
        1,
        2,
    ],
)
def test_a_link_that_falls_silent_in_a_search_is_no_absent_module(number: int):
    """From some message on nothing is answered: an absence that follows is not definite, so that a
    configured module is looked for again soon."""
    outcome = search(lambda message: message >= number)
    assert outcome is None or _soon_again(outcome)


def _soon_again(outcome: Profile | Absent | None) -> bool:
    return isinstance(outcome, Absent) and not outcome.definite
