"""What a CTP10 can be asked, over a link that somebody opened: identity, detectors, powers.

Owns how questions are packed into messages; blocking, single-threaded, without retries. A
`LinkError` passes through: the link is gone then, and so is this object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from acquisitiond import dialect
from acquisitiond.dialect import DialectError
from ctp10.units import Unit

USUAL_CHANNELS = (1, 2, 3, 4)
ALL_CHANNELS = (1, 2, 3, 4, 5, 6)


class Link(Protocol):
    """What is asked of a link; see `acquisitiond.visa.Link`."""

    def query(self, message: str, timeout: float) -> str:
        """Answer to one message, within `timeout` seconds. Raises LinkError."""

    def interrupt(self) -> None:
        """End a query in progress, from another thread."""

    def close(self) -> None:
        """Close; never raises."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How a module is read: which detectors it has, and whether it takes compound queries."""

    channels: tuple[int, ...] = USUAL_CHANNELS
    compound: bool = True


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a module's powers are to be understood."""

    wavelength_nm: float | None
    units: tuple[Unit, ...]
    """Of each detector, in the order of the profile's channels."""


class Instrument:
    """Questions to a CTP10. `timeout` is the deadline of each message, in seconds."""

    def __init__(self, link: Link, timeout: float) -> None:
        self.link = link
        self.timeout = timeout

    def identity(self) -> str:
        """Maker, model, serial number and firmware. Raises LinkError, DialectError."""
        answer = self.link.query(dialect.IDENTITY, self.timeout).strip()
        if answer.count(",") != 3 or not answer.isprintable():
            raise DialectError(f"an identity expected, got {answer!r:.80}")
        return answer

    def powers(self, module: int, profile: Profile) -> list[float | DialectError]:
        """Power of each detector of the profile, or what is wrong with its answer.

        Raises:
            LinkError: the link is gone.
            DialectError: the answer to a compound query has the wrong number of fields.
        """
        units = dialect.power_units(module, profile.channels)
        return [_attempt(field) for field in self._ask(units, profile.compound)]

    def configuration(self, module: int, profile: Profile) -> Configuration:
        """Units and wavelength. Raises LinkError, DialectError."""
        units = dialect.configuration_units(module, profile.channels)
        *words, wavelength = self._ask(units, profile.compound)
        try:
            nanometres = dialect.parse_wavelength_nm(wavelength)
        except DialectError:
            nanometres = None  # the powers are good without it
        return Configuration(nanometres, tuple(dialect.parse_unit(word) for word in words))

    def next_error(self) -> tuple[int, str]:
        """Take the oldest entry off the error queue; code 0 when it is empty."""
        return dialect.parse_error(self.link.query(dialect.NEXT_ERROR, self.timeout))

    def _ask(self, units: Sequence[str], compound: bool) -> list[str]:
        if compound:
            answer = self.link.query(dialect.compound(units), self.timeout)
            return dialect.split(answer, len(units))
        return [self.link.query(unit, self.timeout).strip() for unit in units]


def _attempt(field: str) -> float | DialectError:
    try:
        return dialect.parse_power(field)
    except DialectError as error:
        return error
