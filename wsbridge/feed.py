"""The bridge's side of ZeroMQ: subscribes, asks for snapshots, notices that acquisitiond is gone.

Hands on what it hears through a `Listener`, on the loop's thread. Keeps no readings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import orjson
import zmq
from zmq.utils.monitor import parse_monitor_message

from common.zmqio import SocketReader, tune
from ctp10 import wire
from wsbridge.asker import Asker
from wsbridge.hub import Want

SILENCE: Final = 2.5
"""Seconds without a heartbeat (one is due each second) after which acquisitiond counts as away."""
RECV_HWM: Final = 20_000
MAX_MESSAGE: Final = 16 * 1024 * 1024
"""Bytes."""


class Listener(Protocol):
    """What a feed tells."""

    def on_power(self, module: int, payload: bytes) -> None:
        """A message about a module, as the JSON that clients get."""

    def on_old_power(self, module: int, payload: bytes) -> None:
        """The newest message about a module that there was when nobody listened."""

    def on_status(self, status: wire.Status, payload: bytes) -> None:
        """The state of the link to the instrument."""

    def on_heartbeat(self, heartbeat: wire.Heartbeat) -> None:
        """acquisitiond lives."""

    def on_away(self, reason: str) -> None:
        """acquisitiond cannot be heard."""

    def on_garbage(self, what: str) -> None:
        """Something that is not of the wire contract."""

    def on_batch_end(self) -> None:
        """Nothing more has arrived for now."""


class Feed:
    """One SUB and one DEALER socket, connected for as long as it lives."""

    def __init__(self, subscribe: str, control: str, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._where = subscribe
        self._epoch: str | None = None
        self._status_seq = 0
        self._heard = self._loop.time()
        self._away = True
        self._wants: set[Want] = set()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        # No ZMTP heartbeats on a SUB: stalled at its high-water mark it would abort the process.
        self._sub = context.socket(zmq.SUB)
        tune(self._sub)
        self._sub.rcvhwm = RECV_HWM
        self._sub.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        for prefix in (wire.POWER, wire.STATUS, wire.HEARTBEAT):
            self._sub.subscribe(prefix)
        self._monitor = self._sub.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._sub.connect(subscribe)
        self._asker = Asker(control)
        self.ask = self._asker.ask
        self._readers = (
            SocketReader(self._sub, self._on_message, self._listener.on_batch_end),
            SocketReader(self._monitor, self._on_monitor),
        )

    def close(self) -> None:
        """Close the sockets."""
        for reader in self._readers:
            reader.close()
        self._sub.disable_monitor()
        self._asker.close()
        for socket in (self._monitor, self._sub):
            socket.close(linger=0)

    def want(self, wants: set[Want]) -> None:
        """Ask for exactly these modules and rates: subscriptions, which end with this bridge."""
        for topics, change in (
            (wants - self._wants, self._sub.subscribe),
            (self._wants - wants, self._sub.unsubscribe),
        ):
            for want in topics:
                change(wire.rate_topic(want.module, want.hz))
                change(wire.power_topic(want.module))
        self._wants = set(wants)
        self._readers[0].kick()

    def check(self, now: float) -> None:
        """Notice silence; called a few times a second with the loop's time."""
        self._asker.check(now)
        if not self._away and now - self._heard > SILENCE:
            self._lost(f"acquisitiond has been silent for {now - self._heard:.1f} s")

    def _lost(self, reason: str) -> None:
        self._away = True
        self._listener.on_away(reason)

    def _on_message(self, frames: Sequence[bytes]) -> None:
        if len(frames) < 2:
            return self._listener.on_garbage("a message of one part")
        topic, payload = frames[0], frames[1]
        if topic.startswith(wire.POWER):
            return self._on_power(topic, payload)
        try:
            message = wire.decode(payload)
        except wire.WireError as error:
            return self._listener.on_garbage(str(error))
        match message:
            case wire.Heartbeat():
                self._on_heartbeat(message)
            case wire.Status():
                self._on_status(message, payload)
            case _:
                self._listener.on_garbage(f"{message.type} on {topic!r}")
        return None

    def _on_power(self, topic: bytes, payload: bytes) -> None:
        module = wire.parse_power_topic(topic)
        if module is None:
            return self._listener.on_garbage(f"topic {topic[:40]!r}")
        self._heard, self._away = self._loop.time(), False
        return self._listener.on_power(module, payload)

    def _on_heartbeat(self, heartbeat: wire.Heartbeat) -> None:
        self._heard = self._loop.time()
        newest = heartbeat.latest.get(wire.STATUS.decode(), 0)
        if heartbeat.epoch != self._epoch or newest > self._status_seq:
            self._ask_for_snapshot()
        self._away = False
        self._listener.on_heartbeat(heartbeat)

    def _on_status(self, status: wire.Status, payload: bytes) -> None:
        if status.epoch != self._epoch:
            self._epoch = status.epoch
        elif status.seq <= self._status_seq:
            return
        self._status_seq = status.seq
        self._heard = self._loop.time()
        self._away = False
        self._listener.on_status(status, payload)

    def _on_monitor(self, frames: Sequence[bytes]) -> None:
        event = parse_monitor_message(list(frames))["event"]
        if event == zmq.EVENT_DISCONNECTED:
            self._lost(f"acquisitiond is away (nothing answers at {self._where})")
        else:
            self._ask_for_snapshot()

    def _ask_for_snapshot(self) -> None:
        self.ask("snapshot", {}, self._on_snapshot)

    def _on_snapshot(self, result: Any) -> None:
        if result is None:
            return  # the next heartbeat asks again
        try:
            topics: Mapping[str, Any] = result["topics"]
            status_payload = orjson.dumps(topics[wire.STATUS.decode()])
            status = wire.decode(status_payload)
        except (KeyError, TypeError, wire.WireError) as error:
            self._listener.on_garbage(f"snapshot: {error}")
            return
        if isinstance(status, wire.Status):
            self._on_status(status, status_payload)
        for topic, message in topics.items():
            module = wire.parse_power_topic(topic.encode())
            if module is not None:
                self._listener.on_old_power(module, orjson.dumps(message))
        self._listener.on_batch_end()
