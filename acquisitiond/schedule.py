"""When each module is due: pure, drift-free, told the time by its caller.

Due times stay on a grid: a late poll does not move the ones after it, and slots that were missed
altogether are skipped and counted, never made up for in a burst.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Entry:
    period: float
    due: float


class Schedule:
    """The next module to read, earliest due first. Times and periods in seconds."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}

    @property
    def periods(self) -> dict[int, float]:
        """Seconds between two readings, for each module being read."""
        return {module: entry.period for module, entry in self._entries.items()}

    def update(self, periods: Mapping[int, float], now: float) -> None:
        """Read exactly these modules from now on. A module whose period changed is due at once."""
        for module in self._entries.keys() - periods.keys():
            del self._entries[module]
        for module, period in periods.items():
            entry = self._entries.get(module)
            if entry is None or entry.period != period:
                self._entries[module] = _Entry(period, now)

    def next_due(self) -> tuple[int, float] | None:
        """Module and time of what is due next, or None when there is nothing to read."""
        if not self._entries:
            return None
        module = min(self._entries, key=lambda number: self._entries[number].due)
        return module, self._entries[module].due

    def taken(self, module: int, now: float) -> int:
        """`module` is being read now: advance it along its grid. Returns the slots it missed."""
        entry = self._entries[module]
        slots = max(1, math.floor((now - entry.due) / entry.period) + 1)
        entry.due += slots * entry.period
        return slots - 1
