"""Our frames, as others read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import OP_TEXT, Frame
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from tests.support.frames import text_messages
from wsbridge.frames import text_frame

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 100_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_what_the_library_would_have_written(size: int) -> None:
    payload = b"x" * size
    assert text_frame(payload) == Frame(OP_TEXT, payload).serialize(mask=False)


@pytest.mark.parametrize("size", SIZES)
def test_a_client_reads_the_message_back(size: int) -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN, max_size=None)
    client.receive_data(text_frame(b"x" * size))
    (frame,) = client.events_received()
    assert isinstance(frame, Frame)
    assert frame.opcode is OP_TEXT
    assert frame.fin
    assert frame.data == b"x" * size


@given(st.lists(st.text(max_size=300)))
def test_frames_written_in_one_piece_come_apart_again(texts: list[str]) -> None:
    payloads = [text.encode() for text in texts]
    assert text_messages(b"".join(map(text_frame, payloads))) == payloads
