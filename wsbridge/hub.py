"""Who gets what and when: streams, buckets, freshness. Pure: told the time, handed its clients.

A reading passes a bucket when it is due on the bucket's grid: readings are thinned out as they
arrive, never delayed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ctp10 import wire
from wsbridge.bucket import NOTHING, Bucket, Client, Flushed, Malformed, Subscription
from wsbridge.message import Message
from wsbridge.past import Past
from wsbridge.sequence import Missing, Numbered

STALE_AFTER: Final = 1.0
"""Seconds, at least, and three periods of the source."""
DEFAULT_PERIOD: Final = 0.1


@dataclass(slots=True, eq=False)
class Stream:
    """One module: its newest reading, and who wants it."""

    module: int
    past: Past = field(default_factory=Past)
    newest: Message | None = None
    arrived: float = 0.0
    absent: Message | None = None
    """The daemon's word that the module is not there."""
    period: float = DEFAULT_PERIOD
    wanted_since: float = 0.0
    errors: int = 0
    """Told since the last reading."""
    told: bool = False
    """All its clients know that nothing comes at the moment."""
    buckets: dict[Subscription, Bucket] = field(default_factory=dict)

    def fresh(self, now: float) -> bool:
        """The newest reading may be shown as live."""
        return self.newest is not None and now - self.arrived <= self.patience

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
        self._flushed = NOTHING
        self.trouble: str | None = "acquisitiond has not been heard of yet"
        """Why no readings can come for any module; None when they can."""

    # Clients

    def join(self, client: Client, subscription: Subscription, now: float) -> Bucket:
        """Start a client's stream: the newest reading at once, or what is wrong."""
        stream = self._stream(subscription.module)
        bucket, newest = self._subscribe(stream, client, subscription, now)
        if newest is not None:
            client.deliver(newest.frame(subscription.encoding), 1)
        else:
            client.tell(self._what_is_wrong(stream))
        return bucket

    def go_on(self, client: Client, subscription: Subscription, now: float) -> Bucket:
        """Go on with the stream of a client that has every reading up to now."""
        stream = self._stream(subscription.module)
        bucket, newest = self._subscribe(stream, client, subscription, now)
        if newest is None:
            client.tell(self._what_is_wrong(stream))
        return bucket

    def _what_is_wrong(self, stream: Stream) -> Message:
        if stream.absent is not None and self.trouble is None:
            return stream.absent
        text = self.trouble or f"no fresh reading of module {stream.module} yet"
        return self._error(stream, text)

    def _subscribe(
        self, stream: Stream, client: Client, subscription: Subscription, now: float
    ) -> tuple[Bucket, Message | None]:
        """Join the bucket; also gives the newest reading, if it may be shown as live."""
        newest = stream.newest if self.trouble is None and stream.fresh(now) else None
        if not stream.buckets:
            stream.wanted_since = now
            stream.told = newest is None
        bucket = stream.buckets.get(subscription)
        if bucket is None:
            due = newest.timestamp + subscription.interval if newest else 0.0
            bucket = stream.buckets[subscription] = Bucket(subscription, due)
        bucket.add(client)
        return bucket, newest

    def leave(self, client: Client, subscription: Subscription) -> None:
        """End a client's stream; nothing if it has none."""
        stream = self._streams.get(subscription.module)
        bucket = stream.buckets.get(subscription) if stream else None
        if stream is None or bucket is None:
            return
        bucket.remove(client)
        if not bucket:
            del stream.buckets[subscription]

    def wants(self) -> set[Want]:
        """What to ask acquisitiond for, on behalf of all clients."""
        return {
            Want(stream.module, 1 / min(wanted.interval for wanted in stream.buckets))
            for stream in self._streams.values()
            if stream.buckets
        }

    def past(self, module: int) -> Past:
        """What this bridge remembers of a module."""
        return self._stream(module).past

    def slack(self, module: int) -> float:
        """Seconds that a reading may be early and still be due: half a period."""
        return self._stream(module).period / 2

    # Readings

    def numbered(self, module: int, message: Numbered, now: float) -> None:
        """Take a module's next message, which arrived at `now`; `flush` delivers it.

        Raises:
            wire.WireError: it is not of the contract; nobody gets it.
        """
        stream = self._stream(module)
        epoch, seq = message.position.epoch, message.position.seq
        if not message.message.is_reading:
            stream.past.add(epoch, seq, None)
            self._module_error(stream, message.message)
            return
        try:
            timestamp = message.message.timestamp
            for bucket in stream.buckets.values():
                bucket.admit(message.message, timestamp, stream.period / 2)
        except Malformed as error:
            raise wire.WireError(f"a reading of module {module}: {error!r}") from None
        stream.past.add(epoch, seq, message.message)
        stream.newest, stream.arrived = message.message, now
        stream.absent, stream.errors, stream.told = None, 0, False
        self._dirty.add(stream)

    def old_message(self, module: int, message: Numbered, now: float) -> None:
        """Take the newest message there was before anybody listened."""
        stream = self._stream(module)
        try:
            age = max(0.0, self._wall() - message.message.timestamp)
        except Malformed:
            age = 0.0
        if age <= stream.patience:
            with contextlib.suppress(wire.WireError):  # the next reading will do
                self.numbered(module, message, now - age)
        else:
            stream.past.restart(message.position.epoch, message.position.seq)
            stream.newest, stream.arrived = message.message, now - age

    def missing(self, module: int, missing: Missing) -> None:
        """Readings will not come: clients are told, in their turn."""
        stream = self._stream(module)
        if missing.to_seq is not None and missing.epoch == stream.past.epoch:
            stream.past.add(missing.epoch, missing.to_seq, None)
        self._tell(stream, gap(module, missing))

    def flush(self) -> Flushed:
        """Deliver what became due, each client's share in one piece."""
        for stream in self._dirty:
            self._flush(stream)
        self._dirty.clear()
        flushed, self._flushed = self._flushed, NOTHING
        return flushed

    def _flush(self, stream: Stream) -> None:
        for bucket in stream.buckets.values():
            self._flushed += bucket.flush()

    def _module_error(self, stream: Stream, error: Message) -> None:
        """The daemon's word that a module cannot be read, for its clients."""
        stream.absent = error
        stream.errors += 1
        self._tell(stream, error)

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
            if stream.buckets and not stream.told and silent > stream.patience:
                text = f"no fresh reading of module {stream.module} for {silent:.1f} s"
                self._tell(stream, self._error(stream, text))

    def age(self, module: int, now: float) -> float | None:
        """Seconds since the newest reading of a module arrived; None if there was none."""
        stream = self._streams.get(module)
        return None if stream is None or stream.newest is None else now - stream.arrived

    def fresh(self, module: int, now: float) -> bool:
        """A client of this module would get a live reading."""
        stream = self._streams.get(module)
        return self.trouble is None and stream is not None and stream.fresh(now)

    def _stream(self, module: int) -> Stream:
        stream = self._streams.get(module)
        if stream is None:
            stream = self._streams[module] = Stream(module)
        return stream

    def _tell(self, stream: Stream, message: Message) -> None:
        stream.told = True
        for bucket in stream.buckets.values():
            for client in bucket:
                client.tell(message)

    def _error(self, stream: Stream, message: str) -> Message:
        stream.errors += 1
        return Message.of(
            wire.Error(
                message=message,
                timestamp=wire.iso_timestamp(self._wall()),
                recoverable=True,
                error_count=stream.errors,
                module=stream.module,
            )
        )


def gap(module: int, missing: Missing) -> Message:
    """What a client is told of readings that will not come."""
    return Message.of(
        wire.Gap(
            module=module,
            epoch=missing.epoch,
            from_seq=missing.from_seq,
            to_seq=missing.to_seq,
            reason=missing.reason,
        )
    )
