"""Asks acquisitiond for what the bridge missed, module by module, and hands it on in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from ctp10 import wire
from wsbridge.asker import OnAnswer
from wsbridge.bucket import Malformed
from wsbridge.message import Message
from wsbridge.sequence import Missing, Numbered, Output, Position, Sequencer

PAGE: Final = 1000
"""Messages of one answer: the most that acquisitiond gives."""

Ask = Callable[[str, Mapping[str, Any], OnAnswer], None]


class Repairs:
    """The sequencers of all modules. `take(module, outputs)` gets what is in order."""

    def __init__(
        self, ask: Ask, take: Callable[[int, list[Output]], None], clock: Callable[[], float]
    ) -> None:
        self._ask = ask
        self._take = take
        self._clock = clock
        self._sequencers: dict[int, Sequencer] = {}
        self._asked: dict[int, Position] = {}

    @property
    def holes(self) -> int:
        """Messages that were missing when their successors came, so far."""
        return sum(sequencer.holes for sequencer in self._sequencers.values())

    def arrived(self, module: int, message: Message) -> None:
        """A message from the socket. Raises wire.WireError if it has no place."""
        numbered = place(message)
        sequencer = self._sequencer(module)
        self._step(module, sequencer, sequencer.arrived(numbered, self._clock()))

    def start(self, module: int, message: Message) -> Numbered | None:
        """A snapshot's newest message, to begin with; None where something is known already."""
        numbered = place(message)
        if self._sequencer(module).start(numbered.position.epoch, numbered.position.seq):
            return numbered
        self.arrived(module, message)  # then it is one of the stream, perhaps ahead of it
        return None

    def heard(self, epoch: str, latest: Mapping[str, int]) -> None:
        """A heartbeat: what acquisitiond published last."""
        for module, sequencer in self._sequencers.items():
            newest = latest.get(wire.power_topic(module).decode(), 0)
            sequencer.heard(epoch, newest, self._clock())
            self._step(module, sequencer, [])

    def check(self) -> None:
        """Do not wait for ever; called a few times a second."""
        for module, sequencer in self._sequencers.items():
            self._step(module, sequencer, sequencer.check(self._clock()))

    def _sequencer(self, module: int) -> Sequencer:
        sequencer = self._sequencers.get(module)
        if sequencer is None:
            sequencer = self._sequencers[module] = Sequencer()
        return sequencer

    def _step(self, module: int, sequencer: Sequencer, outputs: list[Output]) -> None:
        if outputs:
            self._take(module, outputs)
        need = sequencer.need
        if need is None:
            self._asked.pop(module, None)
        elif self._asked.get(module) != need:
            self._asked[module] = need
            params = replay_params(module, need.epoch, need.seq)
            self._ask("replay", params, lambda result: self._replayed(module, need, result))

    def _replayed(self, module: int, need: Position, result: Any) -> None:
        sequencer = self._sequencer(module)
        messages, gone = read_replay(result, need.epoch)
        if need != sequencer.need:
            return
        outputs = sequencer.replayed(need, messages, gone, self._clock())
        self._step(module, sequencer, outputs)


def place(message: Message) -> Numbered:
    """A message with its place. Raises wire.WireError if it does not say."""
    try:
        epoch, seq = message.position
    except Malformed as error:
        raise wire.WireError(f"a message without its place: {error!r}") from None
    return Numbered(Position(epoch, seq), message)


def replay_params(module: int, epoch: str, seq: int) -> dict[str, Any]:
    """Parameters of the question what follows `seq`."""
    topic = wire.power_topic(module).decode()
    return {"topic": topic, "epoch": epoch, "seq": seq, "limit": PAGE}


def read_replay(result: Any, epoch: str) -> tuple[list[Message], Missing | None]:
    """Messages of an answer to `replay`, oldest first, and what is gone before them."""
    try:
        messages = [Message(orjson.dumps(message)) for message in result["messages"]]
        gone = result["gone"]
        if gone is None:
            return messages, None
        missing = Missing(epoch, gone["from_seq"], gone["to_seq"], gone["reason"])
        return messages, missing
    except Malformed:
        return [], None  # no answer, or none of the contract: as if there were nothing
