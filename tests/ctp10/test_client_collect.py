"""`ctp10.collect`: what the DataFrame looks like, and when it ends."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import ctp10
from ctp10 import frames
from ctp10.progress import Progress, bar
from ctp10.span import GRACE, Span
from tests.ctp10.test_client_sequence import gap, reading, readings
from tests.support.processes import DEADLINE, Stand, free_port, stand


@pytest.fixture(scope="module")
def place() -> Iterator[Stand]:
    with stand() as place:
        place.daemon("--simulate")
        yield place


def at(place: Stand) -> dict[str, Any]:
    return {"endpoint": place.publish, "control": place.control, "timeout": DEADLINE}


NAMES = [
    *("timestamp", "module", "wavelength_nm", "unit"),
    *("ch1_power", "ch2_power", "ch3_power", "ch4_power"),
    *("quality", "epoch", "seq"),
]


def test_pandas_gets_utc_timestamps_and_typed_columns():
    pandas = pytest.importorskip("pandas")
    frame = frames.from_readings(readings(1, 2), [gap(3, None, "epoch_changed")], "pandas")
    assert [frame.index.name, *frame.columns] == NAMES
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"
    assert list(frame.index) == [pandas.Timestamp(t, unit="s", tz="UTC") for t in (1001, 1002)]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "module": "int64",
        "wavelength_nm": "float64",
        "unit": "category",
        **dict.fromkeys(NAMES[4:8], "float64"),
        "quality": "category",
        "epoch": "category",
        "seq": "int64",
    }
    assert frame.ch1_power.tolist() == [-0.1, -0.2]
    assert frame.ch2_power.isna().all()
    assert frame.attrs["gaps"][0]["reason"] == "epoch_changed"


def test_polars_gets_the_same():
    polars = pytest.importorskip("polars")
    frame = frames.from_readings(readings(1, 2), [], "polars")
    assert frame.columns == NAMES
    assert frame.schema["timestamp"] == polars.Datetime("ns", "UTC")
    assert frame.schema["quality"] == polars.Enum(["VALID", "INVALID", "STALE"])
    assert frame["timestamp"].dt.epoch("s").to_list() == [1001, 1002]
    assert frame["ch1_power"].to_list() == [-0.1, -0.2]
    assert frame["ch2_power"].null_count() == 2


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_no_readings_are_a_frame_all_the_same(library: Any):
    pytest.importorskip(library)
    assert len(frames.from_readings([], [], library)) == 0


def test_a_microsecond_survives():
    pytest.importorskip("pandas")
    precise = 1764000000.123457
    made = frames.from_columns(
        {name: [getattr(reading(1), name)] for name in frames.READING_COLUMNS}
        | {"timestamp": [precise]},
        [],
        "pandas",
    )
    assert made.index[0].value == 1764000000123457000


def test_an_attached_gap_survives_writing_a_file(tmp_path: Any):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    file = tmp_path / "x.parquet"
    frames.from_readings(readings(1), [gap(3, 4, "evicted")], "pandas").to_parquet(file)
    assert pandas.read_parquet(file).attrs["gaps"][0]["from_seq"] == 3


def test_without_a_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"needs pandas or polars: pip install 'ctp10\[pandas\]'"):
        ctp10.collect(seconds=1)
    with pytest.raises(ImportError, match=r"needs polars: pip install 'ctp10\[polars\]'"):
        ctp10.collect(seconds=1, frame="polars")


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0}, {"seconds": float("nan")}, {"frame": "numpy"}, {"module": 99}]
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any]):
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ctp10.collect(**wrong)


def test_a_second_of_a_real_daemon(place: Stand):
    pytest.importorskip("pandas")
    frame = ctp10.collect(module=4, seconds=1, rate=50, gaps="raise", frame="pandas", **at(place))
    assert 30 <= len(frame) <= 60
    assert (frame.seq.diff().dropna() == 1).all()
    assert (frame.index[-1] - frame.index[0]).total_seconds() < 1
    assert frame.attrs["gaps"] == []


def test_it_ends_with_a_gap_when_readings_stop():
    pytest.importorskip("pandas")
    with stand() as place:
        daemon = place.daemon("--simulate")
        shown: list[str] = []

        class Killing(io.StringIO):
            def isatty(self) -> bool:
                return True

            def write(self, text: str) -> int:
                shown.append(text)
                if "readings" in text:
                    daemon.kill()
                return len(text)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", Killing())
            with pytest.warns(ctp10.GapWarning, match="may be missing"):
                frame = ctp10.collect(seconds=1, **at(place))
    assert frame.attrs["gaps"][-1]["from_seq"] == frame.seq.iloc[-1] + 1
    assert shown[0].startswith("\rmodule 4")
    assert shown[-1] == "\n"


def test_without_a_daemon_it_says_why():
    pytest.importorskip("pandas")
    where = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(TimeoutError, match=f"acquisitiond is not heard at {where}"):
        ctp10.collect(seconds=1, endpoint=where, control=where, timeout=0.1)


def test_a_module_that_is_not_there_is_said_at_once(place: Stand):
    pytest.importorskip("pandas")
    with pytest.raises(ctp10.InstrumentError, match="module 19"):
        ctp10.collect(module=19, seconds=1, **at(place))


def test_where_nobody_looks_nothing_is_written(place: Stand):
    pytest.importorskip("pandas")
    script = "import sys, ctp10; ctp10.collect(4, 0.3, endpoint=sys.argv[1], control=sys.argv[2])"
    run = subprocess.run(
        [sys.executable, "-c", script, place.publish, place.control],
        capture_output=True,
        timeout=DEADLINE,
        check=True,
    )
    assert (run.stdout, run.stderr) == (b"", b"")


def test_a_span_begins_with_its_first_reading_and_ends_by_the_clock_if_it_must():
    now = [0.0]
    span = Span(3, lambda: now[0])
    now[0] = 100
    assert not span.over(), "it has not begun"
    assert [span.contains(reading(seq)) for seq in (1, 3, 4, 5)] == [True, True, False, False]
    assert span.done == 2
    now[0] = 103 + GRACE
    assert not span.over()
    now[0] += 0.1
    assert span.over()
    assert span.tail() == gap(4, None, "unreachable")


def test_a_clock_that_is_set_back_is_no_gap():
    now = [0.0]
    span = Span(3, lambda: now[0])
    while not span.over():
        assert span.contains(reading(1))
        now[0] += 0.1
    assert span.tail() is None


def test_a_terminals_line_is_written_over(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    with Progress() as progress:
        for done in range(11):
            progress.show(bar(done, 10))
        progress.show("x" * 50)
    first, *_, last = terminal.getvalue().split("\r")[1:]
    assert first == "[..................\x1b[K"
    assert last == "x" * 19 + "\x1b[K\n"
    with Progress(wanted=False) as progress:
        progress.show("nothing")
    assert "nothing" not in terminal.getvalue()
