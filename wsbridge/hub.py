"""Who gets what and when: streams, buckets, freshness. Pure: told the time, handed its clients.

Clients that want the same module at the same interval form a bucket, and a message is framed once
for all of them. A reading passes a bucket when it is due on the bucket's grid: readings are thinned
out as they arrive, never delayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from ctp10 import wire
from wsbridge.frames import text_frame

MOST_A_TICK: Final = 3
"""Readings of one bucket that one tick may deliver: what scheduling noise delayed comes together;
of a longer backlog only the newest ones are worth having."""
STALE_AFTER: Final = 1.0
"""Seconds, at least, and three periods of the source."""
DEFAULT_PERIOD: Final = 0.1
JITTER: Final = 0.05
"""Seconds by which scheduling delays a reading now and then."""


class Client(Protocol):
    """A connection, as the hub sees it."""

    def offer(self, frames: bytes, count: int) -> None:
        """Take `count` readings now; what does not fit may be replaced by later ones."""

    def tell(self, frame: bytes) -> None:
        """Take an event, after what was offered before it."""


@dataclass(slots=True, eq=False)
class Bucket:
    """Clients that want the same readings."""

    interval: float
    due: float
    clients: dict[Client, None] = field(default_factory=dict)
    frames: list[bytes] = field(default_factory=list)
    """What this tick delivers."""

    def admit(self, frame: bytes, now: float, slack: float) -> None:
        """Take the reading that arrived at `now` if one is due."""
        if now < self.due - slack:
            return
        # A reading that is a little late does not move the grid; a gap is not made up for.
        self.due = max(self.due, now - min(self.interval, JITTER)) + self.interval
        self.frames.append(frame)
        if len(self.frames) > MOST_A_TICK:
            del self.frames[0]

    def flush(self) -> int:
        """Deliver; returns how many messages that was."""
        if not self.frames:
            return 0
        count = len(self.frames)
        data = self.frames[0] if count == 1 else b"".join(self.frames)
        self.frames.clear()
        for client in self.clients:
            client.offer(data, count)
        return count * len(self.clients)


@dataclass(slots=True, eq=False)
class Stream:
    """One module: its newest reading, and who wants it."""

    module: int
    frame: bytes | None = None
    """The newest reading, framed."""
    arrived: float = 0.0
    absent: bytes | None = None
    """The daemon's word that the module is not there, framed."""
    period: float = DEFAULT_PERIOD
    wanted_since: float = 0.0
    errors: int = 0
    """Told since the last reading."""
    buckets: dict[float, Bucket] = field(default_factory=dict)

    def fresh(self, now: float) -> bool:
        """The newest reading may be shown as live."""
        return self.frame is not None and now - self.arrived <= self.patience

    @property
    def patience(self) -> float:
        """Seconds without a reading after which the newest one is stale."""
        return max(STALE_AFTER, 3 * self.period)


@dataclass(frozen=True, slots=True)
class Want:
    """Subscriptions that the clients of one module amount to."""

    module: int
    hz: float


