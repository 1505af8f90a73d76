"""Where the receiving thread leaves readings and a consumer finds them: bounded, and never silent.

Who does not take them in time loses the oldest, and finds a `Gap` in their place.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from ctp10 import wire
from ctp10.sequence import Item

LONGEST_WAIT: Final = 0.5
"""Seconds: on some systems Ctrl-C is not seen while a thread waits."""


class Inbox:
    """One per subscription; its lock is never taken by a finalizer."""

    def __init__(self, bound: int) -> None:
        """`bound` is how many items may wait."""
        self._bound = bound
        self._items: deque[Item] = deque()
        self._dropped: deque[wire.Gap] = deque()
        self._changed = threading.Condition()
        self._wake: Callable[[], None] | None = None
        self.ended = False
        self.failure: Exception | None = None
        """What ended the receiving thread, if it was not asked to end."""
        self.status: wire.Status | None = None
        self.state: wire.State = "connecting"
        self.heard_at: float | None = None
        """`time.monotonic()` of the last sign of life of acquisitiond."""

    def put(self, items: Iterable[Item]) -> None:
        """From the receiving thread."""
        with self._changed:
            self._items.extend(items)
            while len(self._items) > self._bound:
                self._drop(self._items.popleft())
            self._tell()

    def end(self, failure: Exception | None = None) -> None:
        """Nothing comes any more."""
        with self._changed:
            self.ended = True
            self.failure = self.failure or failure
            self._tell()

    def take(self, timeout: float | None) -> Item | None:
        """The next item; None after `timeout` seconds without one, or when it has ended."""
        with self._changed:
            deadline = math.inf if timeout is None else time.monotonic() + timeout
            while not self._ready() and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, LONGEST_WAIT))
            return self._pop()

    def take_or_call(self, wake: Callable[[], None]) -> Item | None:
        """The next item; if there is none yet, `wake()` is called once, from another thread."""
        with self._changed:
            self._wake = None if self._ready() else wake
            return self._pop()

    def _ready(self) -> bool:
        return bool(self._items or self._dropped or self.ended)

    def _pop(self) -> Item | None:
        if self.ended:
            return None
        if self._dropped:
            return self._dropped.popleft()
        return self._items.popleft() if self._items else None

    def _tell(self) -> None:
        if self._ready():
            self._changed.notify_all()
            if self._wake is not None:
                self._wake()
                self._wake = None

    def _drop(self, item: Item) -> None:
        gap = item if isinstance(item, wire.Gap) else _as_gap(item)
        last = self._dropped[-1] if self._dropped else None
        if last is not None and last.epoch == gap.epoch:
            self._dropped[-1] = replace(last, to_seq=gap.to_seq)
        else:
            self._dropped.append(gap)


def _as_gap(item: wire.Reading | wire.Error) -> wire.Gap:
    assert item.epoch is not None
    assert item.seq is not None
    assert item.module is not None
    return wire.Gap(
        module=item.module,
        epoch=item.epoch,
        from_seq=item.seq,
        to_seq=item.seq,
        reason="evicted",
    )
