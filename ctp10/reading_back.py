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
    row_from_message,
    row_from_texts,
    single_file,
    to_table,
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
        made = _read_parts(where, use)
    else:
        data = (where / single_file(metadata["format"])).read_bytes()
        made = _frame(_csv_rows(data) if metadata["format"] == "csv" else _jsonl_rows(data), use)
    if use == "pandas":
        made.attrs["gaps"] = _gaps(made)
        made.attrs["metadata"] = metadata
    return made


def _read_parts(where: Path, use: frames.Library) -> Any:
    try:
        arrow, parquet = (importlib.import_module(n) for n in ("pyarrow", "pyarrow.parquet"))
    except ImportError:
        raise ImportError(
            "a Parquet recording needs pyarrow: pip install 'ctp10[record]'"
        ) from None
    # The unfinished part first: should it be completed meanwhile, it is found among the others.
    journals = {path: path.read_bytes() for path in sorted(where.glob("part-*.jsonl"))}
    parts = sorted(where.glob("part-*.parquet"))
    tables = [parquet.ParquetFile(path).read() for path in parts]
    for path, data in journals.items():
        if path.with_suffix(".parquet") not in parts:
            before = tables[-1]["timestamp"][-1].as_py().timestamp() if tables else None
            tables.append(to_table(arrow, _jsonl_rows(data, before), b"{}"))
    if not tables:
        return _frame([], use)
    table = arrow.concat_tables([table.replace_schema_metadata() for table in tables])
    if use == "polars":
        return frames.finish(importlib.import_module("polars").from_arrow(table), (), use)
    return frames.finish(table.to_pandas(), (), use)


def _frame(rows: list[Row], use: frames.Library) -> Any:
    return frames.from_columns({name: [made[name] for made in rows] for name in COLUMNS}, (), use)


def _whole_lines(data: bytes) -> list[bytes]:
    """The last line may be half a line, after a crash of the machine."""
    return data[: data.rfind(b"\n") + 1].splitlines()


def _csv_rows(data: bytes) -> list[Row]:
    lines = csv.DictReader(line.decode() for line in _whole_lines(data))
    return [row_from_texts(texts) for texts in lines]


def _jsonl_rows(data: bytes, before: float | None = None) -> list[Row]:
    rows: list[Row] = []
    for line in _whole_lines(data):
        made = row_from_message(orjson.loads(line), before)
        before = made["timestamp"]
        rows.append(made)
    return rows


def _gaps(made: Any) -> list[dict[str, Any]]:
    gaps = made[made["kind"] == "gap"].rename(columns={"seq": "from_seq"})
    names = ["module", "epoch", "from_seq", "to_seq", "reason"]
    # By way of objects, so that what is unknown is None.
    plain = gaps[names].astype(object)
    records: list[dict[str, Any]] = plain.where(plain.notna(), None).to_dict("records")
    return records
