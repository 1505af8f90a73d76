"""Owns the bench: a simulated instrument on a clock that a test moves by hand."""

from collections.abc import Callable

import pytest

from acquisitiond.simulator.instrument import Instrument
from acquisitiond.simulator.model import Model

WALL_AT_START = 1_764_321_986.0  # 2025-11-28 09:26:26 UTC


class Bench:
    """An instrument without sockets; `now` is its clock in seconds."""

    def __init__(self, **options: object) -> None:
        self.now = 0.0
        self.readings: list[tuple[int, int, float, str]] = []
        terminate_blocks = bool(options.pop("terminate_blocks", False))
        self.model = Model(
            clock=lambda: self.now,
            wall=lambda: WALL_AT_START + self.now,
            **options,  # type: ignore[arg-type]
        )
        self.instrument = Instrument(
            self.model,
            on_reading=lambda *reading: self.readings.append(reading),
            terminate_blocks=terminate_blocks,
        )
        self.ask("*CLS")

    def raw(self, message: bytes) -> bytes:
        """Execute a message; where the instrument wants to wait, the clock moves on."""
        execution = self.instrument.execute(message)
        while True:
            try:
                self.now += next(execution)
            except StopIteration as done:
                return done.value

    def ask(self, message: str) -> str:
        answer = self.raw(message.encode())
        assert not answer or answer.endswith(b"\r\n")
        return answer.decode().removesuffix("\r\n")

    def errors(self) -> list[int]:
        """Take everything out of the error queue."""
        codes = []
        while (line := self.ask(":SYST:ERR?")) != "0,No error":
            codes.append(int(line.split(",")[0]))
        return codes

    def fails(self, message: str) -> list[int]:
        """Execute a message that is to have no answer; gives the errors it made."""
        assert self.ask(message) == ""
        return self.errors()


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()
