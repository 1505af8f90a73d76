"""The thread that owns the instrument, against every instrument that one may own."""

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from acquisitiond import owner as owner_module
from acquisitiond.backoff import FIRST, Backoff
from acquisitiond.events import Connected, Crashed, Event, Lost, ModuleAbsent, Snapshot
from acquisitiond.modules import ABSENT_FOR, SILENT_FOR
from acquisitiond.owner import REFRESH, SETTLED, Owner
from acquisitiond.visa import LinkError
from tests.support.fake_instrument import (
    DEADLINE,
    IDENTITY,
    FakeInstrument,
    FakeLink,
    FakeModule,
)

E = TypeVar("E", bound=Event)
PERIOD = 0.002
WALL = 1_764_000_000.0


class Clock:
    """The real one, which a test may put forward."""

    def __init__(self) -> None:
        self._offset = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds


class Impatient(Backoff):
    """Remembers the delays that would have been, and waits `wait` seconds instead."""

    delays: list[float]
    wait: float

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)

    def next(self) -> float:
        self.delays.append(super().next())
        return self.wait


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> type[Impatient]:
    """No test waits for its next attempt to connect, unless it sets `wait`."""
    monkeypatch.setattr(Impatient, "delays", [], raising=False)
    monkeypatch.setattr(Impatient, "wait", 0.0, raising=False)
    monkeypatch.setattr(owner_module, "Backoff", Impatient)
    return Impatient


class Bench:
    """An owner, its instrument, and what it says happened."""

    def __init__(
        self,
        instrument: FakeInstrument,
        configured: tuple[int, ...] = (4,),
        open_link: Callable[[float], FakeLink] | None = None,
    ) -> None:
        self.instrument = instrument
        self.clock = Clock()
        self.happened: list[Event] = []
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.owner = Owner(
            open_link or instrument.open,
            self._events.put,
            timeout=1.0,
            configured=configured,
            clock=self.clock,
            wall=lambda: WALL,
        )
        self.want(*configured)

    def want(self, *modules: int) -> None:
        """Also makes the owner look at its clock again."""
        self.owner.want(dict.fromkeys(modules, PERIOD))

    def until(self, kind: type[E], matches: Callable[[E], bool] = lambda _: True) -> E:
        """The next event of this kind that matches."""
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no such event; the last ones were {self.happened[-5:]}")
            self.happened.append(event)
            if isinstance(event, kind) and matches(event):
                return event
            if isinstance(event, Crashed):
                raise event.error

    def forget(self) -> None:
        """From now on only what happens from now on."""
        while not self._events.empty():
            self._events.get()
        self.happened.clear()

    def all_events(self) -> list[Event]:
        while not self._events.empty():
            self.happened.append(self._events.get())
        return self.happened


@contextmanager
def owning(instrument: FakeInstrument, *args: Any, **options: Any) -> Iterator[Bench]:
    bench = Bench(instrument, *args, **options)
    with running(bench):
        yield bench


@contextmanager
def running(bench: Bench) -> Iterator[None]:
    bench.owner.start()
    try:
        yield
    finally:
        assert bench.owner.stop(DEADLINE)
        assert all(link.closed for link in bench.instrument.links)
        assert all(len(link.threads) <= 1 for link in bench.instrument.links)


def good(module: int = 4) -> Callable[[Snapshot], bool]:
    return lambda snapshot: snapshot.module == module and snapshot.error is None


def bad(module: int = 4) -> Callable[[Snapshot], bool]:
    return lambda snapshot: snapshot.module == module and snapshot.error is not None


def is_reading_of(module: int, message: str) -> bool:
    return f"SENSe{module}:" in message and "POWer" in message


# --- reading -------------------------------------------------------------------------------------


def test_it_connects_and_then_reads_what_is_configured() -> None:
    with owning(FakeInstrument()) as bench:
        assert bench.until(Connected) == Connected(IDENTITY)
        snapshot = bench.until(Snapshot)
        assert snapshot.powers == {1: -17.85, 2: -21.56, 3: 6.94, 4: -60.12}
        assert (snapshot.module, snapshot.unit, snapshot.wavelength_nm) == (4, "dBm", 1310.0)
        assert snapshot.timestamp == WALL
        assert snapshot.error is None
        assert snapshot.duration is not None
        assert len(bench.happened) == 2


def test_a_reading_is_one_question() -> None:
    with owning(FakeInstrument()) as bench:
        for _ in range(10):
            bench.until(Snapshot, good())
    first, second, *others = bench.instrument.received
    assert first == "*IDN?"
    assert second.count("UNIT:Y?") == 4
    assert set(others) == {
        ":CTP:SENSe4:CHANnel1:POWer?;:CTP:SENSe4:CHANnel2:POWer?;"
        ":CTP:SENSe4:CHANnel3:POWer?;:CTP:SENSe4:CHANnel4:POWer?"
    }


