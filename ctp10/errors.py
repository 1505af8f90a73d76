"""What the client raises, and the words for it."""

from __future__ import annotations

from ctp10 import wire


class InstrumentError(Exception):
    """The module that was asked for is not in the instrument. Iterating on waits for it."""


class GapError(Exception):
    """Readings are missing for good, and ``gaps="raise"`` was asked for; `gap` says which."""

    def __init__(self, gap: wire.Gap) -> None:
        super().__init__(describe(gap))
        self.gap = gap


class GapWarning(UserWarning):
    """Readings are missing for good; ``readings.gaps`` lists them."""


_REASONS = {
    "evicted": "they were too old to be kept",
    "epoch_changed": "acquisitiond was restarted",
    "unreachable": "acquisitiond did not give them in time",
}


def describe(gap: wire.Gap) -> str:
    """One sentence for a person."""
    why = _REASONS.get(gap.reason, gap.reason)
    if gap.to_seq is None:
        return f"readings of module {gap.module} after seq {gap.from_seq - 1} may be missing: {why}"
    count = gap.to_seq - gap.from_seq + 1
    what = f"seq {gap.from_seq}" if count == 1 else f"seq {gap.from_seq} to {gap.to_seq}"
    readings = "reading is" if count == 1 else "readings are"
    return f"{count} {readings} missing of module {gap.module} ({what}): {why}"
