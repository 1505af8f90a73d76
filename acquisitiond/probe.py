"""Finding out whether a module is there and how it is read, on a link of its own.

It is not recorded how a CTP10 answers for an absent module, so silence has to be expected; on the
poll's link that would cost everybody a time-out and a new connection.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from acquisitiond import dialect
from acquisitiond.dialect import DialectError
from acquisitiond.instrument import ALL_CHANNELS, USUAL_CHANNELS, Instrument, Link, Profile
from acquisitiond.visa import LinkError


@dataclass(frozen=True, slots=True)
class Absent:
    """No detector of the module answers; `reason` is one sentence.

    `definite` when the instrument answered what else it was asked: it was not mere silence.
    """

    reason: str
    definite: bool


class Prober:
    """Looks for one module at a time: beside the poll (`begin`, `take`) or in its place (`run`)."""

    def __init__(
        self, open_link: Callable[[float], Link], timeout: float, wake: Callable[[], None]
    ) -> None:
        """`wake` is called, in the probe's thread, when a result can be taken."""
        self._open_link = open_link
        self._timeout = timeout
        self._wake = wake
        self._lock = threading.Lock()
        self._stopping = False
        self._link: Link | None = None
        self._thread: threading.Thread | None = None
        self._outcome: tuple[int, Profile | Absent | None] | None = None

    @property
    def busy(self) -> bool:
        """A module is being looked for."""
        return self._thread is not None and self._outcome is None

    @property
    def done(self) -> bool:
        """`take` has something to give."""
        return self._outcome is not None

    def begin(self, number: int) -> None:
        """Start looking for a module, in a thread of its own."""
        self._thread = threading.Thread(
            target=self._look, args=(number,), name=f"probe-{number}", daemon=True
        )
        self._thread.start()

    def take(self) -> tuple[int, Profile | Absent | None] | None:
        """Module and result of what `begin` started, once; no result: no second session was had."""
        outcome, self._outcome = self._outcome, None
        if outcome is not None and self._thread is not None:
            self._thread.join()
            self._thread = None
        return outcome

    def stop(self) -> None:
        """From another thread: end whatever is in progress, and wait for it."""
        with self._lock:
            self._stopping = True
            if self._link is not None:
                self._link.interrupt()
        if (thread := self._thread) is not None:
            thread.join(self._timeout)

    def run(self, number: int) -> Profile | Absent | None:
        """Look for a module here and now; None if the instrument does not even identify itself."""
        try:
            return self._module(number)
        except LinkError:
            return None
        finally:
            self._drop()

    def _look(self, number: int) -> None:
        outcome = self.run(number)
        self._outcome = number, outcome
        self._wake()

    def _module(self, number: int) -> Profile | Absent | None:
        # The identity asked last in a compound message proves that the instrument got through it,
        # so a question without an answer before it is a detector that is not there: no time-out.
        if self._ask(dialect.IDENTITY) is None:
            return None
        count = self._count(number, ALL_CHANNELS)
        if count is None:
            channels = self._one_by_one(number)
            if not channels:
                return self._absent(number, False)
            # Asked once more: it may have been an answer that was lost, not compound messages.
            return Profile(channels, compound=self._count(number, channels) == len(channels))
        if count in (0, len(ALL_CHANNELS)):
            return Profile(ALL_CHANNELS) if count else self._absent(number, True)
        channels = tuple(c for c in ALL_CHANNELS if self._answers(number, c))
        if len(channels) != count:
            return self._absent(number, False)  # answers were lost: what is there is not known
        return Profile(channels)

    def _answers(self, number: int, channel: int) -> bool:
        """The detector is there; asked again where the whole answer was lost."""
        count = self._count(number, (channel,))
        return bool(self._count(number, (channel,)) if count is None else count)

    def _count(self, number: int, channels: tuple[int, ...]) -> int | None:
        """How many of the detectors answer; None when compound messages are not understood."""
        units = [*dialect.power_units(number, channels), dialect.IDENTITY]
        fields = self._ask(dialect.compound(units))
        if fields is None:
            return None
        *powers, identity = fields.split(";")
        return len(powers) if identity.count(",") == 3 and len(powers) <= len(channels) else None

    def _one_by_one(self, number: int) -> tuple[int, ...]:
        present = set()
        for channel in (*USUAL_CHANNELS, *USUAL_CHANNELS):
            if channel in present:
                continue
            (unit,) = dialect.power_units(number, (channel,))
            if self._ask(unit) is not None:
                present.add(channel)
            elif channel >= 2 and not present:
                break  # silent detectors alone: the others would only cost more time-outs
        return tuple(sorted(present))

    def _absent(self, number: int, definite: bool) -> Absent:
        return Absent(f"module {number} is not in the instrument{self._last_error()}", definite)

    def _ask(self, message: str) -> str | None:
        """The answer, or None for silence and for an answer of another shape than one line."""
        try:
            return self._instrument().link.query(message, self._timeout)
        except LinkError as error:
            self._drop()
            if error.kind in {"timeout", "desynchronised"}:
                return None
            raise

    def _last_error(self) -> str:
        """What the instrument put into its error queue for it; empties the queue of our entries."""
        text = ""
        with contextlib.suppress(LinkError, DialectError):
            instrument = self._instrument()
            for _ in range(2 * len(ALL_CHANNELS)):
                code, message = instrument.next_error()
                if code == 0:
                    break
                text = f" (it says {code}, {message})"
        return text

    def _instrument(self) -> Instrument:
        if self._link is None:
            link = self._open_link(self._timeout)
            with self._lock:
                self._link = link
                if self._stopping:
                    link.interrupt()
        return Instrument(self._link, self._timeout)

    def _drop(self) -> None:
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()
