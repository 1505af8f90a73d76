"""Writes a recording, so that a crash at any moment loses a second at most.

Rows go to a file that is only appended to, and reach the disk once a second. A Parquet recording
turns that file into a part every so often; the part appears under its name when it is complete.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import os
import platform
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from ctp10 import wire
from ctp10.recording import (
    COLUMNS,
    METADATA,
    Format,
    Item,
    journal,
    part,
    row,
    single_file,
    to_table,
)

FLUSH: Final = 1.0
"""Seconds between two writes to the disk: what a crash may lose."""
ROTATE: Final = 600.0
"""Seconds of a part."""
PART_ROWS: Final = 60_000
"""Rows of a part at most: ten minutes at 100 a second, some 30 MB of memory meanwhile."""
GAPS_LISTED: Final = 1000
"""Gaps in the metadata; the rows have them all."""


class Recorder:
    """A context manager for one recording. OSError from any method: the disk; nothing is undone."""

    def __init__(
        self,
        directory: Path,
        form: Format,
        settings: dict[str, Any],
        *,
        rotate: float = ROTATE,
        part_rows: int = PART_ROWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins it. `settings` go into the metadata; `rotate` is in seconds.

        Raises:
            FileExistsError: there is a recording already.
            ImportError: Parquet without pyarrow.
        """
        self._arrow: Any = importlib.import_module("pyarrow") if form == "parquet" else None
        self._parquet: Any = importlib.import_module("pyarrow.parquet") if self._arrow else None
        self._directory = directory
        self._form = form
        self._rotate, self._part_rows, self._clock = rotate, part_rows, clock
        self._lines = [_csv_line(COLUMNS)] if form == "csv" else []
        self._part: list[tuple[Item, float]] = []
        self._changed = False
        self._broken = False
        self._number = 0
        self._file: io.FileIO | None = None
        self._last: float | None = None
        self._epochs: list[str] = []
        self._gaps: list[dict[str, Any]] = []
        self.readings = 0
        """Readings taken in so far."""
        self.gaps = 0
        """Gaps taken in so far."""
        self._metadata: dict[str, Any] = {
            "recording": 1,
            "format": form,
            "started": wire.iso_timestamp(time.time()),
            "ended": None,
            "settings": settings,
            "instrument": None,
            "address": None,
            "simulated": None,
            "versions": _versions(),
        }
        directory.mkdir(parents=True, exist_ok=True)
        taken = [name for name in (METADATA, single_file(form)) if (directory / name).exists()]
        if taken or any(directory.glob("part-*")):
            raise FileExistsError(f"{directory} has a recording already")
        self._write_metadata()
        self._open()
        now = clock()
        self._flush_at, self._rotate_at = now + FLUSH, now + rotate

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if not self._broken:
                self._finish()
        finally:
            if self._file is not None:
                self._file.close()

    def describe(self, status: wire.Status | None) -> None:
        """What is known of the instrument, for the metadata."""
        for name in ("instrument", "address", "simulated"):
            value = getattr(status, name, None)
            if value is not None and value != self._metadata[name]:
                self._metadata[name] = value
                self._changed = True

    def add(self, item: Item) -> None:
        """Take in what comes next."""
        if isinstance(item, wire.Reading):
            self.readings += 1
            self._last = item.timestamp
        else:
            self.gaps += 1
            if len(self._gaps) < GAPS_LISTED:
                self._gaps.append(orjson.loads(wire.encode(item)))
            self._changed = True
        if item.epoch not in self._epochs[-1:]:
            self._epochs.append(item.epoch)
            self._changed = True
        when = time.time() if self._last is None else self._last
        if self._form == "csv":
            values = row(item, when) | {"timestamp": wire.iso_timestamp(when)}
            self._lines.append(_csv_line(values.values()))
        else:
            self._lines.append(wire.encode(item) + b"\n")
        if self._form == "parquet":
            self._part.append((item, when))

    def tick(self) -> None:
        """Write what is due; call it several times a second."""
        now = self._clock()
        if now >= self._rotate_at or len(self._part) >= self._part_rows:
            self._rotate_at = now + self._rotate
            self._complete_part()
            self._write_metadata()
            self._open()
        elif now >= self._flush_at:
            self._flush()
            if self._changed:
                self._write_metadata()
        else:
            return
        self._flush_at = self._clock() + FLUSH

    def _finish(self) -> None:
        self._complete_part()
        self._metadata["ended"] = wire.iso_timestamp(time.time())
        self._write_metadata()

    def _open(self) -> None:
        if self._form == "parquet":
            self._number += 1
            name = journal(self._number)
        elif self._file is None:
            name = single_file(self._form)
        else:
            return  # these two are one file from the beginning to the end
        self._file = (self._directory / name).open("xb", buffering=0)

    def _flush(self) -> None:
        if self._file is None or not self._lines:
            return
        data, written = b"".join(self._lines), 0
        before = self._file.tell()
        try:
            while written < len(data):
                written += self._file.write(data[written:])
            os.fsync(self._file.fileno())
        except OSError:
            self._broken = True
            with contextlib.suppress(OSError):  # keep what found room, in whole lines
                self._file.truncate(before + data.rfind(b"\n", 0, written) + 1)
            raise
        self._lines.clear()

    def _complete_part(self) -> None:
        self._flush()
        if self._form != "parquet" or self._file is None:
            return
        if self._part:
            rows = [row(item, when) for item, when in self._part]
            table = to_table(self._arrow, rows, self._document(gaps=False))
            self._replace(part(self._number), lambda file: self._parquet.write_table(table, file))
        self._file.close()
        (self._directory / journal(self._number)).unlink()
        self._part.clear()

    def _document(self, *, gaps: bool) -> bytes:
        counts = {"readings": self.readings, "gap_count": self.gaps, "epochs": self._epochs}
        listed = {"gaps": self._gaps} if gaps else {}
        return orjson.dumps(self._metadata | counts | listed, option=orjson.OPT_INDENT_2)

    def _write_metadata(self) -> None:
        self._replace(METADATA, lambda file: file.write(self._document(gaps=True) + b"\n"))
        self._changed = False

    def _replace(self, name: str, write: Callable[[io.BufferedWriter], Any]) -> None:
        """Make the file appear, whole, under its name."""
        unfinished = self._directory / f"{name}.tmp"
        try:
            with unfinished.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._directory / name)
        except OSError:
            self._broken = True
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise


def _csv_line(values: Iterable[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().encode()


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("ctp10", "pyzmq", "orjson", "pyarrow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
