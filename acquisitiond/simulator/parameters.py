"""Owns what a parameter may be: its type, its unit, its static range. Pure decoders of one datum.

Refuses a unit the instrument is not known to take, however sensible: -131 or -138.
Wavelengths come out in nanometres, powers in dBm.
"""

import math
from collections.abc import Callable
from typing import Final

from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.grammar import Datum, Kind
from acquisitiond.simulator.units import LIGHT_NM_GHZ, to_db

# Answers carry metres with eight decimals, which is 0.01 pm: settings are kept no finer.
_DECIMALS_NM: Final = 5

_LENGTHS: Final = {"PM": 1e-3, "NM": 1.0, "M": 1e9, "": 1e9}
_FREQUENCIES: Final = {"HZ": 1e-9, "GHZ": 1.0, "THZ": 1e3}


def number(datum: Datum) -> float:
    """Read a plain number, without a unit."""
    value = _number(datum)
    if datum.suffix:
        raise ScpiError(-138)
    return value


def integer(first: int, last: int) -> Callable[[Datum], int]:
    """Read a whole number from `first` to `last`; IEEE 488.2 rounds one that is not whole."""

    def take(datum: Datum) -> int:
        value = number(datum)
        if not first - 0.5 <= value < last + 0.5:
            raise ScpiError(-222)
        return math.floor(value + 0.5)

    return take


def wavelength(datum: Datum) -> float:
    """Read a wavelength or an optical frequency; nanometres. Without a unit, metres are meant."""
    value = _number(datum)
    if datum.suffix in _FREQUENCIES:
        if value <= 0:
            raise ScpiError(-222)
        value = LIGHT_NM_GHZ / (value * _FREQUENCIES[datum.suffix])
    else:
        value *= _length(datum.suffix)
    if not 1240.0 <= (rounded := _rounded(value)) <= 1680.0:
        raise ScpiError(-222)
    return rounded


def sampling(datum: Datum) -> float:
    """Read a wavelength step; picometres. Without a unit, metres are meant."""
    picometres = round(_number(datum) * _length(datum.suffix) * 1e3, 6)
    if not 0.02 <= picometres <= 250.0:
        raise ScpiError(-222)
    return picometres


def power(datum: Datum) -> float:
    """Read an optical power; dBm, which is also meant when there is no unit."""
    value = _number(datum)
    if datum.suffix == "MW":
        if value <= 0:
            raise ScpiError(-222)
        return to_db(value)
    if datum.suffix not in ("DBM", ""):
        raise ScpiError(-131)
    return value


def boolean(datum: Datum) -> bool:
    """Read 0 or 1, ON or OFF, and no other number."""
    if datum.kind is Kind.WORD:
        return word("ON", "OFF")(datum) == "ON"
    if (value := number(datum)) not in (0.0, 1.0):
        raise ScpiError(-224)
    return value == 1.0


def word(*names: str) -> Callable[[Datum], str]:
    """Read one of the given words; the answer is in upper case."""

    def take(datum: Datum) -> str:
        if datum.kind is not Kind.WORD:
            raise ScpiError(-104)
        if datum.text not in names:
            raise ScpiError(-224)
        return datum.text

    return take


def trace_format(datum: Datum) -> str:
    """Read the form of a trace, BIN or ASCII; ASCII may be written 0."""
    if datum.kind is Kind.NUMBER:
        if number(datum) != 0.0:
            raise ScpiError(-224)
        return "ASCII"
    return word("BIN", "ASCII")(datum)


def _number(datum: Datum) -> float:
    if datum.kind is not Kind.NUMBER:
        raise ScpiError(-104)
    return datum.value


def _length(suffix: str) -> float:
    if suffix not in _LENGTHS:
        raise ScpiError(-131)
    return _LENGTHS[suffix]


def _rounded(nanometres: float) -> float:
    # An over-large number stays what it is: round() of infinity is no number.
    return round(nanometres, _DECIMALS_NM) if math.isfinite(nanometres) else nanometres