class Hub:
    """All streams of one bridge. Times are monotonic seconds; `wall` gives Unix seconds."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._streams: dict[int, Stream] = {}
        self._dirty: set[Stream] = set()
        self.trouble: str | None = "acquisitiond has not been heard of yet"
        """Why no readings can come for any module; None when they can."""
        self.delivered = 0

    # Clients

    def join(self, client: Client, module: int, interval: float, now: float) -> None:
        """Start a client's stream: the newest reading at once, or what is wrong."""
        stream = self._streams.setdefault(module, Stream(module))
        if not stream.buckets:
            stream.wanted_since = now
        live = self.trouble is None and stream.fresh(now)
        first_due = stream.arrived + interval if live else now
        bucket = stream.buckets.setdefault(interval, Bucket(interval, first_due))
        bucket.clients[client] = None
        if live and stream.frame is not None:
            client.offer(stream.frame, 1)
            self.delivered += 1
        elif stream.absent is not None and self.trouble is None:
            client.tell(stream.absent)
        else:
            client.tell(self._error(stream, self.trouble or f"no reading of module {module} yet"))

    def leave(self, client: Client, module: int, interval: float) -> None:
        """End a client's stream; nothing if it has none."""
        stream = self._streams.get(module)
        bucket = stream.buckets.get(interval) if stream else None
        if stream is None or bucket is None:
            return
        bucket.clients.pop(client, None)
        if not bucket.clients:
            del stream.buckets[interval]

    def wants(self) -> set[Want]:
        """What to ask acquisitiond for, on behalf of all clients."""
        return {
            Want(stream.module, 1 / min(stream.buckets))
            for stream in self._streams.values()
            if stream.buckets
        }

    # Readings

    def reading(self, module: int, payload: bytes, now: float) -> None:
        """Take a reading that arrived at `now`; `flush` delivers it."""
        stream = self._streams.setdefault(module, Stream(module))
        frame = text_frame(payload)
        stream.frame, stream.arrived = frame, now
        stream.absent, stream.errors = None, 0
        slack = stream.period / 2
        for bucket in stream.buckets.values():
            bucket.admit(frame, now, slack)
        self._dirty.add(stream)

    def old_reading(self, module: int, payload: bytes, arrived: float) -> None:
        """Take the newest reading there was before anybody listened; clients to come get it."""
        stream = self._streams.setdefault(module, Stream(module))
        if stream.frame is None or arrived > stream.arrived:
            stream.frame, stream.arrived = text_frame(payload), arrived

    def flush(self) -> None:
        """Deliver what became due, each client's share in one piece."""
        for stream in self._dirty:
            for bucket in stream.buckets.values():
                self.delivered += bucket.flush()
        self._dirty.clear()

    def module_error(self, module: int, payload: bytes) -> None:
        """The daemon's word that a module cannot be read, for its clients."""
        stream = self._streams.setdefault(module, Stream(module))
        stream.absent = text_frame(payload)
        stream.errors += 1
        self._tell(stream, stream.absent)

    # What the bridge itself knows

    def periods(self, periods: dict[int, float]) -> None:
        """Seconds between the readings of each module, as the daemon says."""
        for module, period in periods.items():
            if module in self._streams:
                self._streams[module].period = period

    def set_trouble(self, trouble: str | None) -> None:
        """Nothing can come for any module, and why; or None again. Clients are told at a change."""
        if trouble == self.trouble:
            return
        self.trouble = trouble
        if trouble is None:
            return
        for stream in self._streams.values():
            if stream.buckets:
                self._tell(stream, self._error(stream, trouble))

    def check(self, now: float) -> None:
        """Tell clients whose readings stopped without a word from the daemon."""
        if self.trouble is not None:
            return
        for stream in self._streams.values():
            silent = now - max(stream.arrived, stream.wanted_since)
            if stream.buckets and not stream.errors and silent > stream.patience:
                text = f"no fresh reading of module {stream.module} for {silent:.1f} s"
                self._tell(stream, self._error(stream, text))

    def age(self, module: int, now: float) -> float | None:
        """Seconds since the newest reading of a module arrived; None if there was none."""
        stream = self._streams.get(module)
        return None if stream is None or stream.frame is None else now - stream.arrived

    def fresh(self, module: int, now: float) -> bool:
        """A client of this module would get a live reading."""
        stream = self._streams.get(module)
        return self.trouble is None and stream is not None and stream.fresh(now)

    def _tell(self, stream: Stream, frame: bytes) -> None:
        for bucket in stream.buckets.values():
            for client in bucket.clients:
                client.tell(frame)

    def _error(self, stream: Stream, message: str) -> bytes:
        stream.errors += 1
        error = wire.Error(
            message=message,
            timestamp=wire.iso_timestamp(self._wall()),
            recoverable=True,
            error_count=stream.errors,
            module=stream.module,
        )
        return text_frame(wire.encode(error))
