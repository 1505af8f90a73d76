"""The wire contract: topics, message types and their encoding, in this one place.

A ZeroMQ message is ``[topic, JSON, binary...]``. Every JSON part is an object with a ``type``; a
bridge forwards it byte for byte to its WebSocket clients. Decoding ignores keys it does not know,
so that a newer publisher can add some. This module does no I/O.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, ClassVar, Final, Literal, get_args, get_origin, get_type_hints

import orjson

from ctp10.units import Unit

MODULES: Final = range(1, 21)
"""Slots of a CTP10 mainframe: ``SENSe[1-20]``."""
CHANNELS: Final = range(1, 7)
"""Detectors of a module: ``CHANnel[1-6]``; a reading always carries the first four."""
MIN_INTERVAL: Final = 0.01
"""Seconds: the shortest interval a viewer may ask for."""
MAX_INTERVAL: Final = 10.0
"""Seconds: the longest interval a viewer may ask for."""

STATUS: Final = b"status/"
HEARTBEAT: Final = b"heartbeat/"
POWER: Final = b"power/"
"""Every ``power/`` topic begins so; subscribing to this prefix alone makes no module wanted."""
RATE: Final = b"rate/"

State = Literal["connected", "connecting", "disconnected"]
Quality = Literal["VALID", "INVALID", "STALE"]


class WireError(ValueError):
    """A topic or a message that is not of this contract; says what is wrong with it."""


def power_topic(module: int) -> bytes:
    """Topic of a module's readings: ``power/4/``. Subscribing to it makes the module wanted."""
    return b"power/%d/" % module


def rate_topic(module: int, hz: float) -> bytes:
    """Topic that carries nothing: a subscription to ``rate/4/50/`` asks for 50 readings a second.

    The wish ends with the subscription, so a subscriber that dies leaves none behind.
    """
    return b"rate/%d/%s/" % (module, format(hz, ".6g").encode())


def parse_power_topic(topic: bytes) -> int | None:
    """Module of a ``power/<m>/`` topic, or None if it is any other topic or no valid module."""
    match topic.split(b"/"):
        case [b"power", module, b""]:
            return _module(module)
    return None


def parse_rate_topic(topic: bytes) -> tuple[int, float] | None:
    """Module and rate in Hz of a ``rate/<m>/<hz>/`` topic, or None if it is no such topic."""
    match topic.split(b"/"):
        case [b"rate", module, hz, b""]:
            number = _module(module)
            try:
                rate = float(hz)
            except ValueError:
                return None
            if number is not None and math.isfinite(rate) and rate > 0:
                return number, rate
    return None


def _module(text: bytes) -> int | None:
    # No leading zero or sign: one module has one topic.
    if text.isdigit() and len(text) <= 2 and not text.startswith(b"0") and int(text) in MODULES:
        return int(text)
    return None


