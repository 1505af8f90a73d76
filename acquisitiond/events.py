"""What the instrument's thread tells the daemon. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctp10.units import Unit


@dataclass(frozen=True, slots=True)
class Connected:
    """The instrument answers."""

    identity: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The instrument does not answer, or not any more; another attempt follows."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at a module's detectors; `timestamp` in Unix seconds, when the answer was there."""

    timestamp: float
    module: int
    wavelength_nm: float | None
    unit: Unit
    powers: Mapping[int, float | None]
    """By channel; None where there is no number."""
    duration: float | None
    """Seconds that the question took; None if no answer can be attributed to it."""
    error: str | None
    """What is wrong with it, in one sentence."""
    lateness: float = 0.0
    """Seconds that it was asked after it was due."""
    missed: int = 0
    """Readings that were due before and not taken."""


@dataclass(frozen=True, slots=True)
class ModuleAbsent:
    """A wanted module is not in the instrument."""

    module: int
    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """The thread ended by an error of our own; no more events follow."""

    error: BaseException


Event = Connected | Lost | Snapshot | ModuleAbsent | Crashed
