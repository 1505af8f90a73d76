"""The methods of the control socket: what anybody may ask. Pure but for what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard

import orjson

from acquisitiond import rpc
from acquisitiond.history import Excerpt, Gone
from acquisitiond.publisher import Publisher

MOST_REPLAYED: Final = 1000
"""Messages in one answer: about a quarter of a megabyte, made in a millisecond or two."""


class Methods:
    """`status()` tells what the daemon is doing."""

    def __init__(self, publisher: Publisher, status: Callable[[], dict[str, Any]]) -> None:
        self._publisher = publisher
        self._describe = status

    def table(self) -> Mapping[str, rpc.Method]:
        """The methods by name."""
        return {"status": self._status, "snapshot": self._snapshot, "replay": self._replay}

    def _status(self, params: Mapping[str, Any]) -> Any:
        rpc.only(params)
        return self._describe()

    def _snapshot(self, params: Mapping[str, Any]) -> Any:
        rpc.only(params, "topics")
        prefixes = params.get("topics", [""])
        if not isinstance(prefixes, list) or not all(isinstance(p, str) for p in prefixes):
            raise rpc.RpcError(rpc.INVALID_PARAMS, "topics must be a list of topic prefixes")
        wanted = tuple(prefix.encode() for prefix in prefixes)
        return {
            "epoch": self._publisher.epoch,
            "topics": {
                topic.decode(): orjson.Fragment(payload)
                for topic, payload in self._publisher.latest.items()
                if topic.startswith(wanted)
            },
        }

    def _replay(self, params: Mapping[str, Any]) -> Any:
        rpc.only(params, "topic", "epoch", "seq", "limit")
        topic, epoch = params.get("topic"), params.get("epoch")
        seq, limit = params.get("seq"), params.get("limit", MOST_REPLAYED)
        if not isinstance(topic, str) or not isinstance(epoch, str):
            raise rpc.RpcError(rpc.INVALID_PARAMS, "topic and epoch must be strings")
        if not _whole(seq) or seq < 0:
            raise rpc.RpcError(rpc.INVALID_PARAMS, "seq must be a whole number: the last one had")
        if not _whole(limit) or not 1 <= limit <= MOST_REPLAYED:
            raise rpc.RpcError(rpc.INVALID_PARAMS, f"limit must be from 1 to {MOST_REPLAYED}")
        newest = self._publisher.seqs.get(topic.encode(), 0)
        if epoch == self._publisher.epoch:
            excerpt = self._publisher.history.after(topic.encode(), seq, limit)
        else:
            excerpt = Excerpt(seq + 1, [], Gone(seq + 1, None, "epoch_changed"))
        return {
            "epoch": self._publisher.epoch,
            "topic": topic,
            "newest": newest,
            "first_seq": excerpt.first_seq,
            "messages": [orjson.Fragment(payload) for payload in excerpt.payloads],
            "gone": excerpt.gone,
        }


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
