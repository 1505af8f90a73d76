"""What a recording is on disk: the names, the columns, the rows. Pure.

A directory with ``metadata.json`` and either one file, ``readings.csv`` or ``readings.jsonl``, or
parts, ``part-00001.parquet`` and so on. The part that is being recorded is ``part-0000N.jsonl``
until it is complete, and after a crash.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from ctp10 import wire
from ctp10.frames import READING_COLUMNS

Format = Literal["parquet", "csv", "jsonl"]
Item = wire.Reading | wire.Gap
Row = dict[str, Any]

METADATA: Final = "metadata.json"
COLUMNS: Final = ("kind", *READING_COLUMNS, "to_seq", "reason")
"""Of a gap, ``seq`` is the first that is missing, ``to_seq`` the last, empty if that is unknown."""

_INTEGERS: Final = ("module", "seq", "to_seq")
_TEXTS: Final = ("kind", "unit", "quality", "epoch", "reason")


def single_file(form: Format) -> str:
    """Name of the file of a csv or jsonl recording."""
    return f"readings.{form}"


def part(number: int) -> str:
    """Name of a part that is complete."""
    return f"part-{number:05d}.parquet"


def journal(number: int) -> str:
    """Name of a part that is being recorded."""
    return f"part-{number:05d}.jsonl"


def row(item: Item, timestamp: float) -> Row:
    """One row; `timestamp` (Unix seconds) is that of the reading, or of the one before the gap."""
    made: Row = dict.fromkeys(COLUMNS)
    made |= {"timestamp": timestamp, "module": item.module, "epoch": item.epoch}
    if isinstance(item, wire.Gap):
        gap = {"kind": "gap", "seq": item.from_seq, "to_seq": item.to_seq, "reason": item.reason}
        return made | gap
    values = {name: getattr(item, name) for name in READING_COLUMNS}
    return made | {"kind": "reading"} | values


def row_from_message(message: dict[str, Any], before: float | None) -> Row:
    """The same from a line of jsonl; `before` is the timestamp of the row before."""
    made: Row = dict.fromkeys(COLUMNS)
    if message["type"] == "gap":
        gap = {"kind": "gap", "seq": message["from_seq"], "timestamp": before}
        return made | gap | {n: message[n] for n in ("module", "epoch", "to_seq", "reason")}
    return made | {"kind": "reading"} | {n: message.get(n) for n in READING_COLUMNS}


def row_from_texts(texts: dict[str, str]) -> Row:
    """The same from a line of csv."""
    return {name: _value(name, text) for name, text in texts.items()}


def _value(name: str, text: str) -> Any:
    if not text:
        return None
    if name == "timestamp":
        return datetime.fromisoformat(text).timestamp()
    if name in _TEXTS:
        return text
    return int(text) if name in _INTEGERS else float(text)


def to_table(arrow: Any, rows: list[Row], metadata: bytes) -> Any:
    """An Arrow table of `rows`, with the metadata under the key ``ctp10``."""
    types = dict.fromkeys(COLUMNS, arrow.float64())
    types |= dict.fromkeys(("module", "seq", "to_seq"), arrow.int64())
    types |= dict.fromkeys(("kind", "unit", "quality", "epoch", "reason"), arrow.string())
    types["timestamp"] = arrow.timestamp("us", tz="UTC")
    columns = {name: [made[name] for made in rows] for name in COLUMNS}
    columns["timestamp"] = [round(when * 1e6) for when in columns["timestamp"]]
    schema = arrow.schema(list(types.items()), metadata={b"ctp10": metadata})
    return arrow.table(columns, schema=schema)
