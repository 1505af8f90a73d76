"""One message on its way to clients: its JSON, and a ready-made frame for each encoding. Pure.

Frames follow RFC 6455, section 5.2: from a server, unmasked, unfragmented. They are the same for
every client, so each is built once, and only if somebody wants it.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Final, Literal, get_args

import msgpack
import orjson

from ctp10 import wire

Encoding = Literal["ctp10.json", "ctp10.msgpack"]
"""WebSocket subprotocols; without one it is JSON."""
JSON: Final = "ctp10.json"
ENCODINGS: Final[tuple[Encoding, ...]] = get_args(Encoding)

_TEXT: Final = 0x81  # FIN, opcode 1
_BINARY: Final = 0x82  # FIN, opcode 2
_LONGEST_TAIL: Final = 100
_POSITION: Final = re.compile(rb'"epoch":"(\w+)","seq":(\d+)\}$')
_DATA_HEAD: Final = b'{"type":"data","timestamp":'


class Message:
    """Built from the JSON that came or that `wire.encode` made."""

    __slots__ = ("_binary", "_document", "_text", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._text: bytes | None = None
        self._binary: bytes | None = None
        self._document: dict[str, Any] | None = None

    @classmethod
    def of(cls, message: wire.Message) -> Message:
        """Of one of the contract's objects."""
        return cls(wire.encode(message))

    def frame(self, encoding: Encoding) -> bytes:
        """The WebSocket frame in this encoding."""
        if encoding == JSON:
            if self._text is None:
                self._text = frame(_TEXT, self.payload)
            return self._text
        if self._binary is None:
            self._binary = frame(_BINARY, msgpack.packb(self.document))
        return self._binary

    @property
    def is_reading(self) -> bool:
        """It is a reading; else an event."""
        return self.payload.startswith(b'{"type":"data"')

    @property
    def document(self) -> dict[str, Any]:
        """The decoded JSON. Raises orjson.JSONDecodeError."""
        if self._document is None:
            self._document = orjson.loads(self.payload)
        return self._document

    @property
    def timestamp(self) -> float:
        """Unix seconds of a reading, read off without decoding the rest. Raises ValueError."""
        # acquisitiond writes the keys in the contract's order.
        start = len(_DATA_HEAD)
        if self.payload.startswith(_DATA_HEAD):
            return float(self.payload[start : self.payload.index(b",", start)])
        return float(self.document["timestamp"])

    @property
    def position(self) -> tuple[str, int]:
        """Epoch and seq, read off without decoding the rest. Raises ValueError, KeyError."""
        # acquisitiond writes them last.
        match = _POSITION.search(self.payload, max(0, len(self.payload) - _LONGEST_TAIL))
        if match is not None:
            return match[1].decode(), int(match[2])
        epoch, seq = self.document["epoch"], self.document["seq"]
        if not isinstance(epoch, str) or not isinstance(seq, int):
            raise ValueError(f"position {epoch!r:.40}, {seq!r:.40}")  # noqa: TRY004  see Malformed
        return epoch, seq


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame of one message; `opcode` with the FIN bit."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", opcode, 126, size) + payload
    return struct.pack("!BBQ", opcode, 127, size) + payload
