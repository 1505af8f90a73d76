"""Life of a service: signals become a stop event, systemd hears when it serves and when it stops.

The only place that knows signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import logging
import os
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

log = logging.getLogger("service")

OUT_OF_DESCRIPTORS_EVERY: Final = 10.0
"""Seconds between two lines that say so."""
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def notify(state: str) -> None:
    """Tell systemd, if it listens: ``READY=1``, ``STOPPING=1``, ``STATUS=…`` (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    # A service manager that went away is no reason for a service to fail.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), address)


def run_service(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stop)` to its end; SIGTERM and SIGINT set `stop`, a second one ends the process.

    The soft limit of file descriptors is raised to the hard one: a shell's usual 1,024 are fewer
    than the viewers that a bridge can serve.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def body() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal(number: int) -> None:
            if stop.is_set():
                os._exit(128 + number)
            notify("STOPPING=1")
            stop.set()

        loop.set_exception_handler(_CalmHandler())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        await main(stop)

    asyncio.run(body())


class _CalmHandler:
    """asyncio's own, but for a process out of descriptors, of which it has a line a connection."""

    def __init__(self) -> None:
        self._told = -OUT_OF_DESCRIPTORS_EVERY

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif loop.time() - self._told >= OUT_OF_DESCRIPTORS_EVERY:
            self._told = loop.time()
            log.error("out of file descriptors: new connections wait until others leave")


def die_with_parent() -> None:
    """For `preexec_fn`: a child whose parent is killed gets SIGTERM, so that no port stays taken.

    For single-threaded parents only, as everything that runs between fork and exec.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
