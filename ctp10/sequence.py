"""Puts one module's messages back in order: what is missing is asked for, or named. Pure.

Told the time; asks through `need`, which its owner looks at after each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ctp10 import wire

PATIENCE: Final = 2.0
"""Seconds that readings wait for those before them, counted anew with each answer that helps."""
MOST_HELD: Final = 10_000
"""Readings that wait meanwhile; later ones are asked for as well when it is their turn."""

Item = wire.Reading | wire.Error | wire.Gap


class Position(NamedTuple):
    """A message's place."""

    epoch: str
    seq: int


class Sequencer:
    """One topic. Methods return what the consumer may see now, in order and never twice."""

    def __init__(self, module: int, since: Position | None = None) -> None:
        """`since` is the last message that the consumer has already."""
        self._module = module
        self._epoch, self._last = since or Position("", 0)
        self.need: Position | None = None
        """What follows this position has to be asked for."""
        self._target = self._last
        """The newest seq that is known to exist."""
        self._held: dict[int, wire.Reading | wire.Error] = {}
        self._deadline = 0.0

    def arrived(self, message: wire.Reading | wire.Error, now: float) -> list[Item]:
        """The next message on the socket."""
        if message.epoch is None or message.seq is None:
            return []  # of nobody that this contract knows
        out = self._enter(message.epoch, message.seq - 1)
        if message.seq <= self._last:
            return out
        if self.need is None and message.seq == self._last + 1:
            self._last = self._target = message.seq
            return [*out, message]
        if len(self._held) < MOST_HELD:
            self._held[message.seq] = message
        self._missing_up_to(message.seq, now)
        return out

    def heard(self, epoch: str, latest: int, now: float) -> list[Item]:
        """A heartbeat names the newest message: if that did not come before it, it was lost."""
        out = self._enter(epoch, latest)
        if latest > self._last:
            self._missing_up_to(latest, now)
        return out

    def replayed(
        self,
        position: Position,
        messages: Sequence[wire.Reading | wire.Error],
        gone: wire.Gap | None,
        now: float,
    ) -> list[Item]:
        """The answer to `need`: what follows `position`, oldest first, after what is gone."""
        if position != self.need:
            return []
        out: list[Item] = []
        if gone is not None:
            if gone.to_seq is None:
                return self._give_up(gone.reason)
            out.append(gone)
            self._last = max(self._last, gone.to_seq)
        for message in messages:
            if message.seq == self._last + 1 and message.epoch == self._epoch:
                self._last += 1
                if isinstance(message, wire.Reading):  # an error of then is no error of now
                    out.append(message)
        for seq in [seq for seq in self._held if seq <= self._last]:
            del self._held[seq]
        out += self._release_held()
        if self._last >= self._target:
            self.need = None
        elif self._last == position.seq:
            out += self._give_up("unreachable")  # it has nothing of what it said there was
        else:
            self._ask(now)
        return out

    def check(self, now: float) -> list[Item]:
        """Do not wait for ever."""
        if self.need is None or now < self._deadline:
            return []
        return self._give_up("unreachable")

    def _enter(self, epoch: str, last: int) -> list[Item]:
        """Begin after `last` if this is the first epoch, at the beginning if it is a new one."""
        if epoch == self._epoch:
            return []
        out: list[Item] = []
        if self._epoch:
            out += self._give_up("epoch_changed")
            out.append(self._gap(self._last + 1, None, "epoch_changed"))
            last = 0
        self._epoch, self._last, self._target = epoch, last, last
        return out

    def _missing_up_to(self, seq: int, now: float) -> None:
        self._target = max(self._target, seq)
        if self.need is None:
            self._ask(now)

    def _ask(self, now: float) -> None:
        self.need = Position(self._epoch, self._last)
        self._deadline = now + PATIENCE

    def _release_held(self) -> list[Item]:
        out: list[Item] = []
        while (message := self._held.pop(self._last + 1, None)) is not None:
            self._last += 1
            out.append(message)
        return out

    def _give_up(self, reason: wire.GapReason) -> list[Item]:
        """What there is, and the names of what there is not."""
        out = self._release_held()
        while self._last < self._target:
            end = min(self._held, default=self._target + 1) - 1
            out.append(self._gap(self._last + 1, end, reason))
            self._last = end
            out += self._release_held()
        self.need = None
        return out

    def _gap(self, first: int, last: int | None, reason: wire.GapReason) -> wire.Gap:
        return wire.Gap(
            module=self._module, epoch=self._epoch, from_seq=first, to_seq=last, reason=reason
        )
