"""Owns the simulator's randomness: numbers that depend on what they are asked for and nothing else.

Keeps no state and draws from no generator: the same seed, place and time give the same number.
"""

import math
from typing import Final

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15


def uniform(*key: int) -> float:
    """Give the number in [0, 1) that belongs to `key`."""
    return _hash(key) / 2.0**64


def gaussian(*key: int) -> float:
    """Give the normally distributed number (mean 0, deviation 1) that belongs to `key`."""
    bits = _hash(key)
    # Box-Muller: half of the bits each; the +1 keeps the logarithm finite.
    radius = math.sqrt(-2.0 * math.log(((bits >> 32) + 1) / 2.0**32))
    return radius * math.cos(2.0 * math.pi * (bits & 0xFFFFFFFF) / 2.0**32)


def _hash(key: tuple[int, ...]) -> int:
    """Mix integers into 64 bits: the finaliser of splitmix64, once for each."""
    state = 0
    for part in key:
        state = (state + part + _GOLDEN) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state
