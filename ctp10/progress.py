"""One line that is written over and over, in a terminal or in Jupyter; elsewhere nothing."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Any, Final, Protocol, Self, TextIO

EVERY: Final = 0.2
"""Seconds between two writes."""
BAR: Final = 30
"""Characters of a bar."""


class _Place(Protocol):
    def write(self, text: str) -> None: ...
    def end(self) -> None: ...


class Progress:
    """A context manager; whatever was shown last stays."""

    def __init__(self, wanted: bool = True) -> None:
        self._place = _place() if wanted else None
        self._due = 0.0
        self._last: str | None = None

    def show(self, text: str) -> None:
        """Show it now, or leave it to the next one."""
        self._last = text
        if self._place is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY
            self._place.write(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._place is not None and self._last is not None:
            self._place.write(self._last)
            self._place.end()


def bar(done: float, total: float) -> str:
    """How much of a time in seconds has passed."""
    filled = round(BAR * min(1.0, done / total))
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {min(done, total):.1f}/{total:g} s"


def _place() -> _Place | None:
    # Looked up, not imported: where there is a notebook, IPython is there already.
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        return _Notebook(ipython)
    stderr: TextIO | None = sys.stderr
    return _Terminal(stderr) if stderr is not None and stderr.isatty() else None


class _Terminal:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r{text[:width]}\x1b[K")
        self._stream.flush()

    def end(self) -> None:
        self._stream.write("\n")
        self._stream.flush()


class _Notebook:
    def __init__(self, ipython: Any) -> None:
        self._display = ipython.display.display
        self._handle: Any = None

    def write(self, text: str) -> None:
        bundle = {"text/plain": text}
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def end(self) -> None:
        """It stays as it is."""
