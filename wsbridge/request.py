"""What a request wants, or why it is refused, from its method, target and headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, get_args
from urllib.parse import parse_qsl, urlsplit

from ctp10.wire import MAX_INTERVAL, MIN_INTERVAL, MODULES
from wsbridge.bucket import Mode
from wsbridge.sequence import Position

POWER_PATH: Final = "/ws/power"
HEALTH_PATH: Final = "/ws/health"
DEFAULT_INTERVAL: Final = 0.1
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

_MODULE = re.compile(r"[0-9]{1,2}")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}")
_POSITION = re.compile(r"(?P<epoch>[0-9A-Za-z]{1,64}):(?P<seq>[0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class PowerRequest:
    """A stream of readings; `module` None is the configured one; `interval` in seconds."""

    module: int | None
    interval: float
    mode: Mode
    since: Position | None = None


@dataclass(frozen=True, slots=True)
class HealthRequest:
    """A stream of heartbeats."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A plain HTTP page."""

    path: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status, and the JSON that explains it."""

    status: int
    reason: str
    """One word for metrics."""
    body: Mapping[str, Any]


Request = PowerRequest | HealthRequest | PageRequest | Refusal
T = TypeVar("T")


class _BadParameterError(Exception):
    def __init__(self, parameter: str, value: str, allowed: str) -> None:
        super().__init__(parameter)
        self.refusal = Refusal(
            400,
            "parameter",
            {
                "error": f"{parameter}={value[:40]!r} is not allowed: expected {allowed}",
                "parameter": parameter,
                "allowed": allowed,
            },
        )


def parse(method: str, target: str, wants_websocket: bool, pages: frozenset[str]) -> Request:
    """Read a request line; `target` is the path with its query, `pages` the plain pages."""
    path, query = _split(target)
    streams: dict[str, Callable[[dict[str, str]], Request]]
    streams = {POWER_PATH: _power, HEALTH_PATH: _health}
    if path not in pages and path not in streams:
        known = sorted(pages | streams.keys())
        return Refusal(404, "path", {"error": f"no such path: {path[:80]}", "allowed": known})
    if method not in ("GET", "HEAD") or (method == "HEAD" and path in streams):
        return Refusal(405, "method", {"error": f"{method[:20]} is not allowed: use GET"})
    if path in pages:
        return PageRequest(path)
    if not wants_websocket:
        error = f"{path} is a WebSocket: connect with ws://, not http://"
        return Refusal(426, "upgrade", {"error": error})
    try:
        return streams[path](_parameters(query))
    except _BadParameterError as bad:
        return bad.refusal


def _split(target: str) -> tuple[str, str]:
    try:
        parts = urlsplit(target)
    except ValueError:
        return target, ""
    return parts.path, parts.query


def _parameters(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name in parameters:
            raise _BadParameterError(name[:40], value, "to be given once")
        parameters[name] = value
    return parameters


def _power(parameters: dict[str, str]) -> PowerRequest:
    _only(parameters, "module", "interval", "mode", "since")
    allowed_modules = f"a whole number from {MODULES[0]} to {MODULES[-1]}"
    allowed_intervals = f"seconds, a decimal number from {MIN_INTERVAL:g} to {MAX_INTERVAL:g}"
    return PowerRequest(
        _one(parameters, "module", _module, allowed_modules, None),
        _one(parameters, "interval", _interval, allowed_intervals, DEFAULT_INTERVAL),
        _one(parameters, "mode", _mode, f"one of {', '.join(MODES)}", "latest"),
        _one(parameters, "since", _since, "<epoch>:<seq> as in the last message", None),
    )


def _health(parameters: dict[str, str]) -> HealthRequest:
    _only(parameters)
    return HealthRequest()


def _only(parameters: dict[str, str], *known: str) -> None:
    for name, value in parameters.items():
        if name not in known:
            raise _BadParameterError(
                name[:40], value, f"one of the parameters {', '.join(known) or '(none)'}"
            )


def _one(
    parameters: dict[str, str], name: str, read: Callable[[str], T], allowed: str, default: T
) -> T:
    if name not in parameters:
        return default
    try:
        return read(parameters[name])
    except ValueError:
        raise _BadParameterError(name, parameters[name], allowed) from None


def _module(text: str) -> int | None:
    if not _MODULE.fullmatch(text) or int(text) not in MODULES:
        raise ValueError
    return int(text)


def _interval(text: str) -> float:
    # Not float(): it takes nan, infinity, 1_0 and digits of every script.
    if not _DECIMAL.fullmatch(text) or not MIN_INTERVAL <= float(text) <= MAX_INTERVAL:
        raise ValueError
    return float(text)


def _mode(text: str) -> Mode:
    for mode in MODES:
        if text == mode:
            return mode
    raise ValueError


def _since(text: str) -> Position | None:
    match = _POSITION.fullmatch(text)
    if match is None:
        raise ValueError
    return Position(match["epoch"], int(match["seq"]))
