"""`ctp10 record` as a process, with a real daemon; its ends, good and bad."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import ctp10
from ctp10.recorder import FLUSH
from tests.support.processes import DEADLINE, Process, Stand, free_port, stand

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

FORMATS = ["parquet", "csv", "jsonl"]


@pytest.fixture(scope="module")
def place() -> Iterator[Stand]:
    with stand() as place:
        place.daemon("--simulate")
        yield place


def record(place: Stand, where: Path, *options: str) -> Process:
    endpoints = ["--endpoint", place.publish, "--control", place.control]
    return place.start("ctp10", "record", "-o", str(where), *endpoints, *options)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline


def recorded(where: Path) -> Any:
    frame = ctp10.read(where, frame="pandas")
    assert list(frame.kind) == ["reading"] * len(frame)
    assert (frame.seq.diff().dropna() == 1).all(), "all of them, in order"
    return frame


@pytest.mark.parametrize("form", FORMATS)
def test_some_seconds_of_everything(place: Stand, tmp_path: Path, form: str):
    where = tmp_path / "run"
    options = ("--module", "4", "--seconds", "2", "--format", form, "--rotate", "0.5")
    process = record(place, where, *options)
    assert process.wait() == 0
    frame = recorded(where)
    assert process.wait_for(r"recorded (\d+) readings, 0 gaps")[1] == str(len(frame))
    assert 1.5 < (frame.index[-1] - frame.index[0]).total_seconds() < 2
    metadata = frame.attrs["metadata"]
    assert metadata["ended"] is not None
    assert metadata["instrument"].startswith("EXFO,CTP10")
    assert metadata["address"].startswith("TCPIP::")
    assert metadata["simulated"] is True
    assert metadata["epochs"] == [frame.epoch.iloc[0]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_completes_the_recording(place: Stand, tmp_path: Path, number: int):
    process = record(place, tmp_path / "run")
    journal = tmp_path / "run" / "part-00001.jsonl"
    until(lambda: journal.exists() and journal.stat().st_size > 0)
    process.signal(number)
    assert process.wait() == 0
    assert len(recorded(tmp_path / "run")) > 0
    assert not journal.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_kill_9_loses_the_last_moments_alone(place: Stand, tmp_path: Path, form: str):
    where = tmp_path / "run"
    at: Any = {"endpoint": place.publish, "control": place.control, "timeout": DEADLINE}
    with ctp10.subscribe(gaps="raise", **at) as readings:
        process = record(place, where, "--format", form, "--rotate", "1")
        process.wait_for("recording module 4")
        until(lambda: len(ctp10.read(where)) > 25)
        last = next(reading for reading in readings if reading.timestamp > time.time() - 0.2)
        process.kill()
    frame = recorded(where)
    # A second of readings, and what writing and being scheduled takes on a busy machine.
    assert last.timestamp - frame.index[-1].timestamp() < 3 * FLUSH
    assert frame.attrs["metadata"]["ended"] is None


def test_it_goes_on_when_the_daemon_is_restarted_and_says_what_is_missing(tmp_path: Path):
    where = tmp_path / "run"
    with stand() as place:
        process = record(place, where, "--format", "jsonl")
        process.wait_for("recording module 4")
        daemon = place.daemon("--simulate")
        until(lambda: len(ctp10.read(where)) > 5)
        daemon.kill()
        place.daemon("--simulate")
        until(lambda: ctp10.read(where).epoch.nunique() == 2)
        assert process.terminate() == 0
    frame = ctp10.read(where, frame="pandas")
    [gap] = frame.attrs["gaps"]
    assert gap["reason"] == "epoch_changed"
    at = list(frame.kind).index("gap")
    assert frame.seq.iloc[at] == frame.seq.iloc[at - 1] + 1
    assert frame.seq.iloc[at + 1] == 1
    assert len(frame.attrs["metadata"]["epochs"]) == 2


def test_a_span_that_is_cut_short_ends_with_a_gap(tmp_path: Path):
    where = tmp_path / "run"
    with stand() as place:
        daemon = place.daemon("--simulate")
        process = record(place, where, "--seconds", "2", "--format", "csv")
        process.wait_for("recording module 4")
        until(lambda: len(ctp10.read(where)) > 5)
        daemon.kill()
        assert process.wait() == 0
    frame = ctp10.read(where, frame="pandas")
    assert frame.kind.iloc[-1] == "gap"
    assert frame.reason.iloc[-1] == "unreachable"


def full(process: Process, where: Path) -> None:
    """The recorder ended with a clear word, and what it had recorded can be read."""
    assert process.wait() == 1
    sentence = process.output.splitlines()[-1]
    assert sentence.startswith(f"ctp10 record: cannot write to {where}: ")
    assert "Traceback" not in process.output
    assert len(recorded(where)) > 5


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_ends_it_and_nothing_else(place: Stand, tmp_path: Path, form: str):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)]
    try:
        refused = subprocess.run(mount, capture_output=True, check=False).returncode != 0
    except FileNotFoundError:
        refused = True
    if refused:
        pytest.skip("a small disk cannot be mounted here; the limit on file size is tested")
    at: Any = {"endpoint": place.publish, "control": place.control, "timeout": DEADLINE}
    try:
        with ctp10.subscribe(gaps="raise", **at) as others:
            process = record(place, disk / "run", "--format", form, "--rate", "100")
            full(process, disk / "run")
            assert "No space left on device" in process.output
            next(others)
            assert others.state == "connected"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("form", FORMATS)
def test_a_limit_on_file_size_ends_it_like_a_full_disk(place: Stand, tmp_path: Path, form: str):
    process = record(place, tmp_path / "run", "--format", form, "--rate", "100")
    process.wait_for("recording module 4")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (30_000, 30_000))
    full(process, tmp_path / "run")


def test_a_second_recording_in_the_same_place_is_refused(place: Stand, tmp_path: Path):
    where = tmp_path / "run"
    assert record(place, where, "--seconds", "0.2").wait() == 0
    before = {path.name: path.read_bytes() for path in where.iterdir()}
    again = record(place, where, "--seconds", "0.2")
    assert again.wait() == 2
    assert f"ctp10 record: {where} has a recording already" in again.output
    assert {path.name: path.read_bytes() for path in where.iterdir()} == before


def test_a_module_that_is_not_there_is_waited_for(place: Stand, tmp_path: Path):
    process = record(place, tmp_path / "run", "--module", "9")
    process.wait_for("recording module 9")
    at: Any = {"endpoint": place.publish, "control": place.control, "timeout": DEADLINE}
    with ctp10.subscribe(9, **at) as readings:
        with pytest.raises(ctp10.InstrumentError):
            next(readings)
    assert process.terminate() == 0
    assert len(ctp10.read(tmp_path / "run")) == 0


@pytest.mark.parametrize(
    "wrong",
    [["--module", "0"], ["--seconds", "0"], ["--format", "xml"], ["--endpoint", "nowhere"]],
)
def test_a_wrong_option_is_refused_with_a_sentence(tmp_path: Path, wrong: list[str]):
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    rest = ["--control", nowhere, *wrong]
    with Process("ctp10", "record", "-o", str(tmp_path / "run"), *rest) as process:
        assert process.wait() == 2
    assert wrong[1] in process.output
    assert "Traceback" not in process.output
    assert not (tmp_path / "run").exists()


def test_the_metadata_are_whole_at_every_moment(place: Stand, tmp_path: Path):
    process = record(place, tmp_path / "run", "--rotate", "0.1", "--seconds", "1")
    process.wait_for("recording module 4")
    while process._popen.poll() is None:
        assert orjson.loads((tmp_path / "run" / "metadata.json").read_bytes())["recording"] == 1
    assert process.wait() == 0
