"""Owns a whole simulator's life: options in, model, instrument and server made, served, stopped.

Refuses options that make no instrument before it binds anything.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from acquisitiond.simulator.instrument import Instrument
from acquisitiond.simulator.mainframe import OnReading, ignore_reading
from acquisitiond.simulator.model import Model
from acquisitiond.simulator.reading_log import reading_log
from acquisitiond.simulator.server import serve


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How the simulator is set up; `modules` are (slot 1-20, detectors 1-6) pairs.

    `log` is a file that gets a JSON line for each power reading given out. `terminate_blocks`
    sends CR LF after a binary block too. Port 0 takes any free port.
    """

    host: str = "127.0.0.1"
    port: int = 5025
    latency_ms: float = 0.0
    seed: int = 1
    modules: tuple[tuple[int, int], ...] = ((4, 4),)
    log: Path | None = None
    terminate_blocks: bool = False


async def run_simulator(
    options: SimulatorOptions, stop: asyncio.Event, ready: Callable[[str, int], None]
) -> None:
    """Serve until `stop`; calls `ready(host, port)` with the bound address.

    Raises OSError when the port is taken, ValueError for modules that cannot be.
    """
    model = Model(options.modules, seed=options.seed)
    with ExitStack() as resources:
        on_reading: OnReading = ignore_reading
        if options.log is not None:
            on_reading = resources.enter_context(reading_log(options.log, time.time))
        instrument = Instrument(
            model, on_reading=on_reading, terminate_blocks=options.terminate_blocks
        )
        latency_s = options.latency_ms / 1e3
        async with serve(instrument, options.host, options.port, latency_s=latency_s) as address:
            ready(*address)
            await stop.wait()
