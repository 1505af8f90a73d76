"""The nginx configuration of the how-to, as it stands there but for ports and paths."""

from __future__ import annotations

import asyncio
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

import orjson
import pytest

from tests.support.processes import DEADLINE, free_port, stand
from tests.support.viewers import viewer

CONFIGURATION = Path(__file__).parents[2] / "docs" / "how-to" / "nginx.conf"


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_viewers_come_in_through_nginx_and_back_when_a_bridge_stops(run_async, tmp_path: Path):
    async def body() -> None:
        with stand() as place:
            place.daemon("--simulate")
            ports = {"8002": free_port(), "8003": free_port(), "8080": free_port()}
            bridges = [place.bridge(port=ports[name]) for name in ("8002", "8003")]
            text = CONFIGURATION.read_text()
            for name, port in ports.items():
                text = text.replace(name, str(port))
            text = text.replace("/run/", f"{tmp_path}/").replace("/var/log/nginx/", f"{tmp_path}/")
            (tmp_path / "nginx.conf").write_text(text)
            command = ["nginx", "-c", str(tmp_path / "nginx.conf"), "-e", f"{tmp_path}/error.log"]
            nginx = await asyncio.create_subprocess_exec(*command, "-g", "daemon off;")
            try:
                await_ready(ports["8080"])
                url = f"ws://127.0.0.1:{ports['8080']}/ws/power"
                async with viewer(url) as client:
                    await client.wait_count("data", 5)
                    hers, other = bridges
                    if not active_streams(ports["8002"]):
                        hers, other = other, hers
                    assert hers.terminate() == 0
                    assert await client.closed() == 1012
                async with viewer(url) as client:
                    await client.wait_count("data", 5)
                assert other.terminate() == 0
            finally:
                nginx.terminate()
                await nginx.wait()

    run_async(body())


def active_streams(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as response:
        count: int = orjson.loads(response.read())["active_streams"]
    return count


def await_ready(port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline
