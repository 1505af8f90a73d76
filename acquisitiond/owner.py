"""The one thread that owns the instrument: connects, reads what is due, and says what happened.

Nothing else touches the link. What happens is handed to `emit` as an event; `emit` may block for
a moment (acquisition waits rather than loses), and is called from this thread only.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from acquisitiond.backoff import Backoff
from acquisitiond.dialect import DialectError
from acquisitiond.events import Connected, Crashed, Event, Lost, ModuleAbsent, Snapshot
from acquisitiond.instrument import Configuration, Instrument, Link, Profile
from acquisitiond.modules import Inventory
from acquisitiond.probe import Absent, Prober
from acquisitiond.schedule import Schedule
from acquisitiond.visa import LinkError
from ctp10.units import convert

REFRESH: Final = 2.0
"""Seconds between two looks at a module's units and wavelength."""
SETTLED: Final = 5.0
"""Seconds of service after which a lost link is a new story for the backoff."""
CONNECT_TIMEOUT: Final = 1.0
"""Seconds, at most: on a lab's network a connection takes milliseconds or does not come. An
attempt cannot be interrupted, so this also bounds how long a stop may take."""
PROBE_TIMEOUT: Final = 1.0
"""Seconds of silence, at most, that answer the question whether a module is there."""


class Owner:
    """Runs in a thread of its own between `start` and `stop`."""

    def __init__(
        self,
        open_link: Callable[[float], Link],
        emit: Callable[[Event], None],
        *,
        timeout: float,
        configured: tuple[int, ...],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`open_link(connect_timeout)` opens a link or raises LinkError; `timeout` in seconds."""
        self._open_link = open_link
        self._emit = emit
        self._timeout = timeout
        self._clock = clock
        self._wall = wall
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._wanted: dict[int, float] = {}
        self._configured = configured
        self._inventory = Inventory(configured)
        self._schedule = Schedule()
        self._configurations: dict[int, tuple[Profile, Configuration, float]] = {}
        self._identity: str | None = None
        self._link: Link | None = None
        self._prober = Prober(open_link, min(timeout, PROBE_TIMEOUT), self._wake)
        self._thread = threading.Thread(target=self._run, name="instrument", daemon=True)

    # From any thread

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def want(self, periods: Mapping[int, float]) -> None:
        """Read these modules, each once in so many seconds."""
        with self._changed:
            self._wanted = dict(periods)
            self._changed.notify()

    def stop(self, timeout: float) -> bool:
        """End within `timeout` seconds, also out of a question in progress. True if it did."""
        with self._changed:
            self._stopping.set()
            if self._link is not None:
                self._link.interrupt()
            self._changed.notify()
        self._prober.stop()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    # The thread

    def _run(self) -> None:
        try:
            self._own()
        except BaseException as error:  # noqa: BLE001  a dead thread must not go unnoticed
            self._emit(Crashed(error))

    def _own(self) -> None:
        backoff = Backoff(random.Random())
        while not self._stopping.is_set():
            served_since: float | None = None
            try:
                instrument = self._connect()
                served_since = self._clock()
                self._serve(instrument)
                continue
            except LinkError as error:
                lost = Lost(error.kind, str(error))
            except DialectError as error:
                lost = Lost("dialect", f"it does not answer like a CTP10: {error}")
            finally:
                self._disconnect()
            if self._stopping.is_set():
                return
            self._emit(lost)
            if served_since is not None and self._clock() - served_since >= SETTLED:
                backoff.reset()
            self._pause(backoff.next())

    def _connect(self) -> Instrument:
        link = self._open_link(min(self._timeout, CONNECT_TIMEOUT))
        with self._changed:
            self._link = link
            if self._stopping.is_set():
                raise LinkError("closed", "the daemon is stopping")
        instrument = Instrument(link, self._timeout)
        identity = instrument.identity()
        if identity != self._identity:
            self._inventory.new_instrument()
            self._identity = identity
        self._configurations.clear()
        self._emit(Connected(identity))
        return instrument

    def _disconnect(self) -> None:
        with self._changed:
            link, self._link = self._link, None
        if link is not None:
            link.close()

    def _serve(self, instrument: Instrument) -> None:
        """Read what is due, until the daemon stops or a probe needs the link for itself.

        Raises:
            LinkError: the link is lost.
        """
        self._schedule = Schedule()
        while not self._stopping.is_set():
            if (module := self._look_for_modules()) is not None:
                self._disconnect()
                self._probed(module, self._prober.run(module))
                return
            slot = self._wait_for_due()
            if slot is None:
                continue
            module, due = slot
            now = self._clock()
            missed = self._schedule.taken(module, now)
            profile = self._inventory.profile(module)
            assert profile is not None
            try:
                snapshot = self._read(instrument, module, profile)
            except LinkError as error:
                if not self._stopping.is_set():
                    self._inventory.lost_link(module)
                    self._emit(self._failed(module, profile, str(error)))
                raise
            self._emit(replace(snapshot, lateness=max(0.0, now - due), missed=missed))

    def _wait_for_due(self) -> tuple[int, float] | None:
        """The module that is due and since when; None after a wait that something else ended."""
        with self._changed:
            now = self._clock()
            readable = {
                module: period
                for module, period in self._wanted.items()
                if self._inventory.profile(module) is not None
            }
            self._schedule.update(readable, now)
            due = self._schedule.next_due()
            if due is not None and due[1] <= now:
                return due
            if not self._stopping.is_set() and not self._prober.done:
                # A second at most: a module that was absent may have to be looked for again.
                self._changed.wait(min(1.0, due[1] - now) if due else 1.0)
        return None

    def _read(self, instrument: Instrument, module: int, profile: Profile) -> Snapshot:
        started = self._clock()
        try:
            configuration = self._configuration(instrument, module, profile)
            started = self._clock()
            answers = instrument.powers(module, profile)
        except DialectError as error:
            self._inventory.misread(module, self._clock())
            return self._failed(module, profile, str(error))
        timestamp, duration = self._wall(), self._clock() - started
        self._inventory.read(module)
        unit = configuration.units[0]
        powers: dict[int, float | None] = {}
        errors = []
        for channel, answer, own_unit in zip(
            profile.channels, answers, configuration.units, strict=True
        ):
            if isinstance(answer, DialectError):
                powers[channel] = None
                errors.append(f"detector {channel}: {answer}")
            else:
                powers[channel] = convert(answer, own_unit, unit)
                if powers[channel] is None:
                    no_power = f"{answer:g} {own_unit} is no power in {unit}"
                    errors.append(f"detector {channel}: {no_power}")
        return Snapshot(
            timestamp=timestamp,
            module=module,
            wavelength_nm=configuration.wavelength_nm,
            unit=unit,
            powers=powers,
            duration=duration,
            error="; ".join(errors) or None,
        )

    def _failed(self, module: int, profile: Profile, error: str) -> Snapshot:
        known = self._configurations.get(module)
        nothing: dict[int, float | None] = dict.fromkeys(profile.channels)
        return Snapshot(
            timestamp=self._wall(),
            module=module,
            wavelength_nm=known[1].wavelength_nm if known else None,
            unit=known[1].units[0] if known else "dBm",
            powers=nothing,
            duration=None,
            error=error,
        )

    def _configuration(
        self, instrument: Instrument, module: int, profile: Profile
    ) -> Configuration:
        known = self._configurations.get(module)
        now = self._clock()
        if known is not None and known[0] == profile and now - known[2] < REFRESH:
            return known[1]
        fresh = instrument.configuration(module, profile)
        self._configurations[module] = (profile, fresh, now)
        return fresh

    def _pause(self, seconds: float) -> None:
        deadline = self._clock() + seconds
        with self._changed:
            while not self._stopping.is_set() and (left := deadline - self._clock()) > 0:
                self._changed.wait(left)

    # Modules that somebody wants and nobody knows

    def _look_for_modules(self) -> int | None:
        """Let the prober look, beside the poll. A module if it needs the poll's link for that."""
        if self._prober.busy:
            return None
        if (outcome := self._prober.take()) is not None:
            module, result = outcome
            if result is None:
                return module
            self._probed(module, result)
        if (next_one := self._inventory.to_probe(self._wanted, self._clock())) is not None:
            self._prober.begin(next_one)
        return None

    def _probed(self, module: int, result: Profile | Absent | None) -> None:
        match result:
            case Profile():
                self._inventory.found(module, result, self._clock())
            case Absent(reason, definite):
                self._inventory.absent(module, definite, self._clock())
                self._emit(ModuleAbsent(module, reason))
            case None:
                self._inventory.absent(module, False, self._clock())
                self._emit(ModuleAbsent(module, f"module {module} could not be looked for"))
