"""Questions to acquisitiond over its control socket (JSON-RPC 2.0), answered through callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import zmq

from common.zmqio import SocketReader, tune

DEADLINE: Final = 2.0
"""Seconds after which an answer is not waited for any more."""

OnAnswer = Callable[[Any], None]
"""Gets the result; None if there is none, for whatever reason."""


@dataclass(frozen=True, slots=True)
class _Asked:
    on_answer: OnAnswer
    deadline: float


class Asker:
    """One DEALER socket."""

    def __init__(self, endpoint: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked: dict[int, _Asked] = {}
        self._number = 0
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._socket = context.socket(zmq.DEALER)
        tune(self._socket)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # a request to nobody is not worth keeping
        self._socket.connect(endpoint)
        self._reader = SocketReader(self._socket, self._received)

    def ask(self, method: str, params: Mapping[str, Any], on_answer: OnAnswer) -> None:
        """Ask; `on_answer` is called once, later, on the loop."""
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        try:
            self._socket.send(orjson.dumps(request), zmq.NOBLOCK)
        except zmq.Again:
            self._loop.call_soon(on_answer, None)  # nobody is connected
            return
        self._asked[self._number] = _Asked(on_answer, self._loop.time() + DEADLINE)
        self._reader.kick()

    def check(self, now: float) -> None:
        """Give up on what was not answered in time."""
        for number in [n for n, asked in self._asked.items() if asked.deadline <= now]:
            self._asked.pop(number).on_answer(None)

    def close(self) -> None:
        """Close the socket; nothing is answered any more."""
        self._reader.close()
        self._socket.close()

    def _received(self, frames: Sequence[bytes]) -> None:
        try:
            reply = orjson.loads(frames[-1])
            asked = self._asked.pop(reply["id"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return  # late, or no reply at all: its question runs into the deadline
        asked.on_answer(reply.get("result"))
