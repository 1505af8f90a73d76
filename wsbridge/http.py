"""Plain HTTP responses: JSON, and the pages of the dashboard, loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

import orjson
from websockets.datastructures import Headers
from websockets.http11 import Response

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_SECURITY: Final = {
    # Nothing from elsewhere, nothing inline; ws: for browsers in which 'self' does not cover it.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def response(status: int, content_type: str, body: bytes) -> Response:
    """A response that ends the connection, as all of ours do."""
    headers = Headers()
    headers["Content-Type"] = content_type
    headers["Content-Length"] = str(len(body))
    headers["Cache-Control"] = "no-cache"
    headers["Connection"] = "close"
    for name, value in _SECURITY.items():
        headers[name] = value
    if status == 405:
        headers["Allow"] = "GET, HEAD"
    if status == 426:
        headers["Upgrade"] = "websocket"
    return Response(status, HTTPStatus(status).phrase, headers, body)


def json_response(status: int, body: Mapping[str, Any]) -> Response:
    """A JSON object."""
    return response(status, "application/json", orjson.dumps(body) + b"\n")


def load_pages() -> dict[str, tuple[str, bytes]]:
    """Content type and bytes of each page, by path; ``/`` is the dashboard."""
    pages = {}
    for entry in files("wsbridge").joinpath("static").iterdir():
        suffix = "." + entry.name.rpartition(".")[2]
        if suffix in _TYPES:
            path = "/" if entry.name == "index.html" else f"/{entry.name}"
            pages[path] = (_TYPES[suffix], entry.read_bytes())
    return pages
