"""What holds for every test: nothing it started may outlive it."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def _imported_modules_are_no_garbage() -> None:
    """Else the collection after each test would walk through them again, a thousand times."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    threads = set(threading.enumerate())
    children = _children()
    yield
    gc.collect()  # a socket or a task that is only garbage now warns, and warnings are errors
    deadline = time.monotonic() + 5
    for thread in set(threading.enumerate()) - threads:
        # The loop's own pool ends with the loop, and its threads a moment later.
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in set(threading.enumerate()) - threads]
    assert not left, f"threads left behind: {left}"
    assert _children() <= children, "processes left behind"


def _children() -> set[str]:
    return set(
        Path(f"/proc/self/task/{threading.main_thread().native_id}/children").read_text().split()
    )


@pytest.fixture
def run_async() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test's coroutine; a task that it leaves behind fails the test."""

    async def checked(body: Awaitable[None]) -> None:
        await body
        await asyncio.sleep(0)  # what the body cancelled last gets to know of it
        left = {t for t in asyncio.all_tasks() - {asyncio.current_task()} if not t.cancelling()}
        assert not left, f"tasks left behind: {left}"

    return lambda body: asyncio.run(checked(body))
