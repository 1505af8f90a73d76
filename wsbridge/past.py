"""The bridge's own memory of one module's recent readings, for clients that come back. Pure.

A convenience, not state that matters: what is not here is asked of acquisitiond, once for all who
want it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from wsbridge.message import Message

MOST_KEPT: Final = 20_000
"""Readings of one module: about ten megabytes; over half an hour at 10 a second."""


class Past:
    """Consecutive readings of one epoch: from `first` to `last`, none when last < first."""

    def __init__(self) -> None:
        self.epoch = ""
        self.first = 1
        self.last = 0
        self._readings: dict[int, Message] = {}

    def restart(self, epoch: str, seq: int) -> None:
        """Forget everything; what comes next follows `seq`."""
        self.epoch, self.first, self.last = epoch, seq + 1, seq
        self._readings.clear()

    def add(self, epoch: str, seq: int, reading: Message | None) -> None:
        """The newest reading, or None for what is none. What is missing before it stays so."""
        if epoch != self.epoch:
            self.restart(epoch, seq - 1)
        if reading is not None:
            self._readings[seq] = reading
        self.last = seq
        while self.last - self.first >= MOST_KEPT:
            self._readings.pop(self.first, None)
            self.first += 1

    def prepend(self, epoch: str, first: int, older: Iterable[Message]) -> None:
        """Readings from `first` up to what is here already."""
        if epoch != self.epoch or first >= self.first:
            return
        for seq, message in zip(range(first, self.first), older, strict=False):
            if message.is_reading:
                self._readings[seq] = message
        self.first = first

    def __getitem__(self, seq: int) -> Message | None:
        """One reading; None where there is none, which its clients were told."""
        return self._readings.get(seq)
