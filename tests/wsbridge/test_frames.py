"""Our frames, as others read them."""

from typing import Any

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from ctp10 import wire
from tests.support.frames import messages
from wsbridge.message import Message

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 100_000]


def text_frame(payload: bytes) -> bytes:
    return Message(payload).frame("ctp10.json")


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_what_the_library_would_have_written(size: int) -> None:
    payload = b"x" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@pytest.mark.parametrize("size", SIZES)
def test_a_client_reads_the_message_back(size: int) -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN, max_size=None)
    client.receive_data(text_frame(b"x" * size))
    (frame,) = client.events_received()
    assert isinstance(frame, Frame)
    assert frame.opcode is Opcode.TEXT
    assert frame.fin
    assert frame.data == b"x" * size


@given(st.lists(st.text(max_size=300)))
def test_frames_written_in_one_piece_come_apart_again(texts: list[str]) -> None:
    payloads = [text.encode() for text in texts]
    assert messages(b"".join(map(text_frame, payloads))) == payloads


json_objects = st.dictionaries(
    st.text(max_size=8),
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=200),
    max_size=8,
)


@given(json_objects)
def test_both_encodings_say_the_same(document: dict[str, Any]) -> None:
    message = Message(orjson.dumps(document))
    (text,) = messages(message.frame("ctp10.json"))
    (binary,) = messages(message.frame("ctp10.msgpack"), Opcode.BINARY)
    assert orjson.loads(text) == msgpack.unpackb(binary) == document


@given(
    st.floats(0, 4e9),
    st.text(st.sampled_from("0123456789abcdef"), min_size=1, max_size=40),
    st.integers(1, 2**53),
)
def test_time_and_position_of_a_reading_are_read_off_without_decoding_it(
    timestamp: float, epoch: str, seq: int
) -> None:
    reading = wire.Reading(
        timestamp=timestamp,
        module=4,
        wavelength_nm=None,
        unit="dBm",
        ch1_power=1.0,
        ch2_power=None,
        ch3_power=None,
        ch4_power=None,
        quality="INVALID",
        epoch=epoch,
        seq=seq,
    )
    message = Message.of(reading)
    assert message.timestamp == timestamp
    assert message.position == (epoch, seq)


def test_time_and_position_of_a_reading_whose_keys_come_in_another_order_are_found_too() -> None:
    message = Message(b'{"seq":7,"epoch":"e","timestamp":5.5,"type":"data"}')
    assert message.timestamp == 5.5
    assert message.position == ("e", 7)
