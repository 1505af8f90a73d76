"""The wall clock is set while the instrument is read.

Only timestamps may follow it: when to read, and how long to wait, is measured with a clock that
nobody sets. Without a tool to set the clock of one process, the daemon's thread is handed one.
"""

from __future__ import annotations

import queue
import time
from itertools import pairwise

import pytest

from acquisitiond.events import Event, Snapshot
from acquisitiond.owner import Owner
from tests.support.fake_instrument import DEADLINE, FakeInstrument

PERIOD = 0.02
MARGIN = 1.0


@pytest.mark.parametrize("step", [3600.0, -3600.0], ids=["forward", "back"])
def test_a_wall_clock_that_is_set_moves_timestamps_and_nothing_else(step: float):
    """An hour forward or back: the next reading has the new time, comes when it is due, is as good
    as the one before, and no link is opened anew."""
    instrument = FakeInstrument()
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    offset = 0.0
    owner = Owner(
        instrument.open, events.put, timeout=1.0, configured=(4,), wall=lambda: time.time() + offset
    )
    owner.want({4: PERIOD})

    def take(count: int) -> list[tuple[float, Snapshot]]:
        """The next readings, each with the time at which it came."""
        taken: list[tuple[float, Snapshot]] = []
        while len(taken) < count:
            event = events.get(timeout=DEADLINE)
            if isinstance(event, Snapshot):
                taken.append((time.monotonic(), event))
        return taken

    owner.start()
    try:
        before = take(5)
        offset = step
        after = take(20)
    finally:
        assert owner.stop(DEADLINE)
    came = [moment for moment, _ in before + after]
    assert max(later - earlier for earlier, later in pairwise(came)) < MARGIN
    # The first may have been stamped before the clock was set.
    stamps = [snapshot.timestamp for _, snapshot in after[1:]]
    assert all(abs(stamp - offset - time.time()) < DEADLINE for stamp in stamps)
    assert stamps == sorted(stamps)
    assert all(snapshot.error is None for _, snapshot in before + after)
    assert sum(snapshot.missed for _, snapshot in after) < len(after)
    assert len(instrument.links) == 1