def iso_timestamp(unix: float) -> str:
    """ISO 8601 in UTC, as heartbeats and errors carry it: ``2024-01-01T12:00:00.000000+00:00``."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detectors:
    """What every message about a module's detectors begins with."""

    type: ClassVar[str] = "data"
    timestamp: float
    """Unix seconds (UTC) when the instrument answered; of a summary, for its newest reading."""
    module: int
    wavelength_nm: float | None
    """Nanometres set on the module's first detector; null if it could not be read."""
    unit: Unit
    ch1_power: float | None
    """In `unit`; null if the detector could not be read or answered NaN or an infinity."""
    ch2_power: float | None
    ch3_power: float | None
    ch4_power: float | None
    ch5_power: float | None = None
    """Only on the wire for modules that have more than four detectors."""
    ch6_power: float | None = None

    @property
    def powers(self) -> tuple[float | None, ...]:
        """The six detectors in order; None where there is no detector or no number."""
        return (
            self.ch1_power,
            self.ch2_power,
            self.ch3_power,
            self.ch4_power,
            self.ch5_power,
            self.ch6_power,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(_Detectors):
    """One simultaneous look at a module's detectors (``type`` = ``data``)."""

    quality: Quality
    epoch: str
    """Minted at each start of the daemon."""
    seq: int
    """Per topic and epoch, +1 for each message, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(_Detectors):
    """Several readings in one message, for ``mode=mean`` and ``mode=envelope`` (also ``data``).

    It covers `count` readings, of which the newest has this `seq`. Its powers are the means, taken
    in milliwatts; of an envelope, the newest values. `quality` is VALID when every reading was.
    """

    mode: Literal["mean", "envelope"]
    count: int
    """Readings since the message before."""
    min: list[float | None] | None = None
    """Least value of each detector, in order; only of an envelope."""
    max: list[float | None] | None = None
    """Greatest value of each detector, in order; only of an envelope."""
    quality: Quality
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of the link to the instrument, on ``status/`` at each change."""

    type: ClassVar[str] = "status"
    timestamp: float
    state: State
    instrument: str | None
    """Answer to ``*IDN?``, null until it was read."""
    address: str
    """VISA resource name."""
    error: str | None
    """Why it is not connected, in one sentence; null when it is."""
    modules: list[int]
    """The configured modules."""
    simulated: bool
    """The daemon was started with ``--simulate``."""
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Once a second on ``heartbeat/``: proves the daemon alive and lets a lost tail be noticed."""

    type: ClassVar[str] = "heartbeat"
    timestamp: float
    state: State
    latest: dict[str, int]
    """The newest seq of each topic, this one's own included."""
    periods: dict[str, float]
    """Seconds between two readings that are due, for each module being read."""
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Something is away; the stream stays open and resumes by itself if `recoverable`."""

    type: ClassVar[str] = "error"
    message: str
    timestamp: str
    """ISO 8601, UTC."""
    recoverable: bool
    error_count: int
    """How many errors this stream had since its last data."""
    module: int | None = None
    epoch: str | None = None
    """Present with `seq` when it came from the daemon, as a message of a ``power/`` topic."""
    seq: int | None = None


GapReason = Literal["evicted", "epoch_changed", "unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Readings that this stream will not bring, and why. Never a silent one."""

    type: ClassVar[str] = "gap"
    module: int
    epoch: str
    """Of the readings that are missing."""
    from_seq: int
    to_seq: int | None
    """Null: as many as there were, because that epoch ended unheard."""
    reason: GapReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """First answer to ``?since=<epoch>:<seq>``; what was missed follows, then live readings."""

    type: ClassVar[str] = "resumed"
    recovered: bool
    """Everything since then follows; otherwise a `gap` says what does not."""
    epoch: str
    seq: int
    """As given in ``since``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHeartbeat:
    """From the bridge to each WebSocket client: alive, and what became of its messages."""

    type: ClassVar[str] = "heartbeat"
    timestamp: str
    """ISO 8601, UTC."""
    active_streams: int
    """Clients of ``/ws/power`` on this bridge."""
    state: State
    """Of the instrument, as far as the bridge knows."""
    due: int
    """Messages that this client was to get: `sent` + `conflated` + `dropped`."""
    sent: int
    """Of these, handed to its connection."""
    conflated: int
    """Readings replaced by a newer one before this client could take them."""
    dropped: int
    """Messages given up for any other reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """The server is about to close: come back after `retry_after` seconds."""

    type: ClassVar[str] = "reconnect"
    reason: str
    retry_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """Answer to the text ``ping``."""

    type: ClassVar[str] = "pong"
    timestamp: str
    """ISO 8601, UTC."""


Message = (
    Reading
    | Summary
    | Status
    | Heartbeat
    | Error
    | Gap
    | Resumed
    | ClientHeartbeat
    | Reconnect
    | Pong
)
TOPIC_MESSAGES: Final[dict[str, type[Reading | Status | Heartbeat | Error]]] = {
    "data": Reading,
    "status": Status,
    "heartbeat": Heartbeat,
    "error": Error,
}
"""What may stand on a ZeroMQ topic, by its ``type``."""


def encode(message: Message) -> bytes:
    """Encode as the JSON that goes on the wire. NaN and infinities become null."""
    document: dict[str, Any] = {"type": message.type}
    for name, optional in _LAYOUT[type(message)]:
        value = getattr(message, name)
        if value is not None or not optional:
            document[name] = value
    return orjson.dumps(document)


def decode(payload: bytes) -> Reading | Status | Heartbeat | Error:
    """Decode the JSON part of a ZeroMQ message. Raises `WireError`; never anything else."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise WireError("not a JSON object")
    kind = document.get("type")
    cls = TOPIC_MESSAGES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise WireError(f"unknown type {kind!r}")
    return _from_document(cls, document)


_Topical = Reading | Status | Heartbeat | Error


def _from_document(cls: type[_Topical], document: dict[str, Any]) -> _Topical:
    hints = _HINTS[cls]
    values: dict[str, Any] = {}
    for name, optional in _LAYOUT[cls]:
        if name in document:
            value = document[name]
            if not _fits(value, hints[name]):
                raise WireError(f"{cls.type}.{name}: unexpected {value!r:.40}")
            values[name] = value
        elif not optional:
            raise WireError(f"{cls.type}.{name} is missing")
    return cls(**values)


def _fits(value: object, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_fits(value, part) for part in arguments)
    if origin is Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(v, arguments[1]) for v in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


_CLASSES: Final[tuple[type[Message], ...]] = get_args(Message)
_LAYOUT: Final = {
    cls: tuple((field.name, field.default is None) for field in fields(cls)) for cls in _CLASSES
}
"""Each field's name, and whether it may be missing: those that default to None may."""
_HINTS: Final = {cls: get_type_hints(cls) for cls in _CLASSES}


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of every message, under ``$defs``, derived from the types above.

    ``anyOf``, because a summary is a reading to whoever ignores the keys it does not know.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ctp10 messages",
        "anyOf": [{"$ref": f"#/$defs/{cls.__name__}"} for cls in _CLASSES],
        "$defs": {cls.__name__: _class_schema(cls) for cls in _CLASSES},
    }


def _class_schema(cls: type[Message]) -> dict[str, Any]:
    hints = _HINTS[cls]
    properties: dict[str, Any] = {"type": {"const": cls.type}}
    properties |= {name: _type_schema(hints[name]) for name, _ in _LAYOUT[cls]}
    return {
        "type": "object",
        "description": (cls.__doc__ or "").strip(),
        "properties": properties,
        "required": ["type", *(name for name, optional in _LAYOUT[cls] if not optional)],
    }


_JSON_TYPES: Final = {int: "integer", float: "number", str: "string", bool: "boolean"}


def _type_schema(hint: Any) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return {"anyOf": [_type_schema(part) for part in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _type_schema(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type_schema(arguments[1])}
    return {"type": "null"} if hint is NoneType else {"type": _JSON_TYPES[hint]}
