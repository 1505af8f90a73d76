"""A simulator in a thread of its own, for tests that share its process.

Refuses to start twice and to outlive its context.
"""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Self

from acquisitiond.simulator.runner import SimulatorOptions, run_simulator


class SimulatorThread:
    """Context manager: the simulator runs while the context is open.

    Entering blocks until it listens, and raises what kept it from starting: OSError when the
    port is taken, ValueError for modules that cannot be. Leaving stops and joins it.
    """

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        # Its owner connects by `address`, so any free port will do.
        self._options = options if options is not None else replace(SimulatorOptions(), port=0)
        self._bound: Future[tuple[str, int]] = Future()
        self._thread = threading.Thread(target=self._main, name="simulator", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._bound.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def address(self) -> str:
        """Its VISA resource name, `TCPIP::127.0.0.1::<port>::SOCKET`."""
        host, port = self._bound.result()
        return f"TCPIP::{host}::{port}::SOCKET"

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            if self._bound.done():
                raise  # threading.excepthook tells; nobody waits for the future any more
            self._bound.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await run_simulator(
            self._options, self._stop, lambda host, port: self._bound.set_result((host, port))
        )
