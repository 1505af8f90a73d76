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
        self._began = 0.0
        self._first: wire.Reading | None = None
        self._last: wire.Reading | None = None
        self._last_at = 0.0

    @property
    def done(self) -> float:
        """Seconds that the readings cover so far."""
        if self._first is None or self._last is None:
            return 0.0
        return self._last.timestamp - self._first.timestamp

    def contains(self, reading: wire.Reading) -> bool:
        """Whether it belongs to the span; the first one begins it."""
        if self._first is None:
            self._began, self._first = self._clock(), reading
        if reading.timestamp >= self._first.timestamp + self.seconds:
            return False
        self._last, self._last_at = reading, self._clock()
        return True

    def over(self) -> bool:
        """Nothing more is to be expected."""
        return self._first is not None and self._clock() > self._began + self.seconds + GRACE

    def tail(self) -> wire.Gap | None:
        """What is missing of a span whose readings stopped before its end.

        Nothing if they still come: then the clock of whoever stamps them was set back.
        """
        if self._last is None or self._clock() <= self._last_at + GRACE:
            return None
        return wire.Gap(
            module=self._last.module,
            epoch=self._last.epoch,
            from_seq=self._last.seq + 1,
            to_seq=None,
            reason="unreachable",
        )
