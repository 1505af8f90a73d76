"""What one viewer was shown against what the instrument measured.

A reading may be lost, never be shown twice, out of order, or be another than the one it says: the
look at the detectors that it shows was taken after the reading before it was told, since one thread
asks one question at a time, and before it was told itself. So an answer to an earlier question is
found however soon it came.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

Message = Mapping[str, Any]

ROUNDING: Final = 1e-6
"""Seconds to which timestamps are published."""
CHANNELS: Final = range(1, 7)


@dataclass(frozen=True, slots=True)
class Look:
    """Values that the instrument gave out together, in the order of its detectors."""

    time: float
    """Unix seconds of the last of them."""
    module: int
    values: tuple[tuple[int, float], ...]
    """Channel and value."""
    unit: str


def looks(log: Path) -> list[Look]:
    """What the simulator with this `--log` measured, as far as its file has whole lines of it.

    All is there after it has ended well, and what came before the last buffer before that.
    """
    found: list[list[dict[str, Any]]] = []
    for text in log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines():
        entry = json.loads(text)
        last = found[-1][-1] if found else None
        # A question asks for detectors in ascending order, and is answered in one go.
        same = last is not None and (last["module"], last["unit"]) == (
            entry["module"],
            entry["unit"],
        )
        if last is not None and same and last["channel"] < entry["channel"]:
            found[-1].append(entry)
        else:
            found.append([entry])
    return [
        Look(
            time=group[-1]["time"],
            module=group[-1]["module"],
            values=tuple((entry["channel"], entry["value"]) for entry in group),
            unit=group[-1]["unit"],
        )
        for group in found
    ]


def readings(messages: Iterable[Message]) -> list[Message]:
    """The readings among a viewer's messages."""
    return [message for message in messages if message["type"] == "data"]


def check_order(messages: Iterable[Message], *, complete: bool = False) -> None:
    """No reading twice, none older than one before it, no daemon that comes back from the dead.

    `complete`: of each daemon none is missing either, from the first that was seen to the last; nor
    is one of its errors about a module, which have numbers among the readings'.
    """
    shown = list(messages)
    for module in {reading["module"] for reading in readings(shown)}:
        mine = [
            message
            for message in shown
            if message.get("module") == module
            and (message["type"] == "data" or (complete and message.get("seq") is not None))
        ]
        over: set[str] = set()
        for before, after in pairwise(mine):
            if before["epoch"] != after["epoch"]:
                over.add(before["epoch"])
                assert after["epoch"] not in over, f"an epoch came back: {after}"
                continue
            assert after["seq"] > before["seq"], f"not after each other: {before}, {after}"
            if before["type"] == after["type"] == "data":
                assert after["timestamp"] >= before["timestamp"], f"back in time: {before}, {after}"
            if complete:
                assert after["seq"] == before["seq"] + 1, f"lost between: {before}, {after}"


def check_values(
    messages: Iterable[Message],
    measured: Sequence[Look],
    *,
    within: float,
    detectors: int = 4,
    unlogged: Sequence[tuple[float, float]] = (),
) -> int:
    """Each VALID reading is what was measured for it, `within` seconds before; returns how many.

    All of a module's detectors that is: one that was not asked is no valid part of a reading.
    `unlogged`: times of which nothing is known, such as a killed simulator's life.
    """
    checked = 0
    # Each reading has an interval of its own, so that no look can serve two of them.
    for module in {reading["module"] for reading in readings(messages)}:
        mine = [look for look in measured if look.module == module]
        times = [look.time for look in mine]
        before = float("-inf")
        for reading in readings(messages):
            if reading["module"] != module:
                continue
            asked_after, told = before, reading["timestamp"]
            before = told
            unknown = any(start <= told <= end for start, end in unlogged)
            if reading["quality"] != "VALID" or unknown:
                continue
            earliest = max(asked_after, told - within)
            candidates = mine[bisect_right(times, earliest) : bisect_right(times, told + ROUNDING)]
            assert any(
                len(look.values) == detectors and _shows(reading, look) for look in candidates
            ), _explain(reading, asked_after, within, candidates, mine)
            checked += 1
    return checked


def _shows(reading: Message, look: Look) -> bool:
    values = dict(look.values)
    return reading["unit"] == look.unit and all(
        reading.get(f"ch{channel}_power") == values.get(channel) for channel in CHANNELS
    )


def _explain(
    reading: Message,
    asked_after: float,
    within: float,
    candidates: Sequence[Look],
    measured: Sequence[Look],
) -> str:
    told = reading["timestamp"]
    elsewhere = [f"{look.time - told:+.4f} s" for look in measured if _shows(reading, look)]
    return (
        f"{dict(reading)} shows what was not measured for it: it can be of "
        f"{max(asked_after - told, -within):+.4f} to 0 s, when {candidates[-3:]} were measured; "
        f"its values were measured at {elsewhere or 'no time at all'}"
    )