def test_units_and_wavelength_are_looked_at_again_now_and_then() -> None:
    with owning(FakeInstrument()) as bench:
        bench.until(Snapshot, good())
        bench.instrument.modules[4] = FakeModule(units=["1"] * 4, wavelength="1.55E-006")
        bench.clock.advance(REFRESH)
        bench.want(4)
        snapshot = bench.until(Snapshot, lambda snapshot: snapshot.unit == "mW")
        assert snapshot.wavelength_nm == 1550.0
        assert snapshot.powers[3] == 6.94


def test_detectors_of_other_units_are_converted_to_that_of_the_first() -> None:
    module = FakeModule(powers=["0", "2", "-10", "0.5"], units=["0", "1", "0", "1"])
    with owning(FakeInstrument({4: module})) as bench:
        snapshot = bench.until(Snapshot)
        assert snapshot.unit == "dBm"
        assert snapshot.error is None
        assert list(snapshot.powers.values()) == pytest.approx([0, 3.0103, -10, -3.0103], abs=1e-4)


@pytest.mark.parametrize(
    ("units", "powers", "word"),
    [
        (["0", "1", "0", "0"], ["-5", "-0.001", "-6", "-7"], "-0.001 mW"),
        (["1", "0", "1", "1"], ["1", "4000", "2", "3"], "4000 dBm"),
    ],
)
def test_a_power_that_has_no_number_in_the_common_unit_is_an_error_of_its_detector(
    units: list[str], powers: list[str], word: str
) -> None:
    with owning(FakeInstrument({4: FakeModule(powers=powers, units=units)})) as bench:
        snapshot = bench.until(Snapshot)
        assert snapshot.powers[2] is None
        assert None not in [snapshot.powers[channel] for channel in (1, 3, 4)]
        assert snapshot.error is not None
        assert "detector 2" in snapshot.error
        assert word in snapshot.error


@pytest.mark.parametrize("text", ["OVERRANGE", "9.91E37", "-9.9E37", "", "nan"])
def test_a_detector_without_a_number_is_named_and_the_others_are_read(text: str) -> None:
    with owning(FakeInstrument({4: FakeModule(powers=["-1", text, "-3", "-4"])})) as bench:
        for _ in range(20):
            snapshot = bench.until(Snapshot)
            assert snapshot.powers == {1: -1.0, 2: None, 3: -3.0, 4: -4.0}
            assert snapshot.error is not None
            assert snapshot.error.startswith("detector 2: ")
        assert not any(isinstance(event, Lost) for event in bench.happened)


def test_a_wavelength_that_is_none_does_not_spoil_the_powers() -> None:
    with owning(FakeInstrument({4: FakeModule(wavelength="1.93E+14")})) as bench:
        snapshot = bench.until(Snapshot)
        assert snapshot.wavelength_nm is None
        assert snapshot.error is None


def test_a_unit_that_is_none_makes_powers_that_nobody_can_understand() -> None:
    with owning(FakeInstrument({4: FakeModule(units=["0", "W", "0", "0"])})) as bench:
        snapshot = bench.until(Snapshot)
        assert set(snapshot.powers.values()) == {None}
        assert snapshot.error is not None
        assert "'W'" in snapshot.error
        bench.instrument.modules[4] = FakeModule()
        bench.until(Snapshot, good())


def test_slots_that_a_slow_answer_took_are_counted_once() -> None:
    instrument = FakeInstrument()
    with owning(instrument) as bench:
        bench.until(Snapshot, good())

        def once(message: str) -> None:
            instrument.fault = lambda _: None
            bench.clock.advance(100 * PERIOD)

        instrument.fault = once
        snapshot = bench.until(Snapshot, lambda snapshot: snapshot.missed >= 99)
        assert snapshot.lateness >= 99 * PERIOD


# --- instruments and modules of another kind -----------------------------------------------------


@pytest.mark.parametrize("compound", ["none", "lines", "first"])
def test_an_instrument_that_takes_no_compound_messages_is_read_detector_by_detector(
    compound: str,
) -> None:
    instrument = FakeInstrument()
    instrument.compound = compound  # type: ignore[assignment]
    with owning(instrument) as bench:
        assert bench.until(Snapshot, good()).powers == {1: -17.85, 2: -21.56, 3: 6.94, 4: -60.12}
        bench.forget()
        for _ in range(10):
            assert bench.until(Snapshot).error is None


@pytest.mark.parametrize("detectors", [1, 2, 3, 4])
def test_a_module_with_fewer_detectors_is_read_as_far_as_it_goes(detectors: int) -> None:
    powers = ["-1", "-2", "-3", "-4"][:detectors]
    with owning(FakeInstrument({4: FakeModule(powers=powers)})) as bench:
        assert list(bench.until(Snapshot, good()).powers) == list(range(1, detectors + 1))


