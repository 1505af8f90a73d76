"""`ctp10 record`: everything that is read of one module, on disk."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from ctp10 import wire
from ctp10.client import CONTROL, ENDPOINT, Subscription, subscribe
from ctp10.errors import InstrumentError
from ctp10.progress import Progress, bar
from ctp10.recorder import ROTATE, Recorder
from ctp10.recording import Format
from ctp10.span import Span

TICK: Final = 0.2
"""Seconds, at most, between two looks at the clock and at signals."""

_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="directory of the recording; made if need be, and not to hold another one",
)
@click.option(
    "--module",
    type=click.IntRange(wire.MODULES[0], wire.MODULES[-1]),
    default=4,
    show_default=True,
    help="slot in the mainframe",
)
@click.option(
    "--seconds",
    type=_POSITIVE,
    metavar="S",
    help="how long, from the first reading on; else until Ctrl-C",
)
@click.option("--rate", type=_POSITIVE, metavar="HZ", help="readings a second to ask for")
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "jsonl"]),
    default="parquet",
    show_default=True,
    help="of the files",
)
@click.option(
    "--rotate",
    type=_POSITIVE,
    metavar="S",
    default=ROTATE,
    show_default=True,
    help="seconds of one Parquet file",
)
@click.option(
    "--endpoint",
    metavar="EP",
    default=ENDPOINT,
    show_default=True,
    help="ZeroMQ endpoint of readings",
)
@click.option(
    "--control",
    metavar="EP",
    default=CONTROL,
    show_default=True,
    help="ZeroMQ endpoint of requests",
)
def record(
    output: Path,
    module: int,
    seconds: float | None,
    rate: float | None,
    form: Format,
    rotate: float,
    endpoint: str,
    control: str,
) -> None:
    """Record every reading of a module until Ctrl-C, or for some seconds.

    Readings that were missed are fetched from acquisitiond; those that cannot be had any more
    become rows of their own. While acquisitiond or the instrument is away, it waits. A crash
    loses a second at most. `ctp10.read(DIR)` in Python gives the recording as one DataFrame.
    """
    settings = {
        "module": module,
        "seconds": seconds,
        "rate": rate,
        "rotate": rotate,
        "endpoint": endpoint,
        "control": control,
    }
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopping.append(number))
    try:
        with (
            subscribe(
                module, rate=rate, endpoint=endpoint, control=control, gaps="report"
            ) as source,
            Recorder(output, form, settings, rotate=rotate) as recorder,
            Progress() as progress,
        ):
            click.echo(f"recording module {module} into {output} ({form})", err=True)
            _record(source, recorder, Span(seconds, time.monotonic), progress, stopping)
    except ImportError:
        _end(2, "--format parquet needs pyarrow: pip install 'ctp10[record]', or use csv or jsonl")
    except (FileExistsError, ValueError) as error:
        _end(2, str(error))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        _end(1, f"cannot write to {output}: {reason}; what was recorded until then is safe")
    click.echo(f"recorded {_count(recorder)} into {output}", err=True)


def _record(
    source: Subscription[Any],
    recorder: Recorder,
    span: Span,
    progress: Progress,
    stopping: list[int],
) -> None:
    trouble: str | None = None
    while not span.over():
        try:
            item = source.poll(0 if stopping else TICK)
        except InstrumentError as error:  # it may be plugged in again
            trouble = str(error)
            continue
        if isinstance(item, wire.Reading):
            trouble = None
            if not span.contains(item):
                return
        if item is not None:
            recorder.add(item)
        elif stopping:
            return
        recorder.describe(source.status)
        recorder.tick()
        progress.show(_line(source, recorder, span, trouble))
    if (gap := span.tail()) is not None:
        recorder.add(gap)


def _line(source: Subscription[Any], recorder: Recorder, span: Span, trouble: str | None) -> str:
    if source.state != "connected":
        trouble = trouble or source.why()
    waiting = f", waiting ({trouble})" if trouble else ""
    time_ = bar(span.done, span.seconds) if span.seconds != float("inf") else f"{span.done:.1f} s"
    return f"module {source.module} {time_}, {_count(recorder)}{waiting}"


def _count(recorder: Recorder) -> str:
    gaps = "1 gap" if recorder.gaps == 1 else f"{recorder.gaps} gaps"
    return f"{recorder.readings} readings, {gaps}"


def _end(code: int, sentence: str) -> None:
    click.echo(f"ctp10 record: {sentence}", err=True)
    sys.exit(code)
