"""The thread that receives for one subscription; owns its sockets and its ZeroMQ context.

It knows the inbox, never the subscription, so that a forgotten subscription is garbage. It ends,
with all that it owns, when the other end of `stop` is closed.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import orjson
import zmq

from ctp10 import wire
from ctp10.inbox import Inbox
from ctp10.sequence import Item, Sequencer

RECEIVE_HWM: Final = 100_000
"""Messages that wait in libzmq while this process has no time for them: some 40 MB."""
BATCH: Final = 1000
"""Messages taken in a row before the other socket gets its turn."""
PAGE: Final = 1000
"""Readings in one answer: the most that acquisitiond gives."""
ASK_AGAIN: Final = 0.5
"""Seconds before a question that was not answered is asked again."""
CHECK_MS: Final = 100
"""Milliseconds between two looks at what is waited for."""

Frames = list[bytes]
Socket = zmq.Socket[bytes]


class Receiver:
    """`run` is the thread."""

    def __init__(
        self,
        *,
        module: int,
        rate: float | None,
        endpoint: str,
        control: str,
        sequencer: Sequencer,
        inbox: Inbox,
        stop: socket.socket,
    ) -> None:
        """Connects. Raises ValueError for an endpoint that cannot be one."""
        self._topic = wire.power_topic(module)
        self._sequencer = sequencer
        self._inbox = inbox
        self._stop = stop
        self._asked: str | None = None
        self._ask_again_at = 0.0
        self._context: zmq.Context[Socket] = zmq.Context()
        try:
            self._sub = self._socket(zmq.SUB)
            self._sub.rcvhwm = RECEIVE_HWM
            for topic in (self._topic, wire.HEARTBEAT, wire.STATUS):
                self._sub.subscribe(topic)
            if rate is not None:
                self._sub.subscribe(wire.rate_topic(module, rate))
            self._dealer = self._socket(zmq.DEALER)
            self._dealer.setsockopt(zmq.IMMEDIATE, 1)  # a question to nobody is not worth keeping
            self._dealer.setsockopt(zmq.TCP_MAXRT, 5000)
            _connect(self._sub, "endpoint", endpoint)
            _connect(self._dealer, "control", control)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def run(self) -> None:
        """Receive until told to stop."""
        try:
            self._receive()
            self._inbox.end()
        except Exception as error:  # noqa: BLE001  raised to whoever reads
            self._inbox.end(error)
        finally:
            self._context.destroy(linger=0)
            self._stop.close()

    def _receive(self) -> None:
        poller = zmq.Poller()
        for waited in (self._sub, self._dealer, self._stop):
            poller.register(waited, zmq.POLLIN)
        stop = self._stop.fileno()
        while True:
            events = dict(poller.poll(CHECK_MS))
            if stop in events:
                return
            items: list[Item] = []
            self._drain(self._sub, self._published, items)
            self._drain(self._dealer, self._answered, items)
            now = time.monotonic()
            items += self._sequencer.check(now)
            if items:
                self._inbox.put(items)
            self._ask_for_missing(now)

    def _drain(
        self, source: Socket, take: Callable[[Frames, float], list[Item]], items: list[Item]
    ) -> None:
        now = time.monotonic()
        # What is not of the contract is as good as not received: its seq is missed.
        with contextlib.suppress(zmq.Again):
            for _ in range(BATCH):
                frames = source.recv_multipart(zmq.NOBLOCK)
                with contextlib.suppress(wire.WireError):
                    items += take(frames, now)

    def _published(self, frames: Frames, now: float) -> list[Item]:
        if len(frames) < 2:
            return []
        message = wire.decode(frames[1])
        if frames[0] == self._topic and isinstance(message, wire.Reading | wire.Error):
            return self._sequencer.arrived(message, now)
        if isinstance(message, wire.Heartbeat):
            self._inbox.state, self._inbox.heard_at = message.state, now
            status = self._inbox.status
            if status is None or status.epoch != message.epoch:
                self._request("status", "snapshot", {"topics": [wire.STATUS.decode()]})
            latest = message.latest.get(self._topic.decode(), 0)
            return self._sequencer.heard(message.epoch, latest, now)
        if isinstance(message, wire.Status):
            self._inbox.state, self._inbox.heard_at = message.state, now
            self._inbox.status = message
        return []

    def _ask_for_missing(self, now: float) -> None:
        need = self._sequencer.need
        if need is None:
            self._asked = None
            return
        number = f"{need.epoch}:{need.seq}"
        if number != self._asked or now >= self._ask_again_at:
            params = {"topic": self._topic.decode(), "epoch": need.epoch, "seq": need.seq}
            self._request(number, "replay", params | {"limit": PAGE})
            self._asked, self._ask_again_at = number, now + ASK_AGAIN

    def _request(self, number: str, method: str, params: dict[str, Any]) -> None:
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        with contextlib.suppress(zmq.Again):  # nobody is there: asked again, or given up in time
            self._dealer.send(orjson.dumps(request), zmq.NOBLOCK)

    def _answered(self, frames: Frames, now: float) -> list[Item]:
        try:
            answer = orjson.loads(frames[-1])
            if answer["id"] == "status":
                status = wire.decode(orjson.dumps(answer["result"]["topics"][wire.STATUS.decode()]))
                if isinstance(status, wire.Status):
                    self._inbox.status = status
                return []
            need = self._sequencer.need
            if need is None or answer["id"] != f"{need.epoch}:{need.seq}":
                return []
            result = answer["result"]
            decoded = [wire.decode(orjson.dumps(message)) for message in result["messages"]]
            messages = [m for m in decoded if isinstance(m, wire.Reading | wire.Error)]
            gone = self._gone(result["gone"], need.epoch)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return []  # an error, or no answer of the contract: patience runs out in time
        return self._sequencer.replayed(need, messages, gone, now)

    def _gone(self, gone: dict[str, Any] | None, epoch: str) -> wire.Gap | None:
        module = wire.parse_power_topic(self._topic)
        if gone is None or module is None:
            return None
        return wire.Gap(
            module=module,
            epoch=epoch,
            from_seq=gone["from_seq"],
            to_seq=gone["to_seq"],
            reason=gone["reason"],
        )

    def _socket(self, kind: int) -> Socket:
        # No ZMTP heartbeats: with them a SUB at its high-water mark ends the whole process.
        made = self._context.socket(kind)
        made.linger = 0
        made.setsockopt(zmq.RECONNECT_IVL, 100)
        made.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        made.setsockopt(zmq.TCP_KEEPALIVE, 1)
        made.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 5)
        made.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 2)
        made.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        return made


def _connect(made: Socket, name: str, endpoint: str) -> None:
    try:
        made.connect(endpoint)
    except zmq.ZMQError as error:
        raise ValueError(
            f"{name}={endpoint!r} is not allowed ({error}): expected tcp://HOST:PORT"
        ) from None


def start(receiver: Receiver, name: str) -> threading.Thread:
    """Its thread, running."""
    thread = threading.Thread(target=receiver.run, name=name, daemon=True)
    thread.start()
    return thread
