"""So many seconds of readings, counted from the first one by the instrument's clock. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ctp10 import wire

GRACE: Final = 3.0
"""Seconds after its end that a span waits for readings that are late, or being fetched."""


class Span:
    """Ends with the first reading that is outside; or by the clock, should none come."""

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        """`seconds` None: without end. `clock` is monotonic, in seconds."""
        self.seconds = math.inf if seconds is None else seconds
        self._clock = clock
        self._began: float | None = None
        self._first = 0.0
        self.last = 0.0
        """Unix seconds of the newest reading inside."""

    @property
    def done(self) -> float:
        """Seconds that the readings cover so far."""
        return self.last - self._first

    def contains(self, reading: wire.Reading) -> bool:
        """Whether it belongs to the span; the first one begins it."""
        if self._began is None:
            self._began, self._first = self._clock(), reading.timestamp
        if reading.timestamp >= self._first + self.seconds:
            return False
        self.last = reading.timestamp
        return True

    def over(self) -> bool:
        """Nothing more is to be expected."""
        return self._began is not None and self._clock() > self._began + self.seconds + GRACE
