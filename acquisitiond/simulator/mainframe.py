"""Owns what the commands act on: the model, the status registers, and who is told of readings.

One for all sessions. Refuses nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from acquisitiond.simulator.model import Model
from acquisitiond.simulator.status import Status

# module, channel, value, unit: each power reading, as it was given out
OnReading = Callable[[int, int, float, str], None]


def ignore_reading(_module: int, _channel: int, _value: float, _unit: str) -> None:
    """Do nothing: nobody wants to know."""


@dataclass(slots=True)
class Mainframe:
    """`answering`: the message being executed has given an answer already."""

    model: Model
    status: Status = field(default_factory=Status)
    on_reading: OnReading = ignore_reading
    answering: bool = False
