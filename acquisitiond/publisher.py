"""The XPUB socket: numbers, encodes and publishes messages, and hears who subscribes to what.

PUB drops silently for a peer at its high-water mark; the epoch and the seq given out here are what
lets a subscriber know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import zmq

from acquisitiond.history import History
from common.zmqio import PeerMonitor, SocketReader, tune
from ctp10 import wire

SEND_HWM: Final = 20_000
"""Messages that wait for one subscriber: over three minutes at 100 a second, about 5 MB."""
MAX_SUBSCRIPTION: Final = 256
"""Bytes: no topic is longer."""


class Publisher:
    """One per daemon. `on_subscription(frame)` gets what peers send up: see XPUB."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        epoch: str,
        on_subscription: Callable[[bytes], None],
        on_stranger: Callable[[], None],
        history: History,
    ) -> None:
        """Binds at once; `on_stranger()` counts who does not speak ZMTP.

        Raises:
            zmq.ZMQError: for example, the port is taken.
        """
        self.epoch = epoch
        self.history = history
        self.latest: dict[bytes, bytes] = {}
        """The newest JSON of each topic."""
        self._seqs: dict[bytes, int] = {}
        self._socket = context.socket(zmq.XPUB)
        tune(self._socket)
        self._socket.sndhwm = SEND_HWM
        # Every subscription is reported, not only a topic's first: each may need a word.
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION)
        self._monitor = PeerMonitor(self._socket, on_stranger)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self._monitor.close()
            self._socket.close()
            raise
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._on_subscription = on_subscription
        self._reader = SocketReader(self._socket, self._received)

    @property
    def seqs(self) -> Mapping[bytes, int]:
        """The newest seq of each topic."""
        return self._seqs

    def publish(self, topic: bytes, make: Callable[[str, int], wire.Message]) -> None:
        """Publish `make(epoch, seq)` as the topic's next message."""
        seq = self._seqs.get(topic, 0) + 1
        payload = wire.encode(make(self.epoch, seq))
        self._seqs[topic] = seq
        self.latest[topic] = payload
        if topic != wire.HEARTBEAT:
            self.history.add(topic, seq, payload)
        self._socket.send_multipart((topic, payload), zmq.NOBLOCK)
        self._reader.kick()

    def close(self) -> None:
        """Close the socket; what was not sent yet is gone."""
        self._reader.close()
        self._monitor.close()
        self._socket.close()

    def _received(self, frames: Sequence[bytes]) -> None:
        if len(frames) == 1:
            self._on_subscription(frames[0])
