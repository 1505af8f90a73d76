"""Several bridges behind one port: starts the workers, replaces one that dies, ends them all.

The kernel spreads connections over the workers (SO_REUSEPORT). Owns no client and no message; the
workers' counts meet in files that prometheus-client keeps for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import Final

from prometheus_client import multiprocess

from common import lifecycle
from common.lifecycle import die_with_parent
from wsbridge.metrics import WORKERS_DIRECTORY
from wsbridge.settings import Settings

log = logging.getLogger("wsbridge")

WORKER: Final = "WSBRIDGE_WORKER"
"""Environment variable that tells a process that it is a worker, and which."""
STOP_TIMEOUT: Final = 4.0
"""Seconds in which workers may drain."""
RESTART_DELAY: Final = 0.2
"""Seconds: what kills every new worker at once shall not keep a core busy."""


class WorkerError(Exception):
    """A worker ended before it served: no restart would help."""


async def supervise(settings: Settings, arguments: list[str], stop: asyncio.Event) -> None:
    """Keep `settings.workers` workers running, started with the same `arguments`, until `stop`.

    Raises:
        OSError: the address cannot be bound.
        WorkerError: a worker cannot start.
    """
    with (
        _reserved(settings.host, settings.port) as port,
        tempfile.TemporaryDirectory(prefix="wsbridge-") as directory,
    ):
        supervisor = _Supervisor([*arguments, "--port", str(port)], directory)
        async with asyncio.TaskGroup() as tasks:
            workers = [
                tasks.create_task(supervisor.keep(number), name=f"worker {number}")
                for number in range(settings.workers)
            ]
            announcing = tasks.create_task(supervisor.announce(settings, port), name="announcement")
            await stop.wait()
            for task in (*workers, announcing):
                task.cancel()


class _Supervisor:
    def __init__(self, arguments: list[str], directory: str) -> None:
        self._command = [sys.executable, "-P", "-m", "wsbridge", *arguments]
        self._directory = directory
        self._ready: asyncio.Queue[int] = asyncio.Queue()

    async def announce(self, settings: Settings, port: int) -> None:
        """Say that it serves, once every worker does."""
        ready: set[int] = set()
        while len(ready) < settings.workers:
            ready.add(await self._ready.get())
        where = f"http://{settings.host}:{port}/"
        log.info("%d workers share %s", settings.workers, where)
        lifecycle.notify("READY=1")

    async def keep(self, number: int) -> None:
        """Run one worker, and another in its place when it ends; cancelled, end it."""
        while True:
            await self._run(number)
            await asyncio.sleep(RESTART_DELAY)

    async def _run(self, number: int) -> None:
        with _ready_socket(self._directory, number) as (ready_socket, address):
            environment = {
                WORKER: str(number),
                WORKERS_DIRECTORY: self._directory,
                "NOTIFY_SOCKET": address,
            }
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=os.environ | environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            served = asyncio.create_task(self._wait_ready(number, ready_socket))
            try:
                code = await process.wait()
                if not served.done():
                    raise WorkerError(f"worker {number} ended with code {code} before it served")
                log.warning("worker %d ended with code %d: starting another", number, code)
            finally:
                served.cancel()
                await _end(process)
                multiprocess.mark_process_dead(process.pid, self._directory)  # type: ignore[no-untyped-call]

    async def _wait_ready(self, number: int, ready_socket: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while b"READY=1" not in await loop.sock_recv(ready_socket, 1024):
            pass
        self._ready.put_nowait(number)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
            return
    process.kill()
    await process.wait()


@contextlib.contextmanager
def _ready_socket(directory: str, number: int) -> Iterator[tuple[socket.socket, str]]:
    """A socket at which a worker says READY=1, as it would to systemd."""
    path = f"{directory}/worker-{number}.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.setblocking(False)
        receiver.bind(path)
        try:
            yield receiver, path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108  a socket's name, not a file of ours


@contextlib.contextmanager
def _reserved(host: str, port: int) -> Iterator[int]:
    """The port that the workers will share, kept from others though nothing listens on it here."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
        yield holder.getsockname()[1]
