"""Clients that want the same readings: thinned out on a grid, framed once, written to each. Pure.

The hot path of the bridge: `flush` runs once for each tick and bucket, its loop once a client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import orjson

from wsbridge.message import Encoding, Message
from wsbridge.summary import Window

Mode = Literal["latest", "mean", "envelope"]
JITTER: Final = 0.05
"""Seconds by which scheduling delays a reading now and then, without moving the grid."""
MOST_A_TICK: Final = 8
"""Readings that one tick may deliver joined in one write: what scheduling noise delayed comes
together; of a longer backlog only the newest ones are worth having."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client of a module's readings wants; `interval` in seconds."""

    module: int
    interval: float
    mode: Mode
    encoding: Encoding


class Client(Protocol):
    """A connection, as the hub sees it."""

    push: Callable[[bytes], int]
    """Hand bytes over; returns how many were taken, as a socket's send() does and with its
    exceptions. Only while the client is not `paused`, and it must not become so by it."""
    write: Callable[[bytes], None]
    """The same through a buffer that takes all, and may pause the client."""
    paused: bool
    """It has not taken yet what it was handed."""
    encoding: Encoding

    def hold(self, frames: bytes, count: int) -> None:
        """Keep `count` readings until there is room, in place of any that are kept."""

    def deliver(self, frames: bytes, count: int) -> None:
        """Write or hold `count` readings, outside the common flush."""

    def tell(self, message: Message) -> None:
        """Take an event, after what was written before it."""


class Bucket:
    """One subscription and all who have it. Times are Unix seconds as readings carry them."""

    def __init__(self, subscription: Subscription, due: float) -> None:
        self.subscription = subscription
        self._ready: dict[Callable[[bytes], int], Client] = {}
        """By `push`: the hot loop touches nothing else of a client, which at a thousand clients is
        not in the processor's cache."""
        self._stalled: dict[Client, None] = {}
        self.offered = 0
        """Readings due to each client so far: a client's own share is what came since it joined."""
        self.conflated = 0
        """Of these, replaced by newer ones of the same tick before anybody got them."""
        self._due = due
        self._frames: list[bytes] = []
        mode = subscription.mode
        self._window = None if mode == "latest" else Window(mode)

    def admit(self, reading: Message, timestamp: float, slack: float) -> None:
        """Take a reading if one is due. `slack` is how early it may be: half a period."""
        interval = self.subscription.interval
        if self._window is not None:
            self._window.add(reading.document)
        if timestamp < self._due - slack:
            if timestamp >= self._due - interval - slack:
                return
            self._due = timestamp  # the source's clock was set back
        # A reading that is a little late does not move the grid; a gap is not made up for.
        self._due = max(self._due, timestamp - min(interval, JITTER)) + interval
        if self._window is not None:
            reading = Message.of(self._window.take())
        self._frames.append(reading.frame(self.subscription.encoding))
        if len(self._frames) > MOST_A_TICK:
            del self._frames[0]
            self.offered += 1
            self.conflated += 1

    def take(self) -> tuple[bytes, int]:
        """Frames of what is due, joined, and how many; then nothing is due any more."""
        count = len(self._frames)
        data = self._frames[0] if count == 1 else b"".join(self._frames)
        self._frames.clear()
        return data, count

    def flush(self) -> Flushed:
        """Write what is due to each client, or have it held where there is no room."""
        if not self._frames:
            return NOTHING
        data, count = self.take()
        self.offered += count
        size = len(data)
        short: list[tuple[Client, int]] = []
        for push, client in self._ready.items():
            try:
                sent = push(data)
            except OSError:
                sent = 0  # no room, or a peer that is gone: its buffer finds out which
            if sent != size:
                short.append((client, sent))
        written = len(self._ready)
        for client in self._stalled:
            client.hold(data, count)
        # Now that nobody iterates: writing may stall a client, or end it.
        for client, sent in short:
            client.write(data[sent:])
        return Flushed(count * written, size * written)

    def add(self, client: Client) -> None:
        """From now on, what is due is due to this client as well."""
        if client.paused:
            self._stalled[client] = None
        else:
            self._ready[client.push] = client

    def remove(self, client: Client) -> None:
        """Nothing more for this client, if there was anything."""
        self._ready.pop(client.push, None)
        self._stalled.pop(client, None)

    def stall(self, client: Client) -> None:
        """The client takes nothing for now: what is due is held for it."""
        if self._ready.pop(client.push, None) is not None:
            self._stalled[client] = None

    def go_on(self, client: Client) -> None:
        """The client has taken everything."""
        if client in self._stalled:
            del self._stalled[client]
            self._ready[client.push] = client

    def __iter__(self) -> Iterator[Client]:
        """All clients, as they are now."""
        return iter([*self._ready.values(), *self._stalled])

    def __bool__(self) -> bool:
        """Anybody is there."""
        return bool(self._ready or self._stalled)


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush wrote."""

    messages: int
    bytes: int

    def __add__(self, other: Flushed) -> Flushed:
        """Of both."""
        return Flushed(self.messages + other.messages, self.bytes + other.bytes)


NOTHING: Final = Flushed(0, 0)
Malformed = (ValueError, KeyError, TypeError, orjson.JSONDecodeError)
"""What reading a message that is not of the contract may raise."""
