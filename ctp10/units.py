"""Powers in dBm and in milliwatts. Pure; imports nothing of ours.

dBm is logarithmic: powers add up, and are averaged, in milliwatts alone.
"""

from __future__ import annotations

import math
from typing import Final, Literal

Unit = Literal["dBm", "mW"]

_MOST_DBM: Final = 3080.0
"""Beyond this a double has no milliwatts for it; whoever answers that has no reading."""


def to_milliwatts(value: float, unit: Unit) -> float | None:
    """A power in milliwatts; None where there is no such number."""
    if unit == "mW":
        return value
    return float(10.0 ** (value / 10.0)) if value < _MOST_DBM else None


def from_milliwatts(power_mw: float, unit: Unit) -> float | None:
    """Milliwatts in `unit`; None where dBm has no number for it (zero or less)."""
    if unit == "mW":
        return power_mw
    return 10.0 * math.log10(power_mw) if power_mw > 0 else None


def convert(value: float, source: Unit, target: Unit) -> float | None:
    """The same power in another unit, None where that has no number for it."""
    if source == target:
        return value
    power_mw = to_milliwatts(value, source)
    return None if power_mw is None else from_milliwatts(power_mw, target)
