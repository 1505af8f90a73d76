"""The checker of histories finds what it is there to find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.history import Look, check_order, check_values, looks

START = 1_764_000_000.0


def measured(count: int) -> list[Look]:
    """A look each 0.1 s, no two alike."""
    return [
        Look(START + 0.1 * n, 4, tuple((c, -10.0 * c - n) for c in range(1, 5)), "dBm")
        for n in range(count)
    ]


def shown(look: Look, seq: int, **changes: Any) -> dict[str, Any]:
    """The reading that a look becomes, a millisecond later."""
    reading: dict[str, Any] = {f"ch{channel}_power": value for channel, value in look.values}
    reading |= {"type": "data", "module": 4, "unit": look.unit, "quality": "VALID", "epoch": "a"}
    return reading | {"timestamp": look.time + 0.001, "seq": seq} | changes


def history(count: int = 10) -> list[dict[str, Any]]:
    return [shown(look, seq) for seq, look in enumerate(measured(count), 1)]


def test_a_history_in_order_passes_and_losses_are_none_of_its_business():
    messages = history()
    check_order(messages, complete=True)
    assert check_values(messages, measured(10), within=0.5) == 10
    del messages[3:5]
    check_order(messages)
    assert check_values(messages, measured(10), within=0.5) == 8


def test_readings_that_are_not_valid_and_errors_may_show_anything():
    messages = history()
    messages[4] |= {"quality": "INVALID", "ch1_power": None}
    messages.insert(6, {"type": "error", "message": "away"})
    check_order(messages, complete=True)
    assert check_values(messages, measured(10), within=0.5) == 9


def test_an_error_about_a_module_is_no_gap_among_its_readings():
    messages = history()
    messages[4] = {"type": "error", "message": "absent", "module": 4, "epoch": "a", "seq": 5}
    check_order(messages, complete=True)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: m.insert(5, m[4]), "not after each other"),
        (lambda m: m.append(m.pop(-2)), "not after each other"),
        (lambda m: m[5].update(timestamp=START), "back in time"),
        (lambda m: m[5].update(epoch="b", seq=1), "came back"),
        (lambda m: m.pop(5), "lost between"),
    ],
    ids=["twice", "out of order", "back in time", "from a dead daemon", "lost"],
)
def test_what_is_out_of_order_is_found(change: Any, complaint: str):
    messages = history()
    change(messages)
    with pytest.raises(AssertionError, match=complaint):
        check_order(messages, complete=complaint == "lost between")


@pytest.mark.parametrize(
    "change",
    [
        {"ch2_power": -20.5},
        {"ch4_power": None},
        {"unit": "mW"},
        {"timestamp": START + 0.499},
        {"timestamp": START + 2.0},
    ],
    ids=["another value", "a detector missing", "another unit", "told before measured", "too old"],
)
def test_a_reading_that_was_not_measured_for_it_is_found(change: dict[str, Any]):
    messages = history(6)
    messages[5] |= change
    with pytest.raises(AssertionError, match="was not measured for it"):
        check_values(messages, measured(6), within=0.5)


@pytest.mark.parametrize("failed", [True, False], ids=["after a failed reading", "at any time"])
def test_an_answer_to_the_question_before_is_found_though_it_is_recent(failed: bool):
    """The sharp case: right values, 0.1 s old, of a look that nobody was shown."""
    looked = measured(10)
    messages = [shown(look, seq) for seq, look in enumerate(looked[:5], 1)]
    if failed:
        messages[4] |= {"quality": "INVALID"}
    late = shown(looked[4], 6, timestamp=looked[5].time + 0.001)
    with pytest.raises(AssertionError, match="was not measured for it"):
        check_values([*messages, late], looked, within=0.5)


def test_a_reading_with_a_detector_that_was_not_asked_is_found():
    looked = [Look(START, 4, ((1, -10.0), (2, -20.0), (4, -40.0)), "dBm")]
    with pytest.raises(AssertionError, match="was not measured for it"):
        check_values([shown(looked[0], 1)], looked, within=0.5)
    assert check_values([shown(looked[0], 1)], looked, within=0.5, detectors=3) == 1


def test_looks_are_read_from_a_log_that_may_end_within_a_line(tmp_path: Path):
    entries = [
        {"time": START + n, "module": 4, "channel": c, "value": -1.5 * c, "unit": "dBm"}
        for n in range(2)
        for c in (1, 2)
    ]
    log = tmp_path / "log"
    log.write_text("\n".join(json.dumps(entry) for entry in entries) + '\n{"time":17')
    values = ((1, -1.5), (2, -3.0))
    assert looks(log) == [Look(START, 4, values, "dBm"), Look(START + 1, 4, values, "dBm")]
