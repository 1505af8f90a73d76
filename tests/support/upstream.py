"""A hub with what stands before it: messages are put in order, and nobody answers for the lost."""

from __future__ import annotations

from collections.abc import Callable

from ctp10 import wire
from wsbridge.hub import Hub
from wsbridge.message import Message
from wsbridge.repair import Repairs
from wsbridge.sequence import Missing, Output


class HubWithUpstream(Hub):
    """Takes payloads as the socket brings them."""

    def __init__(self, wall: Callable[[], float]) -> None:
        super().__init__(wall)
        self._now = 0.0
        self.repairs = Repairs(lambda *ask: ask[2](None), self._take, lambda: self._now)

    def reading(self, module: int, payload: bytes, now: float) -> int:
        """A message of a topic; returns how many before it were missing."""
        before, self._now = self.repairs.holes, now
        self.repairs.arrived(module, Message(payload))
        return self.repairs.holes - before

    def old_reading(self, module: int, payload: bytes, now: float) -> None:
        """A snapshot's newest message."""
        try:
            numbered = self.repairs.start(module, Message(payload))
        except wire.WireError:
            return
        if numbered is not None:
            self.old_message(module, numbered, now)

    def _take(self, module: int, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Missing):
                self.missing(module, output)
            else:
                self.numbered(module, output, self._now)
