"""Owns the optics in front of the detectors: the device under test and the module's own losses.

Closed forms in the wavelength, so that a trace of a million points and a single reading agree.
Holds no state: the seed chooses where the resonances lie, never whether they are there.
"""

import math
from collections.abc import Callable
from typing import Final

from acquisitiond.simulator.noise import uniform
from acquisitiond.simulator.units import LIGHT_NM_GHZ

# Between TLS IN and each detector, dB, without the device under test. Channels: 1 IN1, 2 IN2,
# 3 TLS IN, 4 OUT TO DUT; 5 and 6 are taken for two more inputs.
PATH_DB: Final = {1: -0.9, 2: -1.2, 3: -0.06, 4: -0.5, 5: -1.0, 6: -1.1}

# An output of the device: coupling loss at 1430 nm in dB (at 1310 nm 2.9 dB more), and the free
# spectral ranges of its two rings in GHz.
_OUTPUTS: Final = {
    1: (21.0, 250.0, 410.0),
    2: (24.4, 310.0, 530.0),
    5: (22.5, 200.0, 470.0),
    6: (23.5, 280.0, 610.0),
}
_REFERENCE_NM: Final = 1310.0

Transmission = Callable[[float], float]


def transmission(seed: int, module: int, channel: int) -> Transmission:
    """Give the function wavelength in nm -> transmission in dB of one port of the device."""
    if channel in _OUTPUTS:
        return _rings(seed, module, channel)
    if channel == 4:
        return _back_reflection
    return _monitor


def laser_ripple_db(wavelength_nm: float) -> float:
    """How far lasers are off their power: in live and reference alike, so TF is free of it."""
    return 0.12 * math.sin(0.37 * wavelength_nm) + 0.05 * math.sin(1.9 * wavelength_nm)


def _monitor(wavelength_nm: float) -> float:
    return 0.0 * wavelength_nm  # TLS IN looks at the laser itself


def _back_reflection(wavelength_nm: float) -> float:
    """Two weak facets 0.4 mm of glass apart: fringes on a low return."""
    return -66.6 + 0.6 * math.cos(7.4e6 / wavelength_nm)


def _rings(seed: int, module: int, channel: int) -> Transmission:
    """Grating couplers and a bus waveguide with two all-pass rings.

    A ring passes 1 - k / (m - n cos(phase)), with the phase going once round in each free
    spectral range: a Lorentzian dip at every resonance.
    """
    loss, *ranges = _OUTPUTS[channel]
    (k1, m1, n1, w1, p1), (k2, m2, n2, w2, p2) = (
        _ring(seed, module, channel, number, fsr) for number, fsr in enumerate(ranges)
    )
    cos, log10 = math.cos, math.log10

    def through(wavelength_nm: float) -> float:
        offset = (wavelength_nm - 1430.0) * 0.01
        return (
            -loss
            - 2.0 * offset * offset
            + 10.0
            * log10(
                (1.0 - k1 / (m1 - n1 * cos(w1 / wavelength_nm - p1)))
                * (1.0 - k2 / (m2 - n2 * cos(w2 / wavelength_nm - p2)))
            )
        )

    return through


def _ring(
    seed: int, module: int, channel: int, number: int, fsr_ghz: float
) -> tuple[float, float, float, float, float]:
    draw = [uniform(seed, module, channel, number, what) for what in range(3)]
    coupling = 0.960 + 0.015 * draw[0]
    depth_db = 12.0 + 14.0 * draw[1]
    residue = 10.0 ** (-depth_db / 20.0)
    # Under-coupled: the round-trip amplitude that leaves `residue` of the field at resonance.
    amplitude = (coupling - residue) / (1.0 - coupling * residue)
    product = coupling * amplitude
    turns = 2.0 * math.pi * LIGHT_NM_GHZ / fsr_ghz
    # The instrument wakes up at 1310 nm; there the device is kept between two resonances.
    phase = turns / _REFERENCE_NM - math.pi * (0.7 + 0.6 * draw[2])
    return (
        (1.0 - amplitude**2) * (1.0 - coupling**2),
        1.0 + product**2,
        2.0 * product,
        turns,
        phase,
    )