def test_a_module_that_nobody_configured_is_found_with_all_its_detectors() -> None:
    instrument = FakeInstrument({4: FakeModule(), 7: FakeModule(powers=["-1"] * 6)})
    with owning(instrument) as bench:
        bench.until(Snapshot, good())
        bench.want(4, 7)
        assert list(bench.until(Snapshot, good(7)).powers) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("silent", [False, True])
def test_a_module_that_is_not_there_is_told_once_and_costs_the_others_nothing(
    silent: bool,
) -> None:
    instrument = FakeInstrument()
    if silent:
        instrument.modules[7] = FakeModule(silent=True)
    with owning(instrument) as bench:
        bench.until(Snapshot, good())
        bench.want(4, 7)
        assert "module 7" in bench.until(ModuleAbsent).reason
        for _ in range(50):
            bench.until(Snapshot, good())
        bench.want(4)
        bench.want(4, 7)
        for _ in range(50):
            bench.until(Snapshot, good())
        kinds = [type(event) for event in bench.happened]
        assert kinds.count(ModuleAbsent) == 1
        assert Lost not in kinds
        assert all(event.error is None for event in bench.happened if isinstance(event, Snapshot))


def test_a_module_that_was_put_in_is_found_after_a_while() -> None:
    instrument = FakeInstrument()
    with owning(instrument) as bench:
        bench.want(4, 7)
        bench.until(ModuleAbsent)
        instrument.modules[7] = FakeModule()
        bench.clock.advance(ABSENT_FOR)
        bench.want(4, 7)
        bench.until(Snapshot, good(7))


def test_an_instrument_with_a_single_session_is_looked_at_in_place_of_the_poll() -> None:
    instrument = FakeInstrument({4: FakeModule(), 7: FakeModule(powers=["-1", "-2"])})
    instrument.sessions = 1
    with owning(instrument) as bench:
        bench.until(Snapshot, good())
        bench.want(4, 7, 8)
        bench.until(ModuleAbsent, lambda absent: absent.module == 8)
        assert list(bench.until(Snapshot, good(7)).powers) == [1, 2]
        bench.until(Snapshot, good(4))
        assert not any(isinstance(event, Lost) for event in bench.happened)


def test_a_module_that_becomes_silent_does_not_take_another_with_it() -> None:
    instrument = FakeInstrument({1: FakeModule(), 4: FakeModule()})
    with owning(instrument, (1, 4)) as bench:
        bench.until(Snapshot, good(4))
        instrument.modules[4].silent = True
        bench.until(Snapshot, bad(4))
        assert bench.until(ModuleAbsent).module == 4
        bench.forget()
        for _ in range(50):
            assert bench.until(Snapshot).module == 1
        assert not any(isinstance(event, Lost) for event in bench.happened)

        instrument.modules[4].silent = False
        bench.clock.advance(SILENT_FOR)
        bench.want(1, 4)
        bench.until(Snapshot, good(4))
        bench.until(Snapshot, good(1))


def test_another_instrument_is_looked_at_with_fresh_eyes() -> None:
    instrument = FakeInstrument()
    with owning(instrument) as bench:
        bench.want(4, 7)
        bench.until(ModuleAbsent)
        instrument.modules[7] = FakeModule()
        instrument.identity = "EXFO,CTP10,99999,1.0.0"
        instrument.fault = lambda message: (
            LinkError("closed", "gone") if is_reading_of(4, message) else None
        )
        bench.until(Lost)
        instrument.fault = lambda _: None
        assert bench.until(Connected).identity == instrument.identity
        bench.until(Snapshot, good(7))


# --- links that are lost -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["timeout", "desynchronised", "closed", "unreachable", "overrun"])
def test_after_a_lost_link_it_says_so_and_starts_anew(kind: str) -> None:
    instrument = FakeInstrument()
    with owning(instrument) as bench:
        bench.until(Snapshot, good())

        def once(message: str) -> LinkError:
            instrument.fault = lambda _: None
            return LinkError(kind, "half an answer came")  # type: ignore[arg-type]

        instrument.fault = once
        snapshot = bench.until(Snapshot, bad())
        assert snapshot.powers == dict.fromkeys((1, 2, 3, 4))
        assert snapshot.duration is None
        assert snapshot.wavelength_nm == 1310.0
        assert bench.until(Lost) == Lost(kind, "half an answer came")
        bench.until(Connected)
        assert bench.until(Snapshot).error is None
        assert len(instrument.links) == 2


