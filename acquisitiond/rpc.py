"""JSON-RPC 2.0, server side: bytes in, bytes out. Pure; the methods are handed in.

https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

log = logging.getLogger("acquisitiond")

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
MAX_BATCH: Final = 50

Method = Callable[[Mapping[str, Any]], Any]
"""Takes the named parameters, returns what JSON can say; may raise `RpcError`."""


class RpcError(Exception):
    """An error for the caller, with its JSON-RPC code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def handle(payload: bytes, methods: Mapping[str, Method]) -> tuple[bytes | None, int]:
    """Answer one request or batch.

    Returns the response, None if there was nothing but notifications, and the number of errors.
    """
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return _dump(_error(None, PARSE_ERROR, f"not JSON: {error}")), 1
    if not isinstance(document, list):
        response = _one(document, methods)
        return (None, 0) if response is None else (_dump(response), int("error" in response))
    if not document or len(document) > MAX_BATCH:
        return _dump(_error(None, INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} requests")), 1
    responses = [r for item in document if (r := _one(item, methods)) is not None]
    errors = sum("error" in response for response in responses)
    return (_dump(responses) if responses else None), errors


def _one(request: Any, methods: Mapping[str, Method]) -> dict[str, Any] | None:
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        return _error(None, INVALID_REQUEST, 'a request is an object with "jsonrpc": "2.0"')
    number = request.get("id")
    if isinstance(number, bool) or not isinstance(number, str | int | float | None):
        return _error(None, INVALID_REQUEST, "id must be a string, a number or null")
    name = request.get("method")
    if not isinstance(name, str):
        return _error(number, INVALID_REQUEST, "method must be a string")
    try:
        # Encoded here, so that a result that JSON cannot say is an error of this request alone.
        result = orjson.Fragment(_dump(_call(name, request, methods)))
        response = {"jsonrpc": "2.0", "id": number, "result": result}
    except RpcError as error:
        response = _error(number, error.code, str(error))
    except Exception:
        log.exception("control method %s failed", name)
        response = _error(number, INTERNAL_ERROR, f"{name} failed; see the daemon's log")
    return response if "id" in request else None


def _call(name: str, request: dict[str, Any], methods: Mapping[str, Method]) -> Any:
    method = methods.get(name)
    if method is None:
        known = ", ".join(sorted(methods))
        raise RpcError(METHOD_NOT_FOUND, f"no method {name[:80]!r}; known are {known}")
    params = request.get("params", {})
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object: parameters have names here")
    return method(params)


def only(params: Mapping[str, Any], *allowed: str) -> None:
    """Refuse parameters that the method does not have. Raises RpcError."""
    for name in params:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise RpcError(INVALID_PARAMS, f"unknown parameter {name[:80]!r}; known are: {known}")


def _error(number: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def _dump(response: Any) -> bytes:
    return orjson.dumps(response)
