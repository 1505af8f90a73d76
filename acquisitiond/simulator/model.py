"""Owns the physical instrument: modules, detectors, lasers, the sweep, and the passing of time.

Pure: it is handed its clock and knows no text of the remote control. It refuses what the
hardware would refuse, with the `ScpiError` the user is to see.
"""

import math
import time
from collections.abc import Callable, Sequence
from enum import IntFlag
from typing import Final

from acquisitiond.simulator.detector import Detector, DetectorSettings, Light
from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.lasers import Laser, power_on_lasers
from acquisitiond.simulator.sweep import Plan, SweepSettings
from acquisitiond.simulator.trace import Trace
from acquisitiond.simulator.trace_types import RECIPES
from acquisitiond.simulator.units import from_db

REFERENCE_SECONDS: Final = 0.8
ABORT_SECONDS: Final = 0.2
SAVE_SECONDS: Final = 0.3

# Channels 3 (TLS IN) and 4 (OUT TO DUT) of a module have one wavelength setting between them.
SHARED_WAVELENGTH: Final = frozenset({3, 4})

_TRACES_KEPT: Final = 16  # computed and at hand; any other is computed again. 60 MB when full

Place = tuple[int, int]  # module, channel


class Condition(IntFlag):
    """The bits of the operation condition register that this simulator can set."""

    SCANNING = 4
    ABORTING = 16
    REFERENCING = 64
    SAVING = 4096


