"""The ROUTER socket: takes JSON-RPC requests from anybody, and answers each on its own envelope."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import zmq

from acquisitiond import rpc
from common.zmqio import PeerMonitor, SocketReader, tune

MAX_REQUEST: Final = 64 * 1024
"""Bytes; libzmq ends a connection that sends more."""
REQUESTS_A_TURN: Final = 4
"""Answered in a row before readings get their turn: a caller that floods delays nobody's."""


class ControlServer:
    """One per daemon."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        methods: Mapping[str, rpc.Method],
        on_error: Callable[[int], None],
        on_stranger: Callable[[], None],
    ) -> None:
        """Binds at once; `on_error(n)` counts refused requests, `on_stranger()` who does not speak
        ZMTP. Raises zmq.ZMQError."""
        self._methods = methods
        self._on_error = on_error
        self._socket = context.socket(zmq.ROUTER)
        tune(self._socket)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST)
        self._monitor = PeerMonitor(self._socket, on_stranger)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self._monitor.close()
            self._socket.close()
            raise
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._reader = SocketReader(self._socket, self._received, batch=REQUESTS_A_TURN)

    def close(self) -> None:
        """Close the socket; callers that wait for an answer get none."""
        self._reader.close()
        self._monitor.close()
        self._socket.close()

    def _received(self, frames: Sequence[bytes]) -> None:
        # [identity, payload] from a DEALER, [identity, "", payload] from a REQ: the answer goes
        # back on the same envelope.
        *envelope, payload = frames
        response, errors = rpc.handle(payload, self._methods)
        if errors:
            self._on_error(errors)
        if response is not None:
            try:
                self._socket.send_multipart((*envelope, response), zmq.NOBLOCK)
            except zmq.Again:
                self._on_error(1)  # the caller does not read its answers
            self._reader.kick()
