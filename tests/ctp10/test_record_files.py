"""What a recording is on disk: parts, crashes, reading it back. No sockets."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

import ctp10
from ctp10.recorder import FLUSH, Recorder
from ctp10.recording import Format, Item
from tests.ctp10.test_client_sequence import gap, reading, readings

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow_parquet = pytest.importorskip("pyarrow.parquet")

FORMATS: list[Format] = ["parquet", "csv", "jsonl"]
ITEMS: list[Item] = [
    gap(1, 1, "evicted"),
    *readings(2, 3),
    gap(4, 6, "unreachable"),
    reading(7),
    gap(8, None, "epoch_changed"),
    *readings(1, 2, epoch="b"),
]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def recorder(where: Path, form: Format, clock: Clock | None = None, **options: Any) -> Recorder:
    return Recorder(where, form, {"module": 4}, clock=clock or Clock(), **options)


def crash(recorder: Recorder) -> None:
    """Leave its files as they are."""
    assert recorder._file is not None
    recorder._file.close()


def seqs(where: Path) -> list[int]:
    frame = ctp10.read(where, frame="pandas")
    return list(frame[frame.kind == "reading"].seq)


@pytest.mark.parametrize("form", FORMATS)
def test_it_reads_back_as_one_frame(tmp_path: Path, form: Format):
    clock = Clock()
    with recorder(tmp_path / "a" / "run", form, clock, rotate=10.0) as writer:
        for item in ITEMS:
            writer.add(item)
            clock.now += 4
            writer.tick()
    frame = ctp10.read(tmp_path / "a" / "run", frame="pandas")
    assert (
        list(frame.kind) == ["gap", "reading", "reading", "gap", "reading", "gap"] + ["reading"] * 2
    )
    assert list(frame.seq) == [1, 2, 3, 4, 7, 8, 1, 2]
    assert frame.to_seq.tolist() == [1, pandas.NA, pandas.NA, 6, *[pandas.NA] * 4]
    assert list(frame.index[1:]) == [
        pandas.Timestamp(t, unit="s", tz="UTC") for t in (1002, 1003, 1003, 1007, 1007, 1001, 1002)
    ]
    only = frame[frame.kind == "reading"]
    assert list(only.ch1_power) == [-0.2, -0.3, -0.7, -0.1, -0.2]
    assert list(only.epoch) == ["a", "a", "a", "b", "b"]
    assert frame.attrs["gaps"] == [
        {"module": 4, "epoch": "a", "from_seq": 1, "to_seq": 1, "reason": "evicted"},
        {"module": 4, "epoch": "a", "from_seq": 4, "to_seq": 6, "reason": "unreachable"},
        {"module": 4, "epoch": "a", "from_seq": 8, "to_seq": None, "reason": "epoch_changed"},
    ]
    same = ctp10.read(tmp_path / "a" / "run", frame="polars")
    assert same["seq"].to_list() == list(frame.seq)
    assert same["kind"].to_list() == list(frame.kind)
    assert same["timestamp"].to_list()[1:] == [t.to_pydatetime() for t in frame.index[1:]]


@pytest.mark.parametrize("form", FORMATS)
def test_its_metadata_say_what_it_is(tmp_path: Path, form: Format):
    with recorder(tmp_path, form) as writer:
        started = ctp10.read(tmp_path, frame="pandas").attrs["metadata"]
        for item in ITEMS:
            writer.add(item)
    assert started["ended"] is None
    metadata = orjson.loads((tmp_path / "metadata.json").read_bytes())
    assert metadata["ended"] >= metadata["started"]
    assert metadata["settings"] == {"module": 4}
    assert metadata["epochs"] == ["a", "b"]
    assert (metadata["readings"], metadata["gap_count"]) == (5, 3)
    assert metadata["gaps"][1] == {"type": "gap", "module": 4, "epoch": "a", "from_seq": 4,
                                   "to_seq": 6, "reason": "unreachable"}  # fmt: skip
    assert metadata["versions"]["ctp10"] == ctp10.__version__


def test_parts_are_plain_parquet_with_the_metadata_inside(tmp_path: Path):
    with recorder(tmp_path, "parquet", part_rows=2) as writer:
        for item in readings(*range(1, 6)):
            writer.add(item)
            writer.tick()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["metadata.json", *(f"part-0000{n}.parquet" for n in (1, 2, 3))]
    table = pyarrow_parquet.read_table(tmp_path / "part-00001.parquet")
    assert str(table.schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
    assert orjson.loads(table.schema.metadata[b"ctp10"])["settings"] == {"module": 4}
    assert len(polars.read_parquet(tmp_path / "*.parquet")) == 5


@pytest.mark.parametrize("form", FORMATS)
def test_a_crash_loses_what_came_since_the_last_flush(tmp_path: Path, form: Format):
    clock = Clock()
    writer = recorder(tmp_path, form, clock, rotate=5.0)
    for item in readings(*range(1, 10)):
        writer.add(item)
        clock.now += FLUSH
        writer.tick()
    writer.add(reading(10))
    crash(writer)
    assert seqs(tmp_path) == list(range(1, 10))


def test_a_crash_after_a_part_appeared_and_before_its_journal_went_doubles_nothing(tmp_path: Path):
    clock = Clock()
    writer = recorder(tmp_path, "parquet", clock, rotate=5.0)
    writer.add(reading(1))
    clock.now += FLUSH
    writer.tick()
    journal = (tmp_path / "part-00001.jsonl").read_bytes()
    clock.now += 5
    writer.tick()
    (tmp_path / "part-00001.jsonl").write_bytes(journal)
    (tmp_path / "part-00002.parquet.tmp").write_bytes(b"PAR1 half a file")
    crash(writer)
    assert seqs(tmp_path) == [1]


def test_a_part_for_which_there_is_no_room_is_kept_as_it_was_received(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def no_room(table: object, file: Any) -> None:
        file.write(b"PAR1")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pyarrow_parquet, "write_table", no_room)
    with pytest.raises(OSError, match="No space left"):
        with recorder(tmp_path, "parquet") as writer:
            writer.add(reading(1))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metadata.json", "part-00001.jsonl"]
    assert seqs(tmp_path) == [1]


@pytest.mark.parametrize("form", FORMATS)
def test_half_a_line_is_left_out(tmp_path: Path, form: Format):
    clock = Clock()
    writer = recorder(tmp_path, form, clock)
    for item in readings(1, 2):
        writer.add(item)
    clock.now += FLUSH
    writer.tick()
    crash(writer)
    file = tmp_path / ("part-00001.jsonl" if form == "parquet" else f"readings.{form}")
    os.truncate(file, file.stat().st_size - 5)
    assert seqs(tmp_path) == [1]


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_recorded_is_an_empty_frame(tmp_path: Path, form: Format):
    with recorder(tmp_path, form):
        pass
    frame = ctp10.read(tmp_path, frame="pandas")
    assert len(frame) == 0
    assert "ch1_power" in frame.columns


def test_a_recording_is_never_overwritten(tmp_path: Path):
    with recorder(tmp_path, "csv") as writer:
        writer.add(reading(1))
    with pytest.raises(FileExistsError, match="has a recording already"):
        recorder(tmp_path, "parquet")
    assert seqs(tmp_path) == [1]


def test_what_is_no_recording_is_said_to_be_none(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="has no recording"):
        ctp10.read(tmp_path)


def test_recording_as_text_needs_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError):
        recorder(tmp_path, "parquet")
    with recorder(tmp_path, "csv") as writer:
        writer.add(reading(1))
    assert seqs(tmp_path) == [1]
