"""Real processes for integration tests: started, waited for by what they print, always ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Self

DEADLINE = 20.0  # generous: only a test that already failed waits this long


def free_port() -> int:
    """A port that was free a moment ago, for what must come back at the same place."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


class Process:
    """`python -m module arguments`, with everything it prints at hand."""

    def __init__(self, module: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CTP10", "API_", "MOCK"))}
        clean["XDG_CONFIG_HOME"] = "/nonexistent"
        self.name = module
        self._popen = subprocess.Popen(
            [sys.executable, "-u", "-m", module, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=clean | (env or {}),
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._printed = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        self._reader = threading.Thread(target=self._read, name=f"output of {module}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as output:
            for line in output:
                with self._printed:
                    self._lines.append(line)
                    self._printed.notify_all()
        with self._printed:
            self._ended = True
            self._printed.notify_all()

    @property
    def output(self) -> str:
        """All it printed so far."""
        with self._printed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, timeout: float = DEADLINE) -> re.Match[str]:
        """The first match in what it prints, from the start."""
        regex = re.compile(pattern)
        with self._printed:
            found: list[re.Match[str]] = []

            def look() -> bool:
                match = regex.search("".join(self._lines))
                if match:
                    found.append(match)
                return match is not None or self._ended

            self._printed.wait_for(look, timeout)
        assert found, f"{self.name} did not print {pattern!r} but:\n{self.output}"
        return found[0]

    def wait(self, timeout: float = DEADLINE) -> int:
        """Exit code."""
        code = self._popen.wait(timeout)
        self._reader.join(timeout)
        return code

    def terminate(self, timeout: float = DEADLINE) -> int:
        """SIGTERM; returns the exit code."""
        self._popen.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL."""
        self._popen.kill()
        self.wait()

    def signal(self, number: int) -> None:
        """Any signal."""
        self._popen.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGCONT)
            self._popen.kill()
        self._popen.wait()
        self._reader.join()


class Stand:
    """Places at which simulator, daemon and bridge meet, and how to start each of them there."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self.instrument_port = free_port()
        self.publish = f"tcp://127.0.0.1:{free_port()}"
        self.control = f"tcp://127.0.0.1:{free_port()}"
        self.port = free_port()

    @property
    def address(self) -> str:
        """VISA address of the simulator's place."""
        return f"TCPIP::127.0.0.1::{self.instrument_port}::SOCKET"

    @property
    def url(self) -> str:
        """The bridge, for WebSockets."""
        return f"ws://127.0.0.1:{self.port}"

    def start(self, module: str, *arguments: str) -> Process:
        """Any module, ended with the stand."""
        return self._stack.enter_context(Process(module, *arguments))

    def simulator(self, *arguments: str) -> Process:
        """The simulator, listening."""
        port = str(self.instrument_port)
        process = self.start("acquisitiond.simulator", "--port", port, *arguments)
        process.wait_for("listening on")
        return process

    def daemon(self, *arguments: str, address: str | None = None) -> Process:
        """acquisitiond, publishing, for the simulator's place or another address."""
        where = [] if "--simulate" in arguments else ["--address", address or self.address]
        endpoints = ["--publish", self.publish, "--control", self.control, "--metrics-port", "0"]
        process = self.start("acquisitiond", *where, *endpoints, *arguments)
        process.wait_for("publishing on")
        return process

    def bridge(self, *arguments: str, port: int | None = None) -> Process:
        """wsbridge, serving."""
        endpoints = ["--subscribe", self.publish, "--control", self.control]
        process = self.start(
            "wsbridge", "--port", str(self.port if port is None else port), *endpoints, *arguments
        )
        process.wait_for("serving on")
        return process


@contextlib.contextmanager
def stand() -> Iterator[Stand]:
    """A stand of its own for one test."""
    with contextlib.ExitStack() as stack:
        yield Stand(stack)