def test_an_instrument_that_is_away_is_tried_again_after_ever_longer_delays(
    impatient: type[Impatient],
) -> None:
    instrument = FakeInstrument()
    instrument.sessions = 0
    with owning(instrument) as bench:
        for _ in range(6):
            assert bench.until(Lost).kind == "refused"
        instrument.sessions = 1
        bench.until(Connected)
        bench.until(Snapshot, good())
    assert impatient.delays[4] > 4 * impatient.delays[0]


def test_an_instrument_that_accepts_and_says_nothing_is_not_tried_at_full_speed(
    impatient: type[Impatient],
) -> None:
    instrument = FakeInstrument()

    def open_slowly(timeout: float) -> FakeLink:
        bench.clock.advance(SETTLED)  # it takes its time to say nothing
        return instrument.open(timeout)

    instrument.identity = None
    bench = Bench(instrument, open_link=open_slowly)
    with running(bench):
        for _ in range(6):
            assert bench.until(Lost).kind == "timeout"
    assert impatient.delays[4] > FIRST


def test_after_a_good_while_of_service_the_next_delay_is_the_shortest(
    impatient: type[Impatient],
) -> None:
    instrument = FakeInstrument()
    instrument.sessions = 0
    with owning(instrument) as bench:
        for _ in range(6):
            bench.until(Lost)
        instrument.sessions = 1
        bench.until(Snapshot, good())
        bench.clock.advance(SETTLED)
        before = len(impatient.delays)
        assert impatient.delays[-1] > FIRST
        instrument.fault = lambda _: LinkError("closed", "gone")
        bench.until(Lost, lambda lost: lost.kind == "closed")
        bench.until(Lost)
    assert impatient.delays[before] <= FIRST


def test_what_does_not_answer_like_a_ctp10_is_not_taken_for_one() -> None:
    instrument = FakeInstrument()
    instrument.identity = "220 smtp.example.org ESMTP"
    with owning(instrument) as bench:
        lost = bench.until(Lost)
        assert lost.kind == "dialect"
        assert "220 smtp" in lost.reason
        instrument.identity = IDENTITY
        bench.until(Snapshot, good())


def test_an_error_of_our_own_is_told_and_ends_the_thread() -> None:
    def broken(timeout: float) -> FakeLink:
        raise ZeroDivisionError("a bug")

    with owning(FakeInstrument(), open_link=broken) as bench:
        assert isinstance(bench.until(Crashed).error, ZeroDivisionError)


# --- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["*IDN?", "UNIT", "POWer"])
def test_a_stop_ends_a_question_in_progress_and_nobody_calls_that_a_loss(where: str) -> None:
    instrument = FakeInstrument()
    instrument.hangs = lambda message: where in message
    with owning(instrument) as bench:
        assert instrument.hanging.wait(DEADLINE)
        assert bench.owner.stop(DEADLINE)
    assert not any(isinstance(event, Lost | Snapshot) for event in bench.all_events())


def test_a_stop_ends_a_search_in_progress() -> None:
    instrument = FakeInstrument({4: FakeModule(), 7: FakeModule()})
    instrument.hangs = lambda message: "SENSe7" in message
    with owning(instrument) as bench:
        bench.want(4, 7)
        assert instrument.hanging.wait(DEADLINE)


def test_a_stop_ends_a_search_in_place_of_the_poll() -> None:
    instrument = FakeInstrument({4: FakeModule(), 7: FakeModule()})
    instrument.sessions = 1
    instrument.hangs = lambda message: "SENSe7" in message
    with owning(instrument) as bench:
        bench.want(4, 7)
        assert instrument.hanging.wait(DEADLINE)


def test_a_stop_ends_the_wait_for_the_next_attempt(impatient: type[Impatient]) -> None:
    impatient.wait = 10 * DEADLINE
    instrument = FakeInstrument()
    instrument.sessions = 0
    with owning(instrument) as bench:
        bench.until(Lost)


def test_a_stop_ends_the_wait_for_the_next_reading() -> None:
    with owning(FakeInstrument()) as bench:
        bench.owner.want({4: 10 * DEADLINE})
        bench.until(Snapshot, good())


def test_a_stop_before_anything_is_wanted_ends_it_too() -> None:
    with owning(FakeInstrument(), ()) as bench:
        bench.until(Connected)


def test_an_attempt_to_connect_cannot_be_ended_and_leads_to_nothing() -> None:
    instrument = FakeInstrument()
    opening, go_on = threading.Event(), threading.Event()

    def open_slowly(timeout: float) -> FakeLink:
        opening.set()
        assert go_on.wait(DEADLINE)
        return instrument.open(timeout)

    with owning(instrument, open_link=open_slowly) as bench:
        assert opening.wait(DEADLINE)
        assert not bench.owner.stop(0.0)
        go_on.set()
        assert bench.owner.stop(DEADLINE)
    assert bench.all_events() == []
    assert instrument.received == []
