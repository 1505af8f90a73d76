"""Owns one power detector: its settings, and what it makes of the light that reaches it.

Pure physics: it is handed the light and the time. Refuses to recover from too much light.
"""

import math
from dataclasses import dataclass, field
from typing import Final

from acquisitiond.simulator import dut
from acquisitiond.simulator.noise import gaussian, uniform
from acquisitiond.simulator.units import from_db, to_db

FLOOR_MW: Final = 1e-8  # -80 dBm: deviation of the noise in the dark
_RELATIVE_NOISE: Final = 1.5e-3
_DRIFT_DB: Final = 0.02
_DRIFT_SECONDS: Final = 420.0
AVERAGING_SECONDS: Final = 1e-3  # readings closer together than this are one reading

SAFE_DBM: Final = 14.0
_SAFE_MW: Final = from_db(SAFE_DBM)
_DAMAGED_RESPONSE: Final = 0.5
OVER_RANGE: Final = 9.9e37  # SCPI-1999's infinity

Light = tuple[tuple[float, float], ...]  # (wavelength in nm, power at TLS IN's fibre in mW), …


@dataclass(slots=True)
class DetectorSettings:
    """What a user can set of a detector; `*RST` makes new ones."""

    milliwatts: bool = False
    terahertz: bool = False
    wavelength_nm: float = 1310.0
    trigger: int = 0


@dataclass(slots=True)
class Detector:
    """A detector in its place. `damaged` is for good: no command repairs a photodiode."""

    seed: int
    module: int
    channel: int
    settings: DetectorSettings = field(default_factory=DetectorSettings)
    damaged: bool = False
    transmission: dut.Transmission = field(init=False)
    _phase: float = field(init=False)

    def __post_init__(self) -> None:
        self.transmission = dut.transmission(self.seed, self.module, self.channel)
        self._phase = 2.0 * math.pi * uniform(self.seed, self.module, self.channel, 77)

    def incident_mw(self, light: Light) -> float:
        """Give the true power on the photodiode."""
        path = dut.PATH_DB[self.channel]
        return sum(mw * from_db(self.transmission(nm) + path) for nm, mw in light)

    def expose(self, light: Light) -> None:
        """Let light fall on it: more than is safe leaves a mark."""
        if self.incident_mw(light) > _SAFE_MW:
            self.damaged = True

    def read_mw(self, light: Light, seconds: float) -> float:
        """Give the reading at a model time in mW, `OVER_RANGE` when saturated.

        It depends on the seed, the place, the settings, the light and the millisecond alone.
        """
        path = dut.PATH_DB[self.channel]
        power = total = 0.0
        for nm, milliwatts in light:
            part = milliwatts * from_db(self.transmission(nm) + path)
            total += part
            power += part * self._response(nm)
        if total > _SAFE_MW:
            return OVER_RANGE
        if self.damaged:
            power *= _DAMAGED_RESPONSE
        drift = _DRIFT_DB * math.sin(2.0 * math.pi * seconds / _DRIFT_SECONDS + self._phase)
        power *= from_db(drift)
        step = int(seconds / AVERAGING_SECONDS)
        noise = gaussian(self.seed, self.module, self.channel, step)
        return power + noise * math.hypot(FLOOR_MW, _RELATIVE_NOISE * power)

    def _response(self, nm: float) -> float:
        """How wrong the reading is when the light is not of the wavelength that was set."""
        return 1.0 + 4e-4 * (nm - self.settings.wavelength_nm)


def to_dbm(milliwatts: float) -> float:
    """Convert a reading; noise may make it zero or less, which reads as 20 dB under the floor."""
    if milliwatts >= OVER_RANGE:
        return OVER_RANGE
    return to_db(max(milliwatts, FLOOR_MW / 100.0))
