"""The CTP10's SCPI dialect, client side: what to send, and what an answer means. Pure.

Keywords go out in their long form with a leading colon, so that each unit of a compound message
stands at the root whatever came before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from ctp10.units import Unit

IDENTITY: Final = "*IDN?"
NEXT_ERROR: Final = ":SYSTem:ERRor?"

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_A_NUMBER: Final = 9.9e37
"""SCPI-1999 vol. 1, 7.2.1.4 and 7.2.1.5: infinity is ±9.9E37, not-a-number 9.91E37."""
_UNITS: Final[dict[str, Unit]] = {
    "0": "dBm",
    "1": "mW",
    "DBM": "dBm",
    "DBMA": "dBm",
    "MW": "mW",
    "MA": "mW",
}
_NANOMETRES: Final = (200.0, 20_000.0)
"""Plausible optics; the detectors' own span is 1240–1680 nm."""


class DialectError(Exception):
    """An answer that is not one to the question; says what came instead."""


def power_units(module: int, channels: Sequence[int]) -> list[str]:
    """One query for each detector's power, in its own unit."""
    return [f":CTP:SENSe{module}:CHANnel{channel}:POWer?" for channel in channels]


def configuration_units(module: int, channels: Sequence[int]) -> list[str]:
    """The power unit of each detector, then the wavelength of the first."""
    prefix = f":CTP:SENSe{module}:CHANnel"
    units = [f"{prefix}{channel}:UNIT:Y?" for channel in channels]
    return [*units, f"{prefix}{channels[0]}:WAVelength?"]


def compound(units: Sequence[str]) -> str:
    """Join queries into one message: one round trip instead of several."""
    return ";".join(units)


def split(answer: str, expected: int) -> list[str]:
    """Fields of the answer to a compound message of `expected` queries.

    Raises:
        DialectError: as many fields as questions did not come, so none can be attributed.
    """
    fields = [field.strip() for field in answer.split(";")]
    if len(fields) != expected:
        raise DialectError(f"{expected} answers expected, got {len(fields)}: {answer!r:.80}")
    return fields


def parse_number(text: str) -> float:
    """A number in NRf form. Raises `DialectError` for anything else."""
    if not _NUMBER.fullmatch(text):
        raise DialectError(f"a number expected, got {text!r:.80}")
    return float(text)


def parse_power(text: str) -> float:
    """Power of one detector, in its unit: the number before the first comma.

    Raises:
        DialectError: it is no number, or SCPI's way of saying NaN or an infinity.
    """
    value = parse_number(text.partition(",")[0].strip())
    if abs(value) >= _NOT_A_NUMBER or not math.isfinite(value):
        raise DialectError(f"the detector has no reading ({text!r:.40})")
    return value


def parse_unit(text: str) -> Unit:
    """Power unit, from the number or the word that firmware versions answer."""
    unit = _UNITS.get(text.strip().upper())
    if unit is None:
        raise DialectError(f"a power unit expected, got {text!r:.80}")
    return unit


def parse_wavelength_nm(text: str) -> float:
    """Wavelength in nanometres, from an answer in metres."""
    # 12 decimals of a metre-to-nanometre product are rounding noise: 1.31E-006 is 1310.0 nm.
    nanometres = round(parse_number(text.strip()) * 1e9, 6)
    if not _NANOMETRES[0] <= nanometres <= _NANOMETRES[1]:
        raise DialectError(f"a wavelength in metres expected, got {text!r:.80}")
    return nanometres


def parse_error(text: str) -> tuple[int, str]:
    """Code and text of an entry of the error queue: ``-113,Undefined header``; 0 is no error."""
    code, separator, message = text.partition(",")
    if not separator or not re.fullmatch(r"[+-]?[0-9]{1,6}", code.strip()):
        raise DialectError(f"an error entry expected, got {text!r:.80}")
    return int(code), message.strip().strip('"')
