"""`ctp10.collect`: some seconds of readings as a DataFrame."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

from ctp10 import frames, wire
from ctp10.client import CONTROL, ENDPOINT, Gaps, Subscription, subscribe
from ctp10.errors import GapError, GapWarning, describe
from ctp10.progress import Progress, bar
from ctp10.span import Span

POLL = 0.2
"""Seconds after which the progress is looked at, should no reading come."""


def collect(
    module: int = 4,
    seconds: float = 10,
    *,
    rate: float | None = None,
    frame: frames.Library | None = None,
    progress: bool = True,
    endpoint: str = ENDPOINT,
    control: str = CONTROL,
    gaps: Gaps = "repair",
    timeout: float | None = 10,
) -> Any:
    """Readings of `seconds` seconds, counted from the first one, as a DataFrame.

    Columns: ``timestamp`` (UTC; the index with pandas), ``module``, ``wavelength_nm`` (nanometres),
    ``unit`` (``dBm`` or ``mW``), ``ch1_power`` to ``ch4_power`` in that unit (null where the
    detector has no number; 5 and 6 if the module has them), ``quality``, ``epoch``, ``seq``. With
    pandas, ``attrs["gaps"]`` lists readings that are missing.

    Args:
        module: slot in the mainframe, 1 to 20.
        seconds: how long. If readings stop before, what there is by then is returned, and what
            follows it is a gap.
        rate: readings a second that you would like (Hz), see `ctp10.subscribe`.
        frame: "pandas" or "polars"; else pandas, or polars where there is no pandas.
        progress: show a line in a terminal or a notebook.
        endpoint: where acquisitiond publishes.
        control: where acquisitiond answers.
        gaps: see `ctp10.subscribe`; "report" lists them without a warning.
        timeout: seconds to wait for the first reading.

    Raises:
        ImportError: neither pandas nor polars is installed.
        TimeoutError: no reading came within `timeout`; it says why.
        InstrumentError: the module is not in the instrument.
        GapError: readings are missing for good, and ``gaps="raise"``.
    """
    if not (isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds={seconds!r} is not allowed: expected a number above 0")
    use = frames.library(frame)
    with subscribe(
        module, rate=rate, endpoint=endpoint, control=control, gaps=gaps, timeout=timeout
    ) as source:
        taken, tail = _take(source, Span(seconds, time.monotonic), timeout, Progress(progress))
        missing = source.gaps
    if tail is not None:
        missing.append(tail)
        if gaps == "raise":
            raise GapError(tail)
        if gaps == "repair":
            warnings.warn(describe(tail), GapWarning, stacklevel=2)
    return frames.from_readings(taken, missing, use)


def _take(
    source: Subscription[Any], span: Span, timeout: float | None, progress: Progress
) -> tuple[list[wire.Reading], wire.Gap | None]:
    """The readings, and what is missing after them should they have stopped too early."""
    taken: list[wire.Reading] = []
    began = time.monotonic()
    with progress:
        while not span.over():
            item = source.poll(POLL)
            if isinstance(item, wire.Reading):
                if not span.contains(item):
                    progress.show(_line(source, span.seconds, span, len(taken)))
                    return taken, None
                taken.append(item)
            elif not taken and timeout is not None and time.monotonic() - began > timeout:
                raise source.silence(timeout)
            progress.show(_line(source, span.done, span, len(taken)))
    return taken, span.tail()


def _line(source: Subscription[Any], done: float, span: Span, count: int) -> str:
    if not count:
        return f"module {source.module}: waiting ({source.why()})"
    lost = f", {len(source.gaps)} gaps" if source.gaps else ""
    return f"module {source.module} {bar(done, span.seconds)}, {count} readings{lost}"