class Model:
    """One CTP10 with its modules. `clock` is monotonic seconds, `wall` is Unix seconds.

    `modules` are (slot, detectors) pairs; raises ValueError for a slot outside 1-20, one given
    twice, or a number of detectors outside 1-6.
    """

    def __init__(
        self,
        modules: Sequence[Place] = ((4, 4),),
        *,
        seed: int = 1,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        slots = [slot for slot, _ in modules]
        if any(not 1 <= slot <= 20 for slot in slots) or len(set(slots)) != len(slots):
            raise ValueError("module slots must be different numbers from 1 to 20")
        if any(not 1 <= count <= 6 for _, count in modules):
            raise ValueError("a module has 1 to 6 detectors")
        self._clock = clock
        self._wall = wall
        self._started = clock()
        self._detectors = {
            (slot, channel): Detector(seed, slot, channel)
            for slot, count in modules
            for channel in range(1, count + 1)
        }
        self.reset()

    def reset(self) -> None:
        """Return to the power-on state; what light has damaged stays damaged."""
        for detector in self._detectors.values():
            detector.settings = DetectorSettings()
        self.lasers = power_on_lasers()
        self.sweep = SweepSettings()
        self._running: Plan | None = None
        self._finished: Plan | None = None
        self._traces: dict[tuple[int, int, int], Trace] = {}
        self._referencing: dict[Place, float] = {}
        self._references: dict[Place, float] = {}
        self._aborting_until = self._saving_until = -math.inf

    @property
    def now(self) -> float:
        """Seconds since the instrument was switched on."""
        return self._clock() - self._started

    def advance(self) -> None:
        """Let everything that is due happen. To be called before anything is asked or told."""
        now = self.now
        changed = False
        for laser in self.lasers:
            if laser.switching:
                laser.advance(now)
                changed = True
        if self._running and now >= self._running.end:
            self._complete(self._running)
            changed = True
        for place in [place for place, end in self._referencing.items() if now >= end]:
            self._references[place] = self._wall() - (now - self._referencing.pop(place))
        if changed:
            self.expose()

    def condition(self) -> Condition:
        """What the instrument is busy with; 0 is idle."""
        now = self.now
        condition = Condition(0)
        if self._running:
            condition |= Condition.SCANNING
        if now < self._aborting_until:
            condition |= Condition.ABORTING
        if self._referencing:
            condition |= Condition.REFERENCING
        if now < self._saving_until:
            condition |= Condition.SAVING
        return condition

    def busy_seconds(self) -> float:
        """How long until every pending operation is complete, should nobody add another."""
        ends = [self._aborting_until, self._saving_until, *self._referencing.values()]
        ends += [laser.switching[1] for laser in self.lasers if laser.switching]
        if self._running:
            ends.append(self._running.end)
        return max(0.0, max(ends) - self.now)

    # Detectors

    def detector(self, module: int, channel: int) -> Detector:
        """Give an installed detector; raises `ScpiError` -241 for any other place."""
        detector = self._detectors.get((module, channel))
        if detector is None:
            raise ScpiError(-241)
        return detector

    def read_mw(self, module: int, channel: int) -> float:
        """Read the power on a detector now, in mW."""
        now = self.now
        return self.detector(module, channel).read_mw(self._light(now), now)

    def set_wavelength(self, module: int, channel: int, nm: float) -> None:
        """Set what a detector takes the light for; refused with -221 while scanning."""
        detector = self.detector(module, channel)
        self.refuse_while_scanning()
        together = SHARED_WAVELENGTH if channel in SHARED_WAVELENGTH else {channel}
        for other in together:
            if (module, other) in self._detectors:
                self._detectors[module, other].settings.wavelength_nm = nm
        detector.settings.wavelength_nm = nm

    def transmission_db(self, module: int, channel: int, wavelength_nm: float) -> float:
        """Transmission of the device under test: what a TF live trace holds, before float32."""
        return self.detector(module, channel).transmission(wavelength_nm)

    # Lasers

    def laser(self, number: int) -> Laser:
        """Give a reference laser, 1-10, for reading."""
        return self.lasers[number - 1]

    def laser_to_set(self, number: int) -> Laser:
        """Give a reference laser for changing; refused with -221 while it sweeps."""
        if self._sweeps(number):
            raise ScpiError(-221)
        return self.lasers[number - 1]

    def expose(self) -> None:
        """Let the present light fall on all detectors. To be called after any change of it."""
        light = self._light(self.now)
        for detector in self._detectors.values():
            detector.expose(light)

    def _light(self, now: float) -> Light:
        """All light at TLS IN: each laser that shines, the sweeping one where it is now."""
        light = [
            (laser.wavelength_nm, from_db(laser.power_dbm))
            for number, laser in enumerate(self.lasers, 1)
            if laser.on and not self._sweeps(number)
        ]
        if self._running:
            leg = self._running.leg(now)
            light.append((leg.wavelength_nm(now), from_db(leg.power_dbm)))
        return tuple(light)

    def _sweeps(self, number: int) -> bool:
        return self._running is not None and self._running.uses(number)

    # References

    def start_reference(self, module: int, channel: int) -> None:
        """Take a reference; refused with -213 while measuring, -241 where nothing is."""
        self.detector(module, channel)
        if self._running or self._referencing:
            raise ScpiError(-213)
        self._referencing[module, channel] = self.now + REFERENCE_SECONDS

    def reference(self, module: int, channel: int) -> float | None:
        """When the detector's reference was complete, Unix seconds; None without one."""
        self.detector(module, channel)
        return self._references.get((module, channel))

    # Sweep

    def refuse_while_scanning(self) -> None:
        """Raise `ScpiError` -221 during a sweep."""
        if self._running:
            raise ScpiError(-221)

    def start_sweep(self) -> None:
        """Start a sweep; the last one's traces are gone. Refused with -213 while measuring."""
        if self._running or self._referencing:
            raise ScpiError(-213)
        now = self.now
        self._running = self.sweep.plan(now)
        self._finished = None
        self._traces.clear()
        for leg in self._running.legs:
            self.lasers[leg.laser - 1].switching = None
        self.expose()

    def abort(self) -> None:
        """Stop a sweep or a reference; there is no trace of half a sweep."""
        if not self._running and not self._referencing:
            return
        now = self.now
        if self._running:
            self._leave_lasers(self._running, now)
        self._running = None
        self._referencing.clear()
        self._aborting_until = now + ABORT_SECONDS

    def _complete(self, plan: Plan) -> None:
        self._leave_lasers(plan, plan.end)
        self._running = None
        self._finished = plan

    def _leave_lasers(self, plan: Plan, now: float) -> None:
        """After the sweep a laser stands where it stopped, on or off as the user asked."""
        for leg in plan.legs:
            laser = self.lasers[leg.laser - 1]
            laser.wavelength_nm = round(leg.wavelength_nm(now), 5)
            laser.power_dbm = leg.power_dbm
            laser.on = plan.stays_on

    # Traces

    def trace(self, module: int, channel: int, kind: int) -> Trace:
        """Give a trace of the last complete sweep; raises `ScpiError` -241 or -230 without one.

        Without a reference of the user's own, the one made at the factory is what types 12
        and 13 hold.
        """
        detector = self.detector(module, channel)
        if self._finished is None or kind not in RECIPES:
            raise ScpiError(-230)
        key = (module, channel, kind)
        if key not in self._traces:
            if len(self._traces) >= _TRACES_KEPT:
                del self._traces[next(iter(self._traces))]
            self._traces[key] = Trace(self._finished, RECIPES[kind](detector, self._finished))
        return self._traces[key]

    def save(self, module: int, channel: int, kind: int) -> None:
        """Keep a trace inside the instrument, where the remote control cannot reach it."""
        self.trace(module, channel, kind)
        self._saving_until = self.now + SAVE_SECONDS
