"""Owns the execution of program messages: units in order, errors to the queue, answers joined.

Opens no socket. Refuses to answer for a unit that failed: it contributes nothing to the line.
"""

from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from acquisitiond.simulator.commands import COMMANDS
from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.grammar import Unit, parse
from acquisitiond.simulator.headers import Answer, Headers, Work, decode
from acquisitiond.simulator.mainframe import Mainframe, OnReading, ignore_reading
from acquisitiond.simulator.model import Model

TERMINATOR: Final = b"\r\n"

# Polls repeat the same few messages; what is longer is worth parsing each time.
_LONGEST_KEPT: Final = 1024

_UNITS_A_TURN: Final = 32  # a message of thousands of units lets others have theirs

_HEADERS: Final = Headers(COMMANDS)

# Yields the seconds to wait before it is resumed, 0.0 to let others have a turn; returns the
# bytes to send, which may be none.
Execution = Generator[float, None, bytes]


@dataclass(frozen=True, slots=True)
class _Call:
    """A unit that is fit to be executed: all that can be known of it without the instrument."""

    run: "partial[Answer | Work]"


class Instrument:
    """The simulated CTP10 as its remote control shows it; shared by all sessions.

    `terminate_blocks`: send CR LF also after a response that ends in a binary block. Recorded
    exchanges of the real instrument end right after the last byte, so the default is not to.
    """

    def __init__(
        self,
        model: Model,
        *,
        on_reading: OnReading = ignore_reading,
        terminate_blocks: bool = False,
    ) -> None:
        self.model = model
        self._frame = Mainframe(model, on_reading=on_reading)
        self._terminate_blocks = terminate_blocks
        self._kept = lru_cache(maxsize=512)(self._understand)

    def execute(self, message: bytes) -> Execution:
        """Execute one program message, given without its terminator."""
        calls = self._kept(message) if len(message) <= _LONGEST_KEPT else self._understand(message)
        answers: list[str | bytes] = []
        for number, call in enumerate(calls, 1):
            if number % _UNITS_A_TURN == 0:
                yield 0.0
            try:
                answer = yield from self._run(call, answering=bool(answers))
            except ScpiError as error:
                self._frame.status.report(error)
                continue
            if answer is not None:
                answers.append(answer)
        return self._line(answers)

    def report(self, error: ScpiError) -> None:
        """Queue an error that arose before there was a message to execute."""
        self._frame.status.report(error)

    def _run(self, call: _Call | ScpiError, *, answering: bool) -> Work:
        frame = self._frame
        frame.model.advance()
        frame.status.settle(idle=not frame.model.busy_seconds())
        if isinstance(call, ScpiError):
            raise call
        frame.answering = answering
        answer = call.run()
        if isinstance(answer, Generator):
            return (yield from answer)
        return answer

    def _understand(self, message: bytes) -> tuple[_Call | ScpiError, ...]:
        return tuple(self._call(unit) for unit in parse(message))

    def _call(self, unit: Unit | ScpiError) -> _Call | ScpiError:
        if isinstance(unit, ScpiError):
            return unit
        try:
            command, numbers = _HEADERS.find(unit)
            return _Call(partial(command.run, self._frame, *numbers, *decode(command, unit.data)))
        except ScpiError as error:
            return error

    def _line(self, answers: list[str | bytes]) -> bytes:
        if not answers:
            return b""
        line = b";".join(a if isinstance(a, bytes) else a.encode("ascii") for a in answers)
        if isinstance(answers[-1], bytes) and not self._terminate_blocks:
            return line
        return line + TERMINATOR
