"""Both metrics pages satisfy Prometheus' own checker and hold what is promised."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import urllib.request

import pytest

from tests.integration.test_path import http, until_ready
from tests.support.processes import free_port, stand
from tests.support.viewers import viewer

BRIDGE = [
    "wsbridge_connections",
    "wsbridge_connections_closed_total",
    "wsbridge_connections_rejected_total",
    "wsbridge_messages_sent_total",
    "wsbridge_messages_conflated_total",
    "wsbridge_messages_dropped_total",
    "wsbridge_sent_bytes_total",
    "wsbridge_upstream_age_seconds",
    "wsbridge_upstream_gaps_total",
    "wsbridge_fanout_duration_seconds",
    "wsbridge_build_info",
]
DAEMON = [
    "acquisitiond_readings_total",
    "acquisitiond_errors_total",
    "acquisitiond_query_duration_seconds",
    "acquisitiond_state",
    "acquisitiond_connections_total",
    "acquisitiond_schedule_lateness_seconds",
    "acquisitiond_build_info",
]


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics_are_complete_and_well_formed(run_async, workers: int):
    async def body() -> None:
        with stand() as place:
            port = free_port()
            place.daemon("--simulate", "--metrics-port", str(port))
            place.bridge("--workers", str(workers))
            await until_ready(place)
            async with viewer(f"{place.url}/ws/power") as client:
                await client.wait_count("data", 3)
            await asyncio.to_thread(http, place, "/nowhere")
            bridge = (await asyncio.to_thread(http, place, "/metrics"))[1]
            page = f"http://127.0.0.1:{port}/metrics"
            daemon = await asyncio.to_thread(lambda: urllib.request.urlopen(page).read())
            for text, names in ((bridge, BRIDGE), (daemon, DAEMON)):
                for name in names:
                    assert name.removesuffix("_total").encode() in text, name
                if shutil.which("promtool"):
                    await asyncio.to_thread(check, text)

    run_async(body())


def check(text: bytes) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr, done.stderr.decode()
