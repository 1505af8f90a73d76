"""Puts one module's messages back in order: holes are asked for, or announced. Pure.

What the bridge missed (its own stall, a high-water mark, a reconnect) is repaired from the daemon's
history before clients see it. Told the time; asks through `need`, which its owner looks at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ctp10 import wire
from wsbridge.message import Message

PATIENCE: Final = 1.0
"""Seconds that readings wait for those before them."""
MOST_HELD: Final = 5000
"""Messages that wait meanwhile; with more the hole is announced instead."""


@dataclass(frozen=True, slots=True)
class Position:
    """A message's place: `seq` within `epoch`."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message about the module, and its place."""

    position: Position
    message: Message


@dataclass(frozen=True, slots=True)
class Missing:
    """Messages that will not come; see `wire.Gap`."""

    epoch: str
    from_seq: int
    to_seq: int | None
    reason: wire.GapReason


Output = Numbered | Missing


class Sequencer:
    """One module. Methods return what its clients may see now, in order."""

    def __init__(self) -> None:
        self.epoch = ""
        self.last = 0
        """Seq of the newest message that was handed on."""
        self.need: Position | None = None
        """What follows this position has to be asked for."""
        self.holes = 0
        """Messages that were missing when their successors came, so far."""
        self._held: dict[int, Message] = {}
        self._deadline = 0.0

    def start(self, epoch: str, seq: int) -> bool:
        """Begin after this position, unless anything is known already."""
        if self.epoch:
            return False
        self._reset(epoch, seq)
        return True

    def arrived(self, message: Numbered, now: float) -> list[Output]:
        """The next message on the socket."""
        out: list[Output] = []
        epoch, seq = message.position.epoch, message.position.seq
        if epoch != self.epoch:
            out += self._change_epoch(epoch, seq)
        if seq <= self.last:
            return out
        self._held[seq] = message.message
        if self.need is None and seq > self.last + 1:
            self.holes += seq - self.last - 1
            self._ask(now)
        if self.need is not None and len(self._held) <= MOST_HELD:
            return out
        return out + self.give_up("unreachable")

    def heard(self, epoch: str, latest: int, now: float) -> None:
        """A heartbeat says what the newest message is; if it is not here, it was lost."""
        if epoch == self.epoch and self.need is None and latest > self.last:
            self.holes += latest - self.last
            self._ask(now)

    def replayed(
        self, position: Position, messages: Sequence[Message], gone: Missing | None, now: float
    ) -> list[Output]:
        """The answer to `need`: what follows `position`, oldest first, after what is gone."""
        if position != self.need:
            return []
        if gone is not None and gone.to_seq is None:
            return self.give_up(gone.reason)
        out: list[Output] = []
        if gone is not None and gone.to_seq is not None:
            self._pass_over(gone.to_seq, gone.reason, out)
        for message in messages:
            self._hand_on(message, out)
        self._hand_on_held(out)
        self.need = None
        if self._held:
            if not messages:
                return out + self.give_up("unreachable")
            self._ask(now)
        return out

    def check(self, now: float) -> list[Output]:
        """Do not wait for ever."""
        if self.need is None or now < self._deadline:
            return []
        return self.give_up("unreachable")

    def give_up(self, reason: wire.GapReason) -> list[Output]:
        """Hand on what there is, and name what there is not."""
        out: list[Output] = []
        self.need = None
        if self._held:
            self._pass_over(max(self._held), reason, out)
        return out

    def _pass_over(self, to_seq: int, reason: wire.GapReason, out: list[Output]) -> None:
        """Go on to `to_seq`, with what is held on the way; the rest is missing."""
        while self.last < to_seq:
            self._hand_on_held(out)
            first_held = min(self._held, default=to_seq + 1)
            end = min(to_seq, first_held - 1)
            if end > self.last:
                out.append(Missing(self.epoch, self.last + 1, end, reason))
                self.last = end

    def _change_epoch(self, epoch: str, seq: int) -> list[Output]:
        """The daemon was restarted: how far the old epoch went is not known to anybody."""
        if not self.epoch:
            self._reset(epoch, seq - 1)
            return []
        out = self.give_up("unreachable")
        out.append(Missing(self.epoch, self.last + 1, None, "epoch_changed"))
        self._reset(epoch, 0)
        return out

    def _reset(self, epoch: str, last: int) -> None:
        self.epoch, self.last, self.need = epoch, last, None
        self._held.clear()

    def _ask(self, now: float) -> None:
        self.need = Position(self.epoch, self.last)
        self._deadline = now + PATIENCE

    def _hand_on(self, message: Message, out: list[Output]) -> None:
        self.last += 1
        self._held.pop(self.last, None)
        out.append(Numbered(Position(self.epoch, self.last), message))

    def _hand_on_held(self, out: list[Output]) -> None:
        while (message := self._held.get(self.last + 1)) is not None:
            self._hand_on(message, out)
