"""Publishes a reading at a steady rate to a server that is not ours, in that server's own words.

Usage: publish.py lines|mqtt|nats PORT RATE. Runs until it is stopped.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

TOPIC: Final = b"power"


def main() -> None:
    """Connect, then publish for ever."""
    protocol, port, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    greeting, wrap = PROTOCOLS[protocol]
    with socket.create_connection(("127.0.0.1", port)) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.sendall(greeting)
        due = time.monotonic()
        seq = 0
        while True:
            seq += 1
            server.sendall(wrap(reading(time.time(), seq)))
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))


def reading(timestamp: float, seq: int) -> bytes:
    """As it is on the wire of ctp10, and as long."""
    return (
        f'{{"type":"data","timestamp":{timestamp:.6f},"module":4,"wavelength_nm":1310.0,'
        '"unit":"dBm","ch1_power":-17.8512,"ch2_power":-21.5634,"ch3_power":6.9421,'
        '"ch4_power":-60.1212,"quality":"VALID",'
        f'"epoch":"5f0c9d3b7a1e4c2f8d6b0a9e3c7f1d5b","seq":{seq}}}'
    ).encode()


def mqtt_packet(kind: int, body: bytes) -> bytes:
    """MQTT 3.1.1, section 2.2: the kind, then the length in groups of seven bits."""
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes((kind, *digits)) + body


def mqtt_string(text: bytes) -> bytes:
    """Its length, then itself."""
    return struct.pack("!H", len(text)) + text


MQTT_CONNECT: Final = mqtt_packet(
    0x10, mqtt_string(b"MQTT") + bytes((4, 2)) + struct.pack("!H", 0) + mqtt_string(b"")
)
"""Version 3.1.1, clean session, no keepalive, an identifier of the server's choice."""
MQTT_SUBSCRIBE: Final = mqtt_packet(0x82, struct.pack("!H", 1) + mqtt_string(TOPIC) + b"\0")
"""With QoS 0."""
NATS_CONNECT: Final = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
NATS_SUBSCRIBE: Final = b"SUB " + TOPIC + b" 1\r\n"

PROTOCOLS: Final[dict[str, tuple[bytes, Callable[[bytes], bytes]]]] = {
    "lines": (b"", lambda data: data + b"\n"),
    "mqtt": (MQTT_CONNECT, lambda data: mqtt_packet(0x30, mqtt_string(TOPIC) + data)),
    "nats": (NATS_CONNECT, lambda data: b"PUB %s %d\r\n%s\r\n" % (TOPIC, len(data), data)),
}
"""What is said first, and how a reading is wrapped."""

if __name__ == "__main__":
    main()
