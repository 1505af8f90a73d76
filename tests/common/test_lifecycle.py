"""Signals become a stop event; the service manager hears what it should."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import lifecycle
from common.lifecycle import notify, run_service

DEADLINE = 10.0


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager's end of NOTIFY_SOCKET."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(DEADLINE)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield receiver


def test_the_manager_is_told_each_state(manager: socket.socket) -> None:
    notify("READY=1")
    notify("STATUS=connected to EXFO,CTP10 – 4 modules")
    assert manager.recv(4096) == b"READY=1"
    assert manager.recv(4096) == "STATUS=connected to EXFO,CTP10 – 4 modules".encode()


def test_a_manager_in_the_abstract_namespace_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"ctp10-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(DEADLINE)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify("READY=1")
        assert receiver.recv(4096) == b"READY=1"


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_manager_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", value)
    notify("READY=1")


def test_a_manager_that_went_away_does_not_matter(
    manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.close()
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "never was"))
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/" + "x" * 500)
    notify("READY=1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_stop_event_and_the_manager_hears_of_it(
    manager: socket.socket, number: signal.Signals
) -> None:
    ended = []

    async def main(stop: asyncio.Event) -> None:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(DEADLINE):
            await stop.wait()
        ended.append(True)

    run_service(main)
    assert ended == [True]
    assert manager.recv(4096) == b"STOPPING=1"


def test_a_second_signal_ends_the_process_with_the_usual_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes: list[int] = []

    async def main(stop: asyncio.Event) -> None:
        ended = asyncio.Event()

        def exit_(code: int) -> None:
            codes.append(code)
            ended.set()

        monkeypatch.setattr(lifecycle.os, "_exit", exit_)
        async with asyncio.timeout(DEADLINE):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await ended.wait()
        monkeypatch.undo()

    run_service(main)
    assert codes == [128 + signal.SIGINT]


def test_a_service_that_ends_by_itself_ends_the_run_and_its_error_comes_through() -> None:
    async def main(stop: asyncio.Event) -> None:
        raise OSError("the port is taken")

    with pytest.raises(OSError, match="the port is taken"):
        run_service(main)


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    async def main(stop: asyncio.Event) -> None:
        pass

    run_service(main)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
