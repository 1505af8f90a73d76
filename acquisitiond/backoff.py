"""How long to wait before the next attempt to connect: exponential, with jitter. Pure."""

from __future__ import annotations

import random
from typing import Final

FIRST: Final = 0.1
LONGEST: Final = 1.5
"""Seconds. An attempt costs the lab's network nothing, and whoever switched the instrument on
should not wait: with this bound data is back within two seconds of it."""


class Backoff:
    """Delays in seconds; `reset` after a success."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._delay = FIRST

    def reset(self) -> None:
        """Start over with the shortest delay."""
        self._delay = FIRST

    def next(self) -> float:
        """The next delay: between half and all of a bound that doubles up to `LONGEST`."""
        delay = self._delay * self._rng.uniform(0.5, 1.0)
        self._delay = min(2 * self._delay, LONGEST)
        return delay
