"""Owns what each type of trace holds, as a function of the wavelength. Pure; computes no points.

Refuses, by leaving them out, the types whose meaning is not known.
"""

from collections.abc import Callable
from typing import Final

from acquisitiond.simulator import dut
from acquisitiond.simulator.detector import Detector
from acquisitiond.simulator.sweep import Plan

TF_LIVE: Final = 1
RAW_LIVE: Final = 11
RAW_REFERENCE: Final = 12
RAW_QUICK_REFERENCE: Final = 13

Recipe = Callable[[Detector, Plan], dut.Transmission]


def _tf_live(detector: Detector, _: Plan) -> dut.Transmission:
    return detector.transmission


def _raw_reference(detector: Detector, plan: Plan) -> dut.Transmission:
    """The laser as the detector would see it past a perfect device, dBm."""
    path, ripple, power = dut.PATH_DB[detector.channel], dut.laser_ripple_db, plan.power_dbm
    if len(plan.legs) == 1:
        constant = plan.legs[0].power_dbm + path
        return lambda nm: constant + ripple(nm)
    return lambda nm: power(nm) + path + ripple(nm)


def _raw_live(detector: Detector, plan: Plan) -> dut.Transmission:
    """What the detector saw during the sweep, dBm: reference and transmission."""
    reference, transmission = _raw_reference(detector, plan), detector.transmission
    return lambda nm: reference(nm) + transmission(nm)


RECIPES: Final[dict[int, Recipe]] = {
    TF_LIVE: _tf_live,
    RAW_LIVE: _raw_live,
    RAW_REFERENCE: _raw_reference,
    RAW_QUICK_REFERENCE: _raw_reference,
}
