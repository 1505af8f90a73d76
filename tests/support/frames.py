"""WebSocket messages out of the bytes that a server wrote, read by websockets' own parser."""

from websockets.frames import OP_TEXT, Frame
from websockets.streams import StreamReader


def text_messages(data: bytes) -> list[bytes]:
    """Payload of each frame; fails unless all of them are whole, final text frames."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    messages = []
    while not _at_eof(reader):
        parsing = Frame.parse(reader.read_exact, mask=False)
        try:
            next(parsing)
        except StopIteration as done:
            frame = done.value
        else:
            raise AssertionError("a frame that is not whole")
        assert frame.opcode is OP_TEXT
        assert frame.fin
        assert not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        frame.data.decode()
        messages.append(bytes(frame.data))
    return messages


def _at_eof(reader: StreamReader) -> bool:
    try:
        next(reader.at_eof())
    except StopIteration as done:
        return bool(done.value)
    return False
