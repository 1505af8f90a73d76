"""The last messages of each topic, as they were published, for whoever missed some. Pure.

Bounded in bytes for each topic; the oldest go first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Reason = Literal["evicted", "epoch_changed"]

OVERHEAD: Final = 120
"""Bytes that Python adds to each message kept."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Messages that cannot be had any more; `to_seq` None: as many as there were."""

    from_seq: int
    to_seq: int | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Consecutive messages of one topic, oldest first, and what is missing before them."""

    first_seq: int
    payloads: list[bytes]
    gone: Gone | None


class _Ring:
    def __init__(self) -> None:
        self.payloads: dict[int, bytes] = {}
        self.oldest = 1
        self.size = 0


class History:
    """Messages of one epoch. `max_bytes` for each topic."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rings: dict[bytes, _Ring] = {}

    def add(self, topic: bytes, seq: int, payload: bytes) -> None:
        """Keep a topic's next message."""
        ring = self._rings.setdefault(topic, _Ring())
        ring.payloads[seq] = payload
        ring.size += len(payload) + OVERHEAD
        while ring.size > self._max_bytes and ring.oldest < seq:
            ring.size -= len(ring.payloads.pop(ring.oldest)) + OVERHEAD
            ring.oldest += 1

    def after(self, topic: bytes, seq: int, limit: int) -> Excerpt:
        """At most `limit` messages that follow `seq`."""
        ring = self._rings.get(topic)
        if ring is None:
            return Excerpt(seq + 1, [], None)
        first = max(seq + 1, ring.oldest)
        gone = Gone(seq + 1, first - 1, "evicted") if first > seq + 1 else None
        newest = ring.oldest + len(ring.payloads) - 1
        wanted = range(first, min(first + limit - 1, newest) + 1)
        return Excerpt(first, [ring.payloads[number] for number in wanted], gone)
