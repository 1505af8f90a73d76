"""Every setting of wsbridge with its default, its environment variable and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass

from common.settings import ENDPOINT, LOG_FORMAT, LOG_LEVEL, Kind, integer, number, setting, text


@dataclass(frozen=True, slots=True)
class Settings:
    """What `wsbridge` can be told."""

    host: str = setting(
        "127.0.0.1", Kind(text, "a name or an address"), "address to serve on", env="API_HOST"
    )
    port: int = setting(8002, integer(0, 65535), "port to serve on, 0 for any", env="API_PORT")
    subscribe: str = setting("tcp://127.0.0.1:5556", ENDPOINT, "where acquisitiond publishes")
    control: str = setting("tcp://127.0.0.1:5557", ENDPOINT, "where acquisitiond answers")
    workers: int = setting(1, integer(1, 64), "processes that share the port", metavar="N")
    evict_after: float = setting(
        30.0,
        number(1, 3600),
        "seconds without taking anything after which a client is cut off",
        metavar="S",
    )
    log_level: str = setting("INFO", LOG_LEVEL, "least level that is logged", env="LOG_LEVEL")
    log_format: str = setting("text", LOG_FORMAT, "text for people, json for machines")
