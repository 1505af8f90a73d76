"""Logging of a service: one line a fact, as text for people or as JSON for machines, on stderr."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "service": record.name,
            "message": _encodable(record.getMessage()),
        }
        if record.exc_info:
            document["exception"] = _encodable(self.formatException(record.exc_info))
        return orjson.dumps(document).decode()


def _encodable(text: str) -> str:
    # A file name that is not UTF-8 has lone surrogates, which JSON cannot say.
    return text.encode("utf-8", "backslashreplace").decode()


def setup_logging(level: str, style: str) -> None:
    """Send everything from `level` up to stderr; `style` is ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(_Json())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Libraries tell their own story at INFO: a line for every connection is not a fact of ours.
    for library in ("websockets", "asyncio", "pyvisa"):
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLevelName(level)))
