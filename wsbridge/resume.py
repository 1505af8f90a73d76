"""Clients that come back: what they missed comes first, then live readings, without hole or double.

Owns who is still catching up, and asks acquisitiond for what the bridge itself does not have: once
for all who want it. Nobody is sent more at a time than it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ctp10 import wire
from wsbridge.bucket import Bucket, Subscription
from wsbridge.connection import Connection
from wsbridge.hub import Hub, Want, gap
from wsbridge.message import Message
from wsbridge.past import Past
from wsbridge.repair import Ask, read_replay, replay_params
from wsbridge.sequence import Missing, Position

PATIENCE: Final = 3.0
"""Seconds that a client waits for acquisitiond to be heard, before it is told that it is not."""
CHUNK: Final = 256
"""Readings that one client is given before the next one has its turn."""


@dataclass(slots=True, eq=False)
class _Resume:
    connection: Connection
    subscription: Subscription
    since: Position
    deadline: float
    bucket: Bucket
    """Of its own: thins what was missed as its stream does."""
    cursor: int | None = None
    """The next seq to look at; None until it is known what can be had."""


@dataclass(slots=True)
class _Backfill:
    """A question under way about what came before the bridge's own memory of a module."""

    epoch: str
    after: int
    first: int = 0
    messages: list[Message] = field(default_factory=list)


class Resumes:
    """All clients of a bridge that are catching up. `clock` gives monotonic seconds."""

    def __init__(
        self,
        hub: Hub,
        ask: Ask,
        on_live: Callable[[Connection, Subscription], None],
    ) -> None:
        """`on_live` gets a client that has everything up to now."""
        self._hub = hub
        self._ask = ask
        self._on_live = on_live
        self._loop = asyncio.get_running_loop()
        self._resumes: dict[Connection, _Resume] = {}
        self._backfills: dict[int, _Backfill] = {}
        self._gone: dict[int, Missing] = {}
        self._scheduled = False

    def begin(self, connection: Connection, subscription: Subscription, since: Position) -> None:
        """A client that had everything up to `since`."""
        deadline = self._loop.time() + PATIENCE
        bucket = Bucket(subscription, 0.0)
        resume = _Resume(connection, subscription, since, deadline, bucket)
        self._resumes[connection] = resume
        self.step()

    def end(self, connection: Connection) -> None:
        """It left, perhaps long after it caught up."""
        self._resumes.pop(connection, None)

    def wants(self) -> set[Want]:
        """What to ask acquisitiond for meanwhile."""
        wanted = (resume.subscription for resume in self._resumes.values())
        return {Want(subscription.module, 1 / subscription.interval) for subscription in wanted}

    def step(self) -> None:
        """Something changed: there is room, or there are readings."""
        if self._resumes and not self._scheduled:
            self._scheduled = True
            # Not at once: what is being delivered to everybody shall not come in between.
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        self._scheduled = False
        more = False
        for resume in list(self._resumes.values()):
            if resume.cursor is None:
                self._look(resume)
            if resume.cursor is not None and not resume.connection.paused:
                more |= self._pump(resume)
        if more:
            self.step()

    # What can be had

    def _look(self, resume: _Resume) -> None:
        module, since = resume.subscription.module, resume.since
        past = self._hub.past(module)
        if not past.epoch:
            if self._loop.time() >= resume.deadline:
                self._begin(resume, Missing(since.epoch, since.seq + 1, None, "unreachable"), 1)
            return
        after = since.seq if since.epoch == past.epoch else 0
        if after + 1 < past.first and not self._known_gone(module, past, after):
            if module not in self._backfills:
                self._fill(module, past, after)
            return
        first = max(after + 1, past.first)
        if since.epoch != past.epoch:
            self._begin(resume, Missing(since.epoch, since.seq + 1, None, "epoch_changed"), first)
        elif first > after + 1:
            reason = self._gone[module].reason
            self._begin(resume, Missing(since.epoch, after + 1, first - 1, reason), first)
        else:
            self._begin(resume, None, first)

    def _begin(self, resume: _Resume, missing: Missing | None, first: int) -> None:
        connection, since = resume.connection, resume.since
        answer = wire.Resumed(recovered=missing is None, epoch=since.epoch, seq=since.seq)
        connection.tell(Message.of(answer))
        if missing is not None:
            connection.tell(gap(resume.subscription.module, missing))
        resume.cursor = first

    def _known_gone(self, module: int, past: Past, after: int) -> bool:
        """It was asked already, and there is no more."""
        gone = self._gone.get(module)
        return gone is not None and gone.epoch == past.epoch and gone.from_seq <= after + 1

    def _fill(self, module: int, past: Past, after: int) -> None:
        self._backfills[module] = _Backfill(past.epoch, after)
        self._ask_page(module)

    def _ask_page(self, module: int) -> None:
        backfill = self._backfills[module]
        after = backfill.first + len(backfill.messages) - 1 if backfill.messages else backfill.after
        params = replay_params(module, backfill.epoch, after)
        self._ask("replay", params, lambda result: self._on_page(module, result))

    def _on_page(self, module: int, result: Any) -> None:
        backfill = self._backfills[module]
        messages, gone = read_replay(result, backfill.epoch)
        if not backfill.messages and messages:
            backfill.first = result["first_seq"]
        backfill.messages += messages
        past = self._hub.past(module)
        end = backfill.first + len(backfill.messages)
        if messages and end < past.first and past.epoch == backfill.epoch:
            self._ask_page(module)
            return
        del self._backfills[module]
        if end >= past.first:
            past.prepend(backfill.epoch, backfill.first, backfill.messages)
        if past.first > backfill.after + 1:
            reason = gone.reason if gone else "evicted" if backfill.messages else "unreachable"
            self._gone[module] = Missing(backfill.epoch, backfill.after + 1, past.first - 1, reason)
        self.step()

    # Bringing it

    def _pump(self, resume: _Resume) -> bool:
        """Bring the next readings; True if there are more."""
        assert resume.cursor is not None
        connection, module = resume.connection, resume.subscription.module
        past = self._hub.past(module)
        if resume.cursor < past.first:
            evicted = Missing(past.epoch, resume.cursor, past.first - 1, "evicted")
            connection.tell(gap(module, evicted))
            resume.cursor = past.first
        stop = min(resume.cursor + CHUNK, past.last + 1)
        frames = bytearray()
        count = 0
        for seq in range(resume.cursor, stop):
            reading = past[seq]
            if reading is not None:
                resume.bucket.admit(reading, reading.timestamp, self._hub.slack(module))
                data, taken = resume.bucket.take()
                frames += data
                count += taken
        resume.cursor = stop
        if count:
            connection.deliver(bytes(frames), count)
        if resume.cursor <= past.last:
            return not connection.paused
        del self._resumes[connection]
        self._on_live(connection, resume.subscription)
        return False
