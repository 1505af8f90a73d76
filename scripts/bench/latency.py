"""How old a reading is when a WebSocket client has it: receive time - `timestamp`, one client.

Both daemons run as real processes on one machine, so that one clock times both ends. Each interval
is measured twice: once with nothing else listening, which is compared with the bars, and once
with a ZeroMQ subscriber beside the client, which tells where the time goes. Exit code 1 if over a
bar.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

import _common
import orjson
import zmq
from websockets.asyncio.client import connect

P50_BAR: Final = 2e-3
P99_BAR: Final = 10e-3
MODULE: Final = 4
SILENCE: Final = 20.0
"""Seconds without a message after which the measurement is given up."""

Times = dict[int, tuple[float, float]]
"""By `seq`: the message's `timestamp`, and when it was received."""


def main() -> None:
    """Measure, print, compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--interval", type=float, action="append", help="default 0.1 and 0.01")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    options = parser.parse_args()
    intervals = options.interval or [0.1, 0.01]
    print(_common.environment(), end="\n\n", flush=True)
    print(f"{'':26}{'messages':>9} {'lost':>5} {'p50':>11} {'p99':>11} {'max':>11}")
    good = True
    with _common.service() as service:
        for interval in intervals:
            good &= _measure(service, interval, options.seconds)
    print(f"\nbars: p50 < {P50_BAR * 1e3:g} ms, p99 < {P99_BAR * 1e3:g} ms:", end=" ")
    print("ok" if good else "OVER A BAR")
    sys.exit(0 if good else 1)


def _measure(service: _common.Service, interval: float, seconds: float) -> bool:
    alone = asyncio.run(_websocket(service.port, interval, seconds))
    ages = _ages(alone)
    _row(f"interval {interval:g} s", ages, lost=max(alone) - min(alone) + 1 - len(alone))
    with _Subscriber(service.publish) as subscriber:
        beside = asyncio.run(_websocket(service.port, interval, seconds))
    both = beside.keys() & subscriber.times.keys()
    _row("  to a ZeroMQ subscriber", _ages({seq: subscriber.times[seq] for seq in both}))
    _row("  from there to the client", [beside[seq][1] - subscriber.times[seq][1] for seq in both])
    p50, p99 = _common.percentile(ages, 0.5), _common.percentile(ages, 0.99)
    return p50 < P50_BAR and p99 < P99_BAR


def _row(label: str, ages: list[float], lost: int | None = None) -> None:
    columns = [_common.percentile(ages, 0.5), _common.percentile(ages, 0.99), max(ages)]
    figures = " ".join(_common.milliseconds(value) for value in columns)
    print(f"{label:26}{len(ages):9} {'' if lost is None else lost:>5} {figures}", flush=True)


def _ages(times: Mapping[int, tuple[float, float]]) -> list[float]:
    return [received - timestamp for timestamp, received in times.values()]


async def _websocket(port: int, interval: float, seconds: float) -> Times:
    """What one client receives in `seconds`, after its first second."""
    url = f"ws://127.0.0.1:{port}/ws/power?module={MODULE}&interval={interval:g}"
    times: Times = {}
    async with connect(url, compression=None) as client:
        # The first one is whatever reading there was; then the rate has to settle.
        begin = time.time() + 1.0
        while time.time() < begin + seconds:
            message = await asyncio.wait_for(client.recv(decode=False), SILENCE)
            received = time.time()
            reading = orjson.loads(message)
            if reading["type"] == "data" and received > begin:
                times[reading["seq"]] = reading["timestamp"], received
    return times


class _Subscriber:
    """A plain SUB socket in a thread of its own, for as long as the context lasts."""

    def __init__(self, endpoint: str) -> None:
        self.times: Times = {}
        self._endpoint = endpoint
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="subscriber")

    def __enter__(self) -> _Subscriber:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.subscribe(b"power/%d/" % MODULE)
            socket.connect(self._endpoint)
            while not self._stopping.is_set():
                if socket.poll(200):
                    _, payload = socket.recv_multipart()
                    received = time.time()
                    reading = orjson.loads(payload)
                    self.times[reading["seq"]] = reading["timestamp"], received


if __name__ == "__main__":
    gc.disable()  # a pause of the measuring process is no latency of the daemons
    main()
