"""Owns the ten reference lasers: what they are, what they are set to, when they really shine.

Refuses a power the laser cannot give. Which of them sweeps is the sweep's business.
"""

from dataclasses import dataclass
from typing import Final

from acquisitiond.simulator.errors import ScpiError

SWITCHING_SECONDS: Final = 0.5

# nm/s
SPEEDS: Final = {
    "T100S-HP": (*range(5, 16), 17, 18, 20, 22, 25, 29, 33, 40, 50, 67, 100),
    "T500S": (10, 20, 50, 100, 200),
}
# dBm. The T500S's limit is the manual's; of the T100S-HP's nothing is known but its name, so it
# is given more than a detector bears: nothing but the user protects the detectors.
_STRONGEST: Final = {"T100S-HP": 15.0, "T500S": 13.0}
_WEAKEST: Final = -10.0

MODELS: Final = ("T100S-HP",) * 6 + ("T500S",) * 4


@dataclass(slots=True)
class Laser:
    """One reference laser. `on` is what it does, not what it was last told."""

    model: str
    wavelength_nm: float = 1550.0
    power_dbm: float = 1.5
    on: bool = False
    switching: tuple[bool, float] | None = None  # told to, effective when

    @property
    def identity(self) -> str:
        """Its `*IDN`-like line: maker, model, serial number, firmware."""
        return f"EXFO,{self.model},0,6.06"

    @property
    def speeds(self) -> tuple[int, ...]:
        """The sweep speeds it knows, nm/s."""
        return SPEEDS[self.model]

    def set_power(self, dbm: float) -> None:
        """Set the output power; raises `ScpiError` -222 outside what the model gives."""
        if not _WEAKEST <= dbm <= _STRONGEST[self.model]:
            raise ScpiError(-222)
        self.power_dbm = dbm

    def switch(self, *, on: bool, now: float) -> None:
        """Tell it to shine or not; it takes `SWITCHING_SECONDS` to do so."""
        self.switching = (on, now + SWITCHING_SECONDS)

    def advance(self, now: float) -> None:
        """Let a switch that is due become effective."""
        if self.switching and now >= self.switching[1]:
            self.on = self.switching[0]
            self.switching = None


def power_on_lasers() -> list[Laser]:
    """The lasers as the instrument wakes up: the first one shines at 1310 nm, 7 dBm."""
    lasers = [Laser(model) for model in MODELS]
    lasers[0] = Laser(MODELS[0], wavelength_nm=1310.0, power_dbm=7.0, on=True)
    return lasers
