"""Readings as a DataFrame of pandas or polars, whichever there is; imported when asked for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, Literal, get_args

from ctp10 import wire
from ctp10.units import Unit

Library = Literal["pandas", "polars"]

_POWERS: Final = tuple(f"ch{channel}_power" for channel in wire.CHANNELS)
_CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "unit": get_args(Unit),
    "quality": get_args(wire.Quality),
    "kind": ("reading", "gap"),
    "reason": get_args(wire.GapReason),
}
READING_COLUMNS: Final = (
    "timestamp",
    "module",
    "wavelength_nm",
    "unit",
    *_POWERS,
    "quality",
    "epoch",
    "seq",
)


def library(wish: Library | None) -> Library:
    """The one to use: `wish`, or pandas or else polars. Raises ImportError if there is none."""
    if wish is not None and wish not in get_args(Library):
        raise ValueError(f'frame={wish!r} is not allowed: expected "pandas" or "polars"')
    for name in get_args(Library) if wish is None else (wish,):
        if importlib.util.find_spec(name) is not None:
            found: Library = name
            return found
    wanted = wish or "pandas or polars"
    raise ImportError(f"a DataFrame needs {wanted}: pip install 'ctp10[{wish or 'pandas'}]'")


def from_readings(readings: Sequence[wire.Reading], gaps: Iterable[wire.Gap], use: Library) -> Any:
    """A row for each reading. With pandas, `gaps` are in ``attrs["gaps"]``."""
    columns: dict[str, list[Any]] = {
        name: [getattr(reading, name) for reading in readings] for name in READING_COLUMNS
    }
    return from_columns(columns, gaps, use)


def from_columns(columns: Mapping[str, list[Any]], gaps: Iterable[wire.Gap], use: Library) -> Any:
    """The same from columns of plain values, ``timestamp`` in Unix seconds or None."""
    times = [None if t is None else round(t * 1e6) * 1000 for t in columns["timestamp"]]
    frame_library = importlib.import_module(use)
    if use == "polars":
        data = {n: _polars_column(frame_library, n, v) for n, v in columns.items()}
        data["timestamp"] = frame_library.Series(times, dtype=frame_library.Int64)
        return finish(frame_library.DataFrame(data), gaps, use)
    data = {n: _pandas_column(frame_library, n, v) for n, v in columns.items()}
    data["timestamp"] = frame_library.to_datetime(
        frame_library.array(times, dtype="Int64"), unit="ns", utc=True
    )
    return finish(frame_library.DataFrame(data), gaps, use)


def finish(frame: Any, gaps: Iterable[wire.Gap], use: Library) -> Any:
    """Column types as documented, whatever the frame was made of."""
    if use == "polars":
        return _finish_polars(frame)
    pandas = importlib.import_module("pandas")
    for name in frame.columns:
        if name == "timestamp":
            frame[name] = frame[name].dt.as_unit("ns")
        elif name in _CATEGORIES:
            frame[name] = pandas.Categorical(frame[name], categories=_CATEGORIES[name])
        elif name == "epoch":
            frame[name] = frame[name].astype("category")
        elif name in ("module", "seq", "to_seq"):
            frame[name] = frame[name].astype("Int64" if name == "to_seq" else "int64")
        else:
            frame[name] = frame[name].astype("float64")
    frame = frame.drop(columns=[n for n in _POWERS[4:] if frame[n].isna().all()])
    frame = frame.set_index("timestamp")
    # Plain values: pandas writes its attrs as JSON into the files that it makes.
    frame.attrs["gaps"] = [asdict(gap) for gap in gaps]
    return frame


def _finish_polars(frame: Any) -> Any:
    polars = importlib.import_module("polars")
    types: dict[str, Any] = dict.fromkeys(("wavelength_nm", *_POWERS), polars.Float64)
    types |= dict.fromkeys(("module", "seq", "to_seq"), polars.Int64)
    types |= {name: polars.Enum(words) for name, words in _CATEGORIES.items()}
    types |= {"epoch": polars.Categorical, "timestamp": polars.Datetime("ns", "UTC")}
    frame = frame.with_columns(polars.col(name).cast(types[name]) for name in frame.columns)
    return frame.drop(n for n in _POWERS[4:] if frame[n].null_count() == len(frame))


def _polars_column(polars: Any, name: str, values: list[Any]) -> Any:
    if name in _CATEGORIES or name == "epoch":
        return polars.Series(values, dtype=polars.String)
    whole = name in ("module", "seq", "to_seq", "timestamp")
    return polars.Series(values, dtype=polars.Int64 if whole else polars.Float64, strict=False)


def _pandas_column(pandas: Any, name: str, values: list[Any]) -> Any:
    if name in _CATEGORIES or name == "epoch":
        return pandas.array(values, dtype="object")
    whole = name in ("module", "seq", "to_seq")
    return pandas.Series(values, dtype="Int64" if whole else "float64")
