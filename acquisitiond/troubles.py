"""What is wrong at the moment, told once: a repeated error is counted, not logged again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

TELL_AGAIN: Final = 10.0
"""Seconds before a subject's trouble that changed its wording is worth another line."""


@dataclass(slots=True)
class _Trouble:
    reason: str
    told: float
    count: int = 1


class Troubles:
    """At most one trouble a subject. `clock` gives monotonic seconds."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._current: dict[str, _Trouble] = {}

    def get(self, subject: str) -> str | None:
        """What is wrong with the subject, None if nothing is."""
        trouble = self._current.get(subject)
        return trouble.reason if trouble else None

    def begin(self, subject: str, reason: str) -> None:
        """Something is wrong, perhaps still the same."""
        now = self._clock()
        trouble = self._current.get(subject)
        if trouble is None:
            self._current[subject] = _Trouble(reason, now)
        else:
            changed, trouble.reason = trouble.reason != reason, reason
            trouble.count += 1
            if not changed or now - trouble.told < TELL_AGAIN:
                return
            trouble.told = now
        self._log.warning("%s: %s", subject, reason)

    def end(self, subject: str) -> None:
        """Nothing is wrong any more; logged if something was."""
        trouble = self._current.pop(subject, None)
        if trouble is not None:
            self._log.info("%s: well again after %d errors", subject, trouble.count)
