"""Owns the conversions between the units of light: decibels and ratios, wavelength and frequency.

Refuses nothing: ranges are checked where numbers come in.
"""

import math
from typing import Final

LIGHT_NM_GHZ: Final = 299_792_458.0  # speed of light in nm × GHz: one over the other


def from_db(decibels: float) -> float:
    """Give the ratio of two powers, or the milliwatts of a dBm figure."""
    return math.pow(10.0, decibels / 10.0)


def to_db(ratio: float) -> float:
    """Give the decibels of a ratio of two powers, or the dBm of a milliwatt figure, above zero."""
    return 10.0 * math.log10(ratio)
