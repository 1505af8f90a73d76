"""WebSocket frames from a server (RFC 6455, section 5.2): unmasked, unfragmented. Pure.

One message makes one frame for all clients, so it is built once.
"""

from __future__ import annotations

import struct

_TEXT = 0x81  # FIN, opcode 1


def text_frame(payload: bytes) -> bytes:
    """Frame of a text message; `payload` is UTF-8."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", _TEXT, 126, size) + payload
    return struct.pack("!BBQ", _TEXT, 127, size) + payload
