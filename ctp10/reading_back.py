"""`ctp10.read`: a recording as one DataFrame, also one that a crash ended or that still goes on."""

from __future__ import annotations

import csv
import importlib
import os
from pathlib import Path
from typing import Any

import orjson

from ctp10 import frames
from ctp10.recording import (
    COLUMNS,
    METADATA,
    Row,
    gap_of,
    part,
    row_from_message,
    row_from_texts,
    single_file,
)


def read(directory: str | os.PathLike[str], *, frame: frames.Library | None = None) -> Any:
    """All rows of a recording made by ``ctp10 record``, in order, as one DataFrame.

    The columns of `ctp10.collect`, and ``kind``: "reading" or "gap". A gap is a row without powers;
    readings ``seq`` to ``to_seq`` (null: unknown) of its ``epoch`` are missing, for that
    ``reason``. ``df[df.kind == "reading"]`` are the readings alone. With pandas,
    ``attrs["gaps"]`` lists the gaps too and ``attrs["metadata"]`` is the recording's metadata.

    Args:
        directory: as given to ``ctp10 record -o``.
        frame: "pandas" or "polars"; else pandas, or polars where there is no pandas.

    Raises:
        FileNotFoundError: no recording is there.
        ImportError: neither pandas nor polars is installed, or no pyarrow for Parquet.
    """
    use = frames.library(frame)
    where = Path(directory)
    try:
        metadata = orjson.loads((where / METADATA).read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{where} has no recording: there is no {METADATA}") from None
    if metadata["format"] == "parquet":
        made, gaps = _read_parts(where, use)
    else:
        file = where / single_file(metadata["format"])
        rows = _csv_rows(file) if metadata["format"] == "csv" else _jsonl_rows(file.read_bytes())
        made, gaps = _frame(rows, use)
    made = frames.finish(made, gaps, use) if use == "pandas" else made
    if use == "pandas":
        made.attrs["metadata"] = metadata
    return made
