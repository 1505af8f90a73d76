"""What a snapshot of four detectors costs, beside one stock PyVISA query, in one interleaved run.

Starts the simulator with 2 ms of latency. The stock queries run in a process that never imports
our transport, which would replace the session that PyVISA uses. Exit code 1 if over the bar.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Final

import _common

BAR: Final = 1.25
"""A snapshot of four detectors may take so many times one stock query."""
MODULE: Final = 4
CHANNELS: Final = (1, 2, 3, 4)
TIMEOUT: Final = 5.0
WARM_UP: Final = 20

STOCK: Final = "a  one stock PyVISA query, one detector"
SNAPSHOT: Final = "b  our snapshot, four detectors"
SINGLY: Final = "c  six stock queries: 4 powers, unit, wavelength"


def main() -> None:
    """Measure, print, compare with the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--latency-ms", type=float, default=2.0, help="of the simulated instrument")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--count", type=int, default=40, help="of each kind in a round")
    options = parser.parse_args()
    print(_common.environment(), end="\n\n")
    print(f"simulated instrument with {options.latency_ms:g} ms of latency")
    print(f"{options.rounds} rounds, each kind {options.count} times in a round\n", flush=True)
    times: dict[str, list[float]] = {STOCK: [], SNAPSHOT: [], SINGLY: []}
    ratios = []
    with (
        _simulator(options.latency_ms) as address,
        _Worker(_stock, address) as stock,
        _Worker(_ours, address) as ours,
    ):
        workers = {STOCK: stock, SNAPSHOT: ours, SINGLY: stock}
        for kind, worker in workers.items():
            worker.run(kind, WARM_UP)
        order = list(workers)
        for _ in range(options.rounds):
            medians = {}
            for kind in order:
                taken = workers[kind].run(kind, options.count)
                times[kind] += taken
                medians[kind] = statistics.median(taken)
            ratios.append(medians[SNAPSHOT] / medians[STOCK])
            order.append(order.pop(0))
    sys.exit(_report(times, ratios))


def _report(times: dict[str, list[float]], ratios: list[float]) -> int:
    print(f"{'':50}{'median':>11} {'p99':>11}")
    for kind, taken in times.items():
        median = _common.milliseconds(statistics.median(taken))
        print(f"{kind:50}{median} {_common.milliseconds(_common.percentile(taken, 0.99))}")
    stock, snapshot, singly = (statistics.median(taken) for taken in times.values())
    ratio = snapshot / stock
    verdict = "ok" if ratio <= BAR else "OVER THE BAR"
    print(f"\nb / a  {ratio:.3f}  (bar {BAR:g}: {verdict};", end=" ")
    print(f"rounds from {min(ratios):.3f} to {max(ratios):.3f})")
    print(f"c / b  {singly / snapshot:.2f}")
    return 0 if ratio <= BAR else 1


@contextlib.contextmanager
def _simulator(latency_ms: float) -> Iterator[str]:
    arguments = ("--port", "0", "--latency-ms", str(latency_ms))
    with _common.running("acquisitiond.simulator", *arguments) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        yield f"TCPIP::127.0.0.1::{port}::SOCKET"


class _Worker:
    """A process with a session of its own that runs what it is told, and says how long it took."""

    def __init__(self, target: Callable[[Connection, str], None], address: str) -> None:
        # Spawned, not forked: it imports what its target imports, and nothing else.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, address), daemon=True)

    def __enter__(self) -> _Worker:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # which the process takes for its end
        self._process.join(_common.STOP_TIMEOUT)
        self._process.kill()

    def run(self, kind: str, count: int) -> list[float]:
        """Seconds that each of `count` runs of `kind` took."""
        self._pipe.send((kind, count))
        taken: list[float] = self._pipe.recv()
        return taken


def _serve(pipe: Connection, kinds: dict[str, Callable[[], object]]) -> None:
    while True:
        try:
            kind, count = pipe.recv()
        except EOFError:
            return
        work, taken = kinds[kind], []
        for _ in range(count):
            started = time.perf_counter()
            work()
            taken.append(time.perf_counter() - started)
        pipe.send(taken)


def _stock(pipe: Connection, address: str) -> None:
    import pyvisa  # noqa: PLC0415  only in this process

    resource = pyvisa.ResourceManager("@py").open_resource(address)
    assert isinstance(resource, pyvisa.resources.TCPIPSocket)
    resource.timeout = TIMEOUT * 1000
    resource.read_termination = "\n"
    prefix = f":CTP:SENSe{MODULE}:CHANnel"
    powers = [f"{prefix}{channel}:POWer?" for channel in CHANNELS]
    single = [*powers, f"{prefix}1:UNIT:Y?", f"{prefix}1:WAVelength?"]

    def one() -> None:
        float(resource.query(powers[0]))

    def singly() -> None:
        for query in single:
            resource.query(query)

    assert "acquisitiond.visa_session" not in sys.modules, "this would not be stock PyVISA"
    _serve(pipe, {STOCK: one, SINGLY: singly})


def _ours(pipe: Connection, address: str) -> None:
    from acquisitiond.instrument import Instrument, Profile  # noqa: PLC0415  only in this process
    from acquisitiond.visa import open_link  # noqa: PLC0415

    instrument = Instrument(open_link(address, connect_timeout=TIMEOUT), TIMEOUT)
    profile = Profile(CHANNELS)

    def snapshot() -> None:
        powers = instrument.powers(MODULE, profile)
        assert all(isinstance(power, float) for power in powers), powers

    _serve(pipe, {SNAPSHOT: snapshot})


if __name__ == "__main__":
    main()
