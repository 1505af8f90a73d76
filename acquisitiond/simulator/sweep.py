"""Owns the settings of a sweep, how they move each other, and the plan a sweep follows.

Knows no clock but the times it is handed and starts nothing. Refuses what no laser can do.
"""

from dataclasses import dataclass, field
from typing import Final

from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.lasers import Laser

FIRST_NM: Final = 1240.0
LAST_NM: Final = 1680.0

# Below 1 pm, sampling in pm -> longest span in nm, highest speed in nm/s. The manual says that
# there are limits; these are chosen so that the longest trace has the 940,001 points it names.
FINE_SAMPLINGS: Final = {
    0.5: (220.0, 50.0),
    0.2: (188.0, 20.0),
    0.1: (94.0, 20.0),
    0.05: (47.0, 10.0),
    0.02: (18.8, 10.0),
}
_COARSE_LIMITS: Final = (LAST_NM - FIRST_NM, float("inf"))


@dataclass(slots=True)
class Tls:
    """The settings of one of the four tunable lasers of a sweep. `laser` 0 is none."""

    laser: int = 0
    start_nm: float = 1520.0
    stop_nm: float = 1580.0
    speed: int = 50
    power_dbm: float = 0.0
    trigger: int = 0


@dataclass(frozen=True, slots=True)
class Leg:
    """One laser's part of a sweep, on the model's clock: it settles from `begin`, then tunes."""

    laser: int
    start_nm: float
    stop_nm: float
    speed: float
    power_dbm: float
    begin: float
    settling: float

    @property
    def end(self) -> float:
        """When the laser arrives at `stop_nm`."""
        return self.begin + self.settling + (self.stop_nm - self.start_nm) / self.speed

    def wavelength_nm(self, now: float) -> float:
        """Where the laser is."""
        tuned = (now - self.begin - self.settling) * self.speed
        return min(self.start_nm + max(tuned, 0.0), self.stop_nm)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole sweep: its legs one after the other, and the grid of its traces."""

    legs: tuple[Leg, ...]
    start_nm: float
    sampling_pm: float
    points: int
    stays_on: bool

    @property
    def end(self) -> float:
        """When the last leg is through."""
        return self.legs[-1].end

    def uses(self, laser: int) -> bool:
        """Whether a reference laser has a leg in it."""
        return any(leg.laser == laser for leg in self.legs)

    def power_dbm(self, nm: float) -> float:
        """What power the laser that covered this wavelength had."""
        covering = (leg.power_dbm for leg in self.legs if nm < leg.stop_nm)
        return next(covering, self.legs[-1].power_dbm)

    def leg(self, now: float) -> Leg:
        """The leg under way."""
        return next((leg for leg in self.legs if now < leg.end), self.legs[-1])


@dataclass(slots=True)
class SweepSettings:
    """What the next sweep will be."""

    start_nm: float = 1520.0
    stop_nm: float = 1580.0
    sampling_pm: float = 10.0
    stays_on: bool = True
    settling: float = 0.0
    tls: list[Tls] = field(default_factory=lambda: [Tls(laser=1), Tls(), Tls(), Tls()])

    def set_start(self, nm: float) -> None:
        """Move the start; the stop follows when it must: never before it, never too far off."""
        self.start_nm = min(nm, LAST_NM - self._shortest)
        self._fit_stop()

    def set_stop(self, nm: float) -> None:
        """Move the stop; the start follows when it must."""
        self.stop_nm = max(nm, FIRST_NM + self._shortest)
        low, high = self.stop_nm - self._limits[0], self.stop_nm - self._shortest
        self.start_nm = round(min(max(self.start_nm, low), high), 5)
        self._spread()

    def set_sampling(self, pm: float) -> None:
        """Set the resolution; below 1 pm the span and the speeds may shrink with it.

        Raises `ScpiError` -224 for one between the allowed ones.
        """
        if pm not in FINE_SAMPLINGS and (pm < 1.0 or pm != int(pm)):
            raise ScpiError(-224)
        self.sampling_pm = pm
        self.start_nm = min(self.start_nm, LAST_NM - self._shortest)
        self._fit_stop()

    def set_tls_span(self, tls: Tls, *, start_nm: float | None, stop_nm: float | None) -> None:
        """Move one end of a laser's own span; the whole span is the hull of those in use.

        Raises `ScpiError` -221 when the whole would be longer than the sampling allows.
        """
        start = tls.start_nm if start_nm is None else start_nm
        stop = tls.stop_nm if stop_nm is None else stop_nm
        if start >= stop:
            raise ScpiError(-221)
        others = [other for other in self.tls if other.laser and other is not tls]
        hull = self._hull(start, stop, others)
        tls.start_nm, tls.stop_nm = start, stop
        if tls.laser:
            self.start_nm, self.stop_nm = hull

    def choose_laser(self, tls: Tls, number: int, lasers: list[Laser]) -> None:
        """Say which laser a TLS is; its speed becomes one the laser knows.

        Raises `ScpiError` -221 for a laser that is another TLS already, or whose span makes the
        whole longer than the sampling allows.
        """
        others = [other for other in self.tls if other.laser and other is not tls]
        if number and any(other.laser == number for other in others):
            raise ScpiError(-221)
        if number:
            self.start_nm, self.stop_nm = self._hull(tls.start_nm, tls.stop_nm, others)
        tls.laser = number
        if number and tls.speed not in (speeds := lasers[number - 1].speeds):
            tls.speed = max((s for s in speeds if s <= tls.speed), default=speeds[0])
        self._slow_down()

    def set_speed(self, tls: Tls, speed: float, lasers: list[Laser]) -> None:
        """Set a sweep speed, nm/s.

        Raises `ScpiError` -221 without a laser or faster than the sampling allows, -224 for a
        speed the laser does not know.
        """
        if not tls.laser:
            raise ScpiError(-221)
        if speed not in lasers[tls.laser - 1].speeds:
            raise ScpiError(-224)
        if speed > self._limits[1]:
            raise ScpiError(-221)
        tls.speed = int(speed)

    def plan(self, now: float) -> Plan:
        """Lay out the sweep that starts now; raises `ScpiError` -221 when no laser can do it.

        That is: no TLS is a laser, or their spans leave a gap.
        """
        used = sorted((tls for tls in self.tls if tls.laser), key=lambda tls: tls.start_nm)
        if not used:
            raise ScpiError(-221)
        legs: list[Leg] = []
        begin = now
        reached = used[0].start_nm
        for tls in used:
            if tls.start_nm > reached:
                raise ScpiError(-221)
            legs.append(
                Leg(tls.laser, tls.start_nm, tls.stop_nm, tls.speed, tls.power_dbm, begin,
                    self.settling)
            )  # fmt: skip
            begin, reached = legs[-1].end, max(reached, tls.stop_nm)
        start = used[0].start_nm
        # The small part keeps a span that is a multiple of the sampling from losing a point.
        points = int((reached - start) * 1e3 / self.sampling_pm + 1e-4) + 1
        return Plan(tuple(legs), start, self.sampling_pm, points, self.stays_on)

    @property
    def _limits(self) -> tuple[float, float]:
        return FINE_SAMPLINGS.get(self.sampling_pm, _COARSE_LIMITS)

    @property
    def _shortest(self) -> float:
        return self.sampling_pm * 1e-3  # a trace has two points at least

    def _hull(self, start: float, stop: float, others: list[Tls]) -> tuple[float, float]:
        first = min([start, *(other.start_nm for other in others)])
        last = max([stop, *(other.stop_nm for other in others)])
        if last - first > self._limits[0]:
            raise ScpiError(-221)
        return first, last

    def _fit_stop(self) -> None:
        low, high = self.start_nm + self._shortest, self.start_nm + self._limits[0]
        self.stop_nm = round(min(max(self.stop_nm, low), high, LAST_NM), 5)
        self._spread()
        self._slow_down()

    def _spread(self) -> None:
        for tls in self.tls:
            tls.start_nm, tls.stop_nm = self.start_nm, self.stop_nm

    def _slow_down(self) -> None:
        # Every laser knows 10 nm/s, and no sampling forbids it.
        for tls in self.tls:
            if tls.speed > self._limits[1]:
                tls.speed = int(self._limits[1])
