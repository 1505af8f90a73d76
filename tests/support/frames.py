"""WebSocket messages out of the bytes that a server wrote, read by websockets' own parser."""

from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader


def messages(data: bytes, opcode: Opcode = Opcode.TEXT) -> list[bytes]:
    """Payload of each frame; fails unless all of them are whole and final, and of this kind."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    payloads = []
    while not _at_eof(reader):
        parsing = Frame.parse(reader.read_exact, mask=False)
        try:
            next(parsing)
        except StopIteration as done:
            frame = done.value
        else:
            raise AssertionError("a frame that is not whole")
        assert frame.opcode is opcode
        assert frame.fin
        assert not any((frame.rsv1, frame.rsv2, frame.rsv3))
        payloads.append(bytes(frame.data))
    return payloads


def _at_eof(reader: StreamReader) -> bool:
    try:
        next(reader.at_eof())
    except StopIteration as done:
        return bool(done.value)
    return False
