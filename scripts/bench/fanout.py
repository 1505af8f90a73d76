"""What it costs to serve many WebSocket clients, beside a bare-socket loop and other servers.

Starts the real daemons and a load of our own (load.c). The server under test has one core to
itself; the load, the daemon and its simulated instrument share another. Every ratio is taken within
a round, where both sides ran one after the other; what is printed is the median over the rounds.
A run during which something else had the server's core is not counted, but repeated, whosever it
is. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import _common
from peers import servers
from peers.servers import Server, Start

CLIENTS: Final = 1000
RATE: Final = 20.0
MANY: Final = 5000
USUAL_INTERVAL: Final = 0.1
"""Of clients that ask for none."""
STALLED: Final = 100
STALL: Final = 60.0
"""Seconds in which stalled clients may cost memory."""
PRESSED_RATES: Final = (100.0, 200.0)
MORE_BRIDGES: Final = 4
BRIDGES_RATE: Final = 100.0
DISTURBED: Final = 0.02
"""Share of the time in which the server waited for its core, from which a run is repeated..."""
TRIES: Final = 4
"""... so often at most; then the least disturbed one counts."""
QUIET: Final = 0.1
"""Share of all cores that others may use when a run starts..."""
PATIENCE: Final = 60.0
"""... for which it waits so many seconds."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing to be reached."""

    what: str
    reached: Sequence[float]
    """One value a round."""
    bar: float
    unit: str = ""
    at_least: bool = False

    @property
    def value(self) -> float:
        """What counts."""
        return statistics.median(self.reached)

    @property
    def ok(self) -> bool:
        """Reached."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        spread = f"({min(self.reached):.6g} to {max(self.reached):.6g})"
        verdict = "ok" if self.ok else "MISSED"
        return (
            f"  {self.what:52}{self.value:>10.6g} {self.unit:6} {sign} {self.bar:<8g}"
            f"{verdict:7} {spread if len(self.reached) > 1 else ''}".rstrip()
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of the load counted; see load.c. Of three amounts of memory in KiB, the first is
    from before the first client, the others from the begin and the end of counting."""

    clients: int
    reading: int
    refused: int
    lost: int
    open_seconds: float
    seconds: float
    messages: int
    bytes: int
    least: int
    most: int
    gaps: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    cpu_seconds: float
    load_cpu_seconds: float
    waited_seconds: float
    load_waited_seconds: float
    rss_kib: list[int]
    slab_kib: list[int]
    sockets_kib: list[int]
    storm_served: int
    storm_refused: int
    storm_lost: int
    storm_seconds: float

    @property
    def rate(self) -> float:
        """Delivered a second."""
        return self.messages / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of the server's CPU for each delivered message."""
        return self.cpu_seconds / max(1, self.messages) * 1e6

    @property
    def disturbed(self) -> float:
        """Share of the time in which something else had the server's core."""
        return self.waited_seconds / self.seconds

    @property
    def least_share(self) -> float:
        """What the least served client got, in parts of the mean."""
        return self.least * self.reading / max(1, self.messages)

    @property
    def memory(self) -> float:
        """Of the server, in kB (1000 bytes) for each client."""
        return (self.rss_kib[1] - self.rss_kib[0]) * 1.024 / max(1, self.clients)

    def row(self, label: str) -> str:
        """Under HEAD."""
        return (
            f"  {label:26}{self.cost:8.2f} {self.cpu_seconds / self.seconds:6.0%}"
            f"{self.rate:10.0f} {self.p50_ms:8.2f} {self.p99_ms:8.2f} {self.p999_ms:8.2f}"
            f"{self.memory:9.2f} {self.load_cpu_seconds / self.seconds:6.0%}"
            f"{self.disturbed:7.1%}{self.load_waited_seconds / self.seconds:7.1%}"
        )


HEAD: Final = (
    f"  {'':26}{'us each':>8} {'CPU':>6}{'a second':>10} {'p50 ms':>8} {'p99 ms':>8} {'p99.9':>8}"
    f"{'kB each':>9} {'load':>6}{'waits':>7}{'load w':>7}"
)


class Bench:
    """The options, the compiled programs, and the load."""

    def __init__(self, directory: Path, seconds: float, rounds: int) -> None:
        self.seconds = seconds
        self.rounds = rounds
        self.disturbed = 0
        """Runs that count although something else had the server's core."""
        self.limit = servers.limit(servers.compiled("limit", directory))
        self.node = servers.node(directory)
        self._load = servers.compiled("load", directory)

    def run(
        self,
        start: Callable[[], AbstractContextManager[Server]],
        clients: int,
        *options: object,
        seconds: float | None = None,
        attempts: int = TRIES,
    ) -> Result:
        """Start a server, put clients on it, and count; again if it was disturbed."""
        tries: list[Result] = []
        while True:
            _wait_for_quiet()
            with start() as server:
                tries.append(self._run(server, clients, options, seconds or self.seconds))
            least = min(tries, key=lambda result: result.disturbed)
            if least.disturbed < DISTURBED or len(tries) == attempts:
                self.disturbed += least.disturbed >= DISTURBED
                return least
            share = f"{tries[-1].disturbed:.0%} of the time"
            print(f"  (something else had the server's core for {share}: again)", flush=True)

    def _run(
        self, server: Server, clients: int, options: Sequence[object], duration: float
    ) -> Result:
        what = (server.port, server.path, clients, duration, "--pid", server.pid)
        command = [str(part) for part in (self._load, *what, *server.options, *options)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=duration + 120)
        return Result(**json.loads(done.stdout))


