"""Every setting of acquisitiond with its default, its environment variable and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.settings import (
    ENDPOINT,
    LOG_FORMAT,
    LOG_LEVEL,
    SWITCH,
    Kind,
    SettingsError,
    integer,
    number,
    setting,
    text,
)
from ctp10.wire import MODULES

_SOCKET = re.compile(
    r"TCPIP\d*::(?P<host>[^:\s]+)::(?P<port>\d{1,5})::SOCKET", re.IGNORECASE | re.ASCII
)


def _address(value: Any) -> str:
    match = _SOCKET.fullmatch(text(value))
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise ValueError
    return match.string


_MODULES = integer(MODULES[0], MODULES[-1], many=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """What `acquisitiond` can be told."""

    simulate: bool = setting(
        False, SWITCH, "start a simulated instrument and connect to it", env="MOCK_MODE"
    )
    address: str = setting(
        "TCPIP::192.168.1.37::5025::SOCKET",
        Kind(_address, "a VISA socket resource such as TCPIP::192.168.1.37::5025::SOCKET"),
        "VISA resource of the instrument (or CTP10_IP and CTP10_PORT)",
        env="CTP10_ADDRESS",
        metavar="VISA",
    )
    timeout_ms: int = setting(
        5000, integer(10, 600_000), "deadline of one command, milliseconds", env="CTP10_TIMEOUT_MS"
    )
    modules: tuple[int, ...] = setting(
        (4,), _MODULES, "module to read always (repeat for several)", env="DEFAULT_MODULE"
    )
    rate: float = setting(10.0, number(0.1, 1000), "readings a second of each module")
    max_rate: float = setting(
        100.0, number(0.1, 1000), "most readings a second, whatever viewers ask for"
    )
    history_mb: float = setting(
        16.0, number(0.01, 4096), "MiB of messages kept for each topic, for whoever missed some"
    )
    publish: str = setting("tcp://127.0.0.1:5556", ENDPOINT, "where readings are published")
    control: str = setting("tcp://127.0.0.1:5557", ENDPOINT, "where requests are answered")
    metrics_port: int = setting(
        9810, integer(0, 65535), "port of /metrics on 127.0.0.1, 0 for any free one"
    )
    log_level: str = setting("INFO", LOG_LEVEL, "least level that is logged", env="LOG_LEVEL")
    log_format: str = setting("text", LOG_FORMAT, "text for people, json for machines")

    def __post_init__(self) -> None:
        """Refuse what only the combination shows to be wrong."""
        if self.rate > self.max_rate:
            raise SettingsError(
                f"rate = {self.rate:g} is above max_rate = {self.max_rate:g}: lower the one or "
                "raise the other"
            )


def with_ip_and_port(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Let ``CTP10_IP`` and ``CTP10_PORT`` stand for ``CTP10_ADDRESS`` where it is not set."""
    ip, port = environ.get("CTP10_IP"), environ.get("CTP10_PORT")
    if environ.get("CTP10_ADDRESS") or not (ip or port):
        return environ
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise SettingsError(
            f"CTP10_PORT = {port!r} (from environment) is not allowed: expected 1 to 65535"
        )
    address = f"TCPIP::{ip or '192.168.1.37'}::{port or 5025}::SOCKET"
    return {**environ, "CTP10_ADDRESS": address}
