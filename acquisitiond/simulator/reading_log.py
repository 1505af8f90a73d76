"""Owns the file of readings given out, so that a test can compare measured with delivered.

Appends only. Lines are buffered; all are in the file when the context closes.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from acquisitiond.simulator.mainframe import OnReading


@contextmanager
def reading_log(path: Path, wall: Callable[[], float]) -> Iterator[OnReading]:
    """Give the function that notes a reading; `wall` is Unix seconds. Raises OSError."""
    with path.open("a", encoding="utf-8") as file:

        def note(module: int, channel: int, value: float, unit: str) -> None:
            reading = {
                "time": wall(), "module": module, "channel": channel, "value": value, "unit": unit
            }  # fmt: skip
            file.write(json.dumps(reading, separators=(",", ":")) + "\n")

        yield note