def main() -> None:
    """Measure, print, compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("section", nargs="*", help=f"{', '.join(SECTIONS)}; default all of them")
    parser.add_argument("--seconds", type=float, default=8.0, help="counted in each run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sections = options.section or list(SECTIONS)
    if unknown := set(sections) - SECTIONS.keys():
        parser.error(f"unknown section {', '.join(sorted(unknown))}")
    if (os.cpu_count() or 1) < 2:
        parser.error("two cores are needed: one for the server, one for the load")
    print(_common.environment())
    print(f"runs     {options.rounds} rounds, {options.seconds:g} s counted in each", flush=True)
    servers.use_load_core()
    with tempfile.TemporaryDirectory(prefix="fanout-") as directory:
        bench = Bench(Path(directory), options.seconds, options.rounds)
        missed = []
        for name in sections:
            print(f"\n{name}: {SECTIONS[name].__doc__}", flush=True)
            for bar in SECTIONS[name](bench):
                print(bar, flush=True)
                missed += [] if bar.ok else [f"{name}: {bar.what}"]
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"\nload {load} after the run")
    if bench.disturbed:
        print(f"in {bench.disturbed} runs that count, something else had the server's core")
    print("all bars reached" if not missed else "MISSED " + "; ".join(missed))
    sys.exit(1 if missed else 0)


def cost(bench: Bench) -> list[Bar]:
    """1,000 clients at 20 Hz."""
    kinds: dict[str, Start] = {
        "wsbridge": servers.ours,
        "C loop": bench.limit,
        "Node ws": bench.node,
        "Mosquitto": servers.mosquitto,
        "nats-server": servers.nats,
    }
    results: dict[str, list[Result]] = {}
    print(HEAD)
    for _ in range(bench.rounds):
        for name, start in list(kinds.items()):
            try:
                result = bench.run(partial(start, RATE), CLIENTS)
            except servers.MissingError as missing:
                print(f"  {name:26}{missing} is not installed: skipped")
                del kinds[name]
                continue
            print(result.row(name), flush=True)
            results.setdefault(name, []).append(result)
    bridge, loop = results["wsbridge"], results["C loop"]
    bars = [Bar("CPU of a delivery / the C loop's", _ratios(bridge, loop, _cost), 1.35)]
    for name in list(results)[2:]:
        bars.append(Bar(f"CPU of a delivery / {name}'s", _ratios(bridge, results[name], _cost), 1))
    bars.append(Bar("p99 latency / the C loop's", _ratios(bridge, loop, _p99), 1.5))
    bars.append(Bar("seq gaps and lost clients", [r.gaps + r.lost for r in bridge], 0))
    return bars


def pressed(bench: Bench) -> list[Bar]:
    """1,000 clients with interval 0.01, the source at 100 and 200 Hz."""
    rows: dict[float, list[Result]] = {rate: [] for rate in PRESSED_RATES}
    print(HEAD)
    for _ in range(bench.rounds):
        for rate, results in rows.items():
            results.append(bench.run(partial(servers.ours, rate, 0.01), CLIENTS))
            print(results[-1].row(f"source at {rate:g} Hz"), flush=True)
        loop = bench.run(partial(bench.limit, 100.0), CLIENTS)
        print(loop.row("C loop at 100 Hz"), flush=True)
    bars = []
    for rate, results in rows.items():
        at = f"source at {rate:g} Hz:"
        # Nobody can get more than each of 100 a second: a window may cut off the last of them.
        bars += [
            Bar(f"{at} delivered a second", [r.rate for r in results], 99_900, "", True),
            Bar(f"{at} least served / mean", [r.least_share for r in results], 0.9, "", True),
        ]
    return bars


def memory(bench: Bench) -> list[Bar]:
    """5,000 clients at the usual interval of 0.1 s."""
    each, whole = [], []
    for _ in range(bench.rounds):
        result = bench.run(partial(servers.ours, 1 / USUAL_INTERVAL), MANY, "--warm", 3, attempts=1)
        before, after, end = result.rss_kib
        each.append(result.memory)
        whole.append(after * 1.024 / MANY)
        kernel = (result.slab_kib[1] - result.slab_kib[0]) * 1.024 / MANY
        print(
            f"  RSS {before / 1024:.1f} MiB alone, {after / 1024:.1f} with {result.clients}, "
            f"{end / 1024:.1f} after {result.seconds:.0f} s; kernel objects of both ends "
            f"{kernel:.2f} kB a connection, socket buffers {result.sockets_kib[2]} KiB in all; "
            f"p99 {result.p99_ms:.1f} ms, {result.rate:.0f} a second at {result.cost:.2f} us",
            flush=True,
        )
    return [
        Bar("each client adds to RSS", each, 20, "kB"),
        Bar("the whole process / clients", whole, 20, "kB"),
    ]


def storm(bench: Bench) -> list[Bar]:
    """1,000 running streams, then 5,000 clients connect at once; all at 0.1 s."""
    results = []
    for _ in range(bench.rounds):
        start = partial(servers.ours, 1 / USUAL_INTERVAL)
        result = bench.run(start, CLIENTS, "--storm", MANY, seconds=30.0)
        results.append(result)
        print(
            f"  {result.storm_served} served, {result.storm_refused} refused in "
            f"{result.storm_seconds:.2f} s; server {result.cpu_seconds / result.seconds:.0%} busy, "
            f"{result.cpu_seconds / MANY * 1e6:.0f} us a newcomer with the streams' share; streams "
            f"meanwhile: p50 {result.p50_ms:.1f} ms, p99 {result.p99_ms:.1f} ms, "
            f"max {result.max_ms:.1f} ms; waits {result.disturbed:.1%}",
            flush=True,
        )
    unserved = [MANY - r.storm_served for r in results]
    return [
        Bar("the last newcomer is served after", [r.storm_seconds for r in results], 15, "s"),
        Bar("newcomers refused or not served", unserved, 0),
        Bar("running streams lost", [r.lost for r in results], 0),
        Bar("the running streams' p99 meanwhile", [r.p99_ms for r in results], 250, "ms"),
    ]


def stalled(bench: Bench) -> list[Bar]:
    """1,000 clients at 20 Hz of which 100 read nothing, and are not evicted in this time."""
    alone, beside = [], []
    start = partial(servers.ours, RATE, 1 / RATE, "--evict-after", "3600")
    print(HEAD)
    for _ in range(bench.rounds):
        alone.append(bench.run(start, CLIENTS - STALLED))
        print(alone[-1].row("900, nobody stalled"), flush=True)
        beside.append(bench.run(start, CLIENTS, "--stalled", STALLED))
        print(beside[-1].row("900, and 100 stalled"), flush=True)
    long = bench.run(start, CLIENTS, "--stalled", STALLED, seconds=STALL, attempts=1)
    print(long.row(f"the same for {STALL:g} s"))
    grown = (long.rss_kib[2] - long.rss_kib[1]) * 1.024e-3
    return [
        Bar("the others' p99 / without the stalled", _ratios(beside, alone, _p99), 1.2),
        Bar("the others' cost / without the stalled", _ratios(beside, alone, _cost), 1.2),
        Bar(f"RSS grows in {STALL:g} s by", [grown], 10, "MB"),
        Bar("others lost", [r.lost for r in (*beside, long)], 0),
    ]


def bridges(bench: Bench) -> list[Bar]:
    """What one more bridge costs acquisitiond at 100 Hz."""
    each = []
    with servers.daemon(BRIDGES_RATE) as source, servers.bridge(source, USUAL_INTERVAL):
        for _ in range(bench.rounds):
            one = _share(source.pid, bench.seconds)
            with ExitStack() as stack:
                for _ in range(MORE_BRIDGES):
                    stack.enter_context(servers.bridge(source, USUAL_INTERVAL))
                many = _share(source.pid, bench.seconds)
            each.append((many - one) / MORE_BRIDGES * 100)
            print(
                f"  acquisitiond uses {one:.2%} of a core with one bridge, {many:.2%} with "
                f"{1 + MORE_BRIDGES}",
                flush=True,
            )
    return [Bar("one more bridge", each, 2, "% CPU")]


def _share(pid: int, seconds: float) -> float:
    """Of a core that a process uses."""
    # The CPU clock of any process, as clock_getcpuclockid(3) would make it: all its threads.
    clock = ~pid << 3 | 2
    time.sleep(1.0)
    begin, started = time.clock_gettime(clock), time.monotonic()
    time.sleep(seconds)
    return (time.clock_gettime(clock) - begin) / (time.monotonic() - started)


def _wait_for_quiet() -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        idle, total = _ticks()
        time.sleep(1.0)
        idle_then, total_then = _ticks()
        if idle_then - idle > (1 - QUIET) * (total_then - total):
            return


def _ticks() -> tuple[int, int]:
    """Of all cores since the machine started: idle, and all."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _ratios(
    ours: Sequence[Result], theirs: Sequence[Result], value: Callable[[Result], float]
) -> list[float]:
    return [value(a) / value(b) for a, b in zip(ours, theirs, strict=True)]


def _cost(result: Result) -> float:
    return result.cost


def _p99(result: Result) -> float:
    return result.p99_ms


SECTIONS: Final[dict[str, Callable[[Bench], list[Bar]]]] = {
    "cost": cost,
    "pressed": pressed,
    "memory": memory,
    "storm": storm,
    "stalled": stalled,
    "bridges": bridges,
}

if __name__ == "__main__":
    main()
