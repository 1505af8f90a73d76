"""`ctp10.subscribe`: readings as they are taken, in order, every loss repaired or named.

A subscription owns a thread (see receiver) and ends it: at `close`, at the end of a ``with``, when
the last reference to it goes, when the interpreter ends. Nothing is shared between subscriptions.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import socket
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from types import TracebackType
from typing import Final, Generic, Literal, Self, TypeVar, overload

from ctp10 import wire
from ctp10.errors import GapError, GapWarning, InstrumentError, describe
from ctp10.inbox import Inbox
from ctp10.receiver import Receiver, start
from ctp10.sequence import Item, Position, Sequencer

ENDPOINT: Final = "tcp://127.0.0.1:5556"
"""Where acquisitiond publishes, unless it was told otherwise."""
CONTROL: Final = "tcp://127.0.0.1:5557"
"""Where acquisitiond answers."""
BUFFER: Final = 100_000
"""Readings that may wait for their consumer: over two hours at 10 a second, some 50 MB."""
GAPS_KEPT: Final = 1000
"""Gaps that `Subscription.gaps` remembers."""
SILENCE: Final = 2.5
"""Seconds without a heartbeat after which acquisitiond counts as unreachable."""
JOIN: Final = 5.0
"""Seconds, at most, that `close` waits for the thread; it takes milliseconds."""

Gaps = Literal["repair", "raise", "report"]
State = wire.State | Literal["unreachable"]
Yielded = TypeVar("Yielded", bound=wire.Reading | wire.Gap)

_running: dict[threading.Thread, socket.socket] = {}


@overload
def subscribe(
    module: int = ...,
    *,
    rate: float | None = ...,
    endpoint: str = ...,
    control: str = ...,
    gaps: Literal["repair", "raise"] = ...,
    since: wire.Reading | tuple[str, int] | None = ...,
    timeout: float | None = ...,
    buffer: int = ...,
) -> Subscription[wire.Reading]: ...
@overload
def subscribe(
    module: int = ...,
    *,
    rate: float | None = ...,
    endpoint: str = ...,
    control: str = ...,
    gaps: Literal["report"],
    since: wire.Reading | tuple[str, int] | None = ...,
    timeout: float | None = ...,
    buffer: int = ...,
) -> Subscription[wire.Reading | wire.Gap]: ...
def subscribe(
    module: int = 4,
    *,
    rate: float | None = None,
    endpoint: str = ENDPOINT,
    control: str = CONTROL,
    gaps: Gaps = "repair",
    since: wire.Reading | tuple[str, int] | None = None,
    timeout: float | None = None,
    buffer: int = BUFFER,
) -> Subscription[wire.Reading] | Subscription[wire.Reading | wire.Gap]:
    """Readings of one module, for ``with`` and ``for`` (or ``async with`` and ``async for``).

    The first one is the next that is taken. While acquisitiond or the instrument is away,
    iterating waits, and goes on by itself.

    Args:
        module: slot in the mainframe, 1 to 20.
        rate: readings a second that you would like (Hz). The most demanding subscriber wins, up to
            ``acquisitiond --max-rate``; you never get fewer because others ask for fewer.
        endpoint: where acquisitiond publishes.
        control: where acquisitiond answers; missed readings are fetched from there.
        gaps: what to do about readings that cannot be had any more. "repair": go on, with a
            `GapWarning`. "raise": raise `GapError`; iterating may go on after it. "report": a
            `Gap` takes their place among the readings. In each case missed readings are fetched if
            acquisitiond still has them, and ``readings.gaps`` lists the others.
        since: a reading, or its ``(epoch, seq)``: begin with the one that followed it.
        timeout: seconds without a reading after which iterating raises TimeoutError.
        buffer: readings that may wait for you; beyond, the oldest become a `Gap`.

    Raises:
        ValueError: an argument that is not allowed.
    """
    _check(module, rate, gaps, timeout, buffer)
    match since:
        case None:
            position = None
        case wire.Reading(epoch=epoch, seq=seq) | (str(epoch), int(seq)):
            position = Position(epoch, seq)
        case _:
            raise ValueError(f"since={since!r} is not allowed: expected a reading or (epoch, seq)")
    return Subscription(module, rate, endpoint, control, gaps, position, timeout, buffer)


class Subscription(Generic[Yielded]):
    """What `subscribe` returns: an iterator of readings, and a context manager.

    May be used by several threads; each reading goes to one of them.
    """

    def __init__(
        self,
        module: int,
        rate: float | None,
        endpoint: str,
        control: str,
        gaps: Gaps,
        since: Position | None,
        timeout: float | None,
        buffer: int,
    ) -> None:
        self.module = module
        """Slot in the mainframe."""
        self._endpoint = endpoint
        self._policy = gaps
        self._timeout = timeout
        self._gaps: deque[wire.Gap] = deque(maxlen=GAPS_KEPT)
        self._inbox = Inbox(buffer)
        waker, stop = socket.socketpair()
        try:
            receiver = Receiver(
                module=module,
                rate=rate,
                endpoint=endpoint,
                control=control,
                sequencer=Sequencer(module, since),
                inbox=self._inbox,
                stop=stop,
            )
        except BaseException:
            waker.close()
            stop.close()
            raise
        self._thread = start(receiver, f"ctp10 module {module}")
        _running[self._thread] = waker
        self._finalizer = weakref.finalize(self, _release, self._thread, waker, os.getpid())
        self._finalizer.atexit = False  # _release_all does it, and waits for the threads

    @property
    def state(self) -> State:
        """Of the instrument, as acquisitiond says; or "unreachable" if that is not heard of."""
        heard_at = self._inbox.heard_at
        if heard_at is None or time.monotonic() - heard_at > SILENCE:
            return "unreachable"
        return self._inbox.state

    @property
    def status(self) -> wire.Status | None:
        """What acquisitiond said last about the instrument: identity, address, error."""
        return self._inbox.status

    @property
    def gaps(self) -> list[wire.Gap]:
        """Readings that are missing among those you took, oldest first; the last 1,000 gaps."""
        return list(self._gaps)

    @property
    def closed(self) -> bool:
        """Nothing comes any more."""
        return self._inbox.ended

    def close(self) -> None:
        """End it; whoever iterates sees the end. What was not taken is gone."""
        self._finalizer()
        self._thread.join(JOIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Yielded:
        while True:
            item = self._inbox.take(self._timeout)
            if item is None:
                self._raise_if_failed()
                if self.closed or self._timeout is None:
                    raise StopIteration
                raise self.silence(self._timeout)
            if (yielded := self._judge(item)) is not None:
                return yielded

    def poll(self, seconds: float) -> Yielded | None:
        """The next one, None if there is none within `seconds` or after the end."""
        deadline = time.monotonic() + seconds
        while (item := self._inbox.take(max(0.0, deadline - time.monotonic()))) is not None:
            if (yielded := self._judge(item)) is not None:
                return yielded
        self._raise_if_failed()
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Yielded:
        import asyncio  # noqa: PLC0415  half of the time that importing ctp10 would take

        loop = asyncio.get_running_loop()
        while True:
            arrived = asyncio.Event()

            def wake(arrived: asyncio.Event = arrived) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
                    loop.call_soon_threadsafe(arrived.set)

            item = self._inbox.take_or_call(wake)
            if item is not None:
                if (yielded := self._judge(item)) is not None:
                    return yielded
                continue
            if self.closed:
                self._raise_if_failed()
                raise StopAsyncIteration
            try:
                await asyncio.wait_for(arrived.wait(), self._timeout)
            except TimeoutError:
                assert self._timeout is not None
                raise self.silence(self._timeout) from None

    def _judge(self, item: Item) -> Yielded | None:
        """What to give to the caller; None if it is nothing."""
        if isinstance(item, wire.Reading):
            return item  # type: ignore[return-value]  # Yielded is Reading, or Reading | Gap
        if isinstance(item, wire.Error):
            raise InstrumentError(item.message)
        self._gaps.append(item)
        if self._policy == "report":
            return item  # type: ignore[return-value]
        if self._policy == "raise":
            raise GapError(item)
        warnings.warn(describe(item), GapWarning, stacklevel=3)
        return None

    def _raise_if_failed(self) -> None:
        if self._inbox.failure is not None:
            raise RuntimeError("the receiving thread failed") from self._inbox.failure

    def why(self) -> str:
        """Should there be no readings now: the reason, for a person."""
        state, status = self.state, self.status
        if state == "unreachable":
            return f"acquisitiond is not heard at {self._endpoint}"
        if state != "connected":
            error = status.error if status is not None else None
            return f"the instrument is not connected ({error or state})"
        return "acquisitiond is there and the instrument connected, but no reading was published"

    def silence(self, seconds: float) -> TimeoutError:
        """What to raise after so long without a reading."""
        return TimeoutError(
            f"no reading of module {self.module} within {seconds:g} s: {self.why()}"
        )


def _check(module: object, rate: object, gaps: object, timeout: object, buffer: object) -> None:
    def refuse(name: str, value: object, allowed: str) -> ValueError:
        return ValueError(f"{name}={value!r} is not allowed: expected {allowed}")

    if not isinstance(module, int) or isinstance(module, bool) or module not in wire.MODULES:
        raise refuse("module", module, "a whole number from 1 to 20")
    if rate is not None and not _positive(rate):
        raise refuse("rate", rate, "readings a second, above 0")
    if gaps not in ("repair", "raise", "report"):
        raise refuse("gaps", gaps, '"repair", "raise" or "report"')
    if timeout is not None and not _positive(timeout):
        raise refuse("timeout", timeout, "seconds, above 0")
    if not isinstance(buffer, int) or buffer < 1:
        raise refuse("buffer", buffer, "a whole number above 0")


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _release(thread: threading.Thread, waker: socket.socket, owner: int) -> None:
    """Let the thread end. Takes no lock and waits for nothing: the collector may call it."""
    _running.pop(thread, None)
    if os.getpid() == owner:  # a fork shares the pair, and must not end its parent's thread
        with contextlib.suppress(OSError):
            waker.shutdown(socket.SHUT_RDWR)
    waker.close()


@atexit.register
def _release_all() -> None:
    running = list(_running.items())
    for thread, waker in running:
        _release(thread, waker, os.getpid())
    for thread, _ in running:
        thread.join(JOIN)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_running.clear)
