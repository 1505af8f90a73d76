"""The wire contract: golden bytes, the schema, and a decoder that nothing can upset."""

import dataclasses
import math
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ctp10 import wire
from ctp10.wire import WireError

FIXTURES = Path(__file__).parent.parent / "fixtures" / "wire"
EPOCH = "5f0c2a9be47d1380"
WHEN = 1764000000.123456
ISO = "2025-11-24T16:00:00.123456+00:00"

READING = wire.Reading(
    timestamp=WHEN,
    module=4,
    wavelength_nm=1310.0,
    unit="dBm",
    ch1_power=-17.85,
    ch2_power=-21.56,
    ch3_power=6.94,
    ch4_power=-60.12,
    quality="VALID",
    epoch=EPOCH,
    seq=1234,
)
STATUS = wire.Status(
    timestamp=WHEN,
    state="connected",
    instrument="EXFO,CTP10,12345,1.0.0",
    address="TCPIP::192.168.1.37::5025::SOCKET",
    error=None,
    modules=[4],
    simulated=False,
    epoch=EPOCH,
    seq=2,
)
EXAMPLES: dict[str, wire.Message] = {
    "gap": wire.Gap(module=4, epoch="5f0c", from_seq=12, to_seq=20, reason="evicted"),
    "gap-epoch": wire.Gap(module=4, epoch="5f0c", from_seq=21, to_seq=None, reason="epoch_changed"),
    "resumed": wire.Resumed(recovered=True, epoch="5f0c", seq=1234),
    "reading": READING,
    "reading-milliwatts": dataclasses.replace(
        READING, unit="mW", ch1_power=0.0164, ch2_power=0.00698, ch3_power=4.943, ch4_power=0.0012
    ),
    "reading-six-detectors": dataclasses.replace(READING, ch5_power=-3.5, ch6_power=-4.25),
    "reading-two-detectors": dataclasses.replace(READING, ch3_power=None, ch4_power=None),
    "reading-invalid": dataclasses.replace(READING, ch2_power=None, quality="INVALID"),
    "reading-nothing": dataclasses.replace(
        READING,
        wavelength_nm=None,
        ch1_power=None,
        ch2_power=None,
        ch3_power=None,
        ch4_power=None,
        quality="INVALID",
    ),
    "reading-stale": dataclasses.replace(READING, quality="STALE"),
    "summary-mean": wire.Summary(
        timestamp=WHEN,
        module=4,
        wavelength_nm=1310.0,
        unit="dBm",
        ch1_power=-17.85,
        ch2_power=-21.56,
        ch3_power=6.94,
        ch4_power=None,
        mode="mean",
        count=10,
        quality="INVALID",
        epoch=EPOCH,
        seq=1234,
    ),
    "summary-envelope": wire.Summary(
        timestamp=WHEN,
        module=4,
        wavelength_nm=1310.0,
        unit="dBm",
        ch1_power=-17.85,
        ch2_power=-21.56,
        ch3_power=6.94,
        ch4_power=-60.12,
        mode="envelope",
        count=10,
        min=[-17.86, -21.75, 6.5, None],
        max=[-17.84, -21.5, 6.95, None],
        quality="VALID",
        epoch=EPOCH,
        seq=1234,
    ),
    "status-connected": STATUS,
    "status-connecting": dataclasses.replace(
        STATUS, state="connecting", instrument=None, error="not connected yet", seq=1
    ),
    "status-simulated": dataclasses.replace(
        STATUS, address="TCPIP::127.0.0.1::40001::SOCKET", modules=[1, 4], simulated=True
    ),
    "heartbeat": wire.Heartbeat(
        timestamp=WHEN,
        state="connected",
        latest={"status/": 2, "power/4/": 1234, "heartbeat/": 124},
        periods={"4": 0.1, "7": 0.01},
        epoch=EPOCH,
        seq=124,
    ),
    "error-bridge": wire.Error(
        message="acquisitiond has been silent for 2.6 s",
        timestamp=ISO,
        recoverable=True,
        error_count=1,
        module=4,
    ),
    "error-module": wire.Error(
        message="module 7 is not in the instrument",
        timestamp=ISO,
        recoverable=True,
        error_count=3,
        module=7,
        epoch=EPOCH,
        seq=3,
    ),
    "error-plain": wire.Error(
        message="this server is for viewers only", timestamp=ISO, recoverable=False, error_count=1
    ),
    "client-heartbeat": wire.ClientHeartbeat(
        timestamp=ISO,
        active_streams=3,
        state="connected",
        due=304,
        sent=301,
        conflated=2,
        dropped=1,
    ),
    "reconnect": wire.Reconnect(reason="the server is restarting", retry_after=5.0),
    "pong": wire.Pong(timestamp=ISO),
}
TOPICAL = {
    name: message
    for name, message in EXAMPLES.items()
    if isinstance(message, tuple(wire.TOPIC_MESSAGES.values()))
}

SCHEMA = wire.json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def golden(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def document_of(name: str) -> dict[str, Any]:
    document = orjson.loads(golden(name))
    assert isinstance(document, dict)
    return document


def refused(payload: bytes) -> str:
    with pytest.raises(WireError) as caught:
        wire.decode(payload)
    return str(caught.value)


# --- golden bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_is_encoded_as_its_golden_bytes(name: str) -> None:
    assert wire.encode(EXAMPLES[name]) == golden(name)


@pytest.mark.parametrize("name", TOPICAL)
def test_golden_bytes_are_decoded_as_their_message(name: str) -> None:
    assert wire.decode(golden(name)) == TOPICAL[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_bytes_are_valid_by_the_schema_of_their_own_type_alone(name: str) -> None:
    document = document_of(name)
    VALIDATOR.validate(document)
    kinds = [type(EXAMPLES[name]).__name__]
    if kinds == ["Summary"]:
        kinds = ["Reading", "Summary"]  # to who knows no summaries it is a reading
    fitting = [
        each
        for each in SCHEMA["$defs"]
        if Draft202012Validator(SCHEMA["$defs"][each]).is_valid(document)
    ]
    assert fitting == kinds


def test_every_message_type_has_an_example_and_every_fixture_belongs_to_one() -> None:
    assert {type(message) for message in EXAMPLES.values()} == set(get_args(wire.Message))
    assert {path.stem for path in FIXTURES.glob("*.json")} == set(EXAMPLES)


def test_the_keys_of_a_reading_come_in_the_order_of_the_contract() -> None:
    assert list(document_of("reading")) == [
        "type",
        "timestamp",
        "module",
        "wavelength_nm",
        "unit",
        "ch1_power",
        "ch2_power",
        "ch3_power",
        "ch4_power",
        "quality",
        "epoch",
        "seq",
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_type_comes_first_so_that_a_bridge_can_tell_messages_apart_by_their_start(
    name: str,
) -> None:
    assert golden(name).startswith(b'{"type":"%s",' % EXAMPLES[name].type.encode())


def test_the_fifth_and_sixth_detector_stand_after_the_fourth_and_only_where_they_exist() -> None:
    keys = list(document_of("reading-six-detectors"))
    assert keys[keys.index("ch4_power") + 1 : keys.index("quality")] == ["ch5_power", "ch6_power"]
    assert "ch5_power" not in document_of("reading")
    assert document_of("reading-two-detectors")["ch4_power"] is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_become_null(value: float) -> None:
    payload = wire.encode(dataclasses.replace(READING, ch1_power=value))
    assert orjson.loads(payload)["ch1_power"] is None


def test_a_reading_gives_its_six_powers_in_order() -> None:
    assert READING.powers == (-17.85, -21.56, 6.94, -60.12, None, None)


# --- near misses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOPICAL)
def test_a_missing_key_is_refused_by_name_unless_it_is_optional(name: str) -> None:
    optional = {"ch5_power", "ch6_power"} if name.startswith("reading") else set()
    if name.startswith("error"):
        optional = {"module", "epoch", "seq"}
    for key in document_of(name).keys() - optional:
        document = document_of(name)
        del document[key]
        assert not VALIDATOR.is_valid(document), key
        assert key in refused(orjson.dumps(document)) or key == "type"


@pytest.mark.parametrize("name", TOPICAL)
def test_a_value_of_another_type_is_refused_by_name(name: str) -> None:
    for key in document_of(name):
        document = document_of(name) | {key: [{"no": "value"}]}
        assert not VALIDATOR.is_valid(document), key
        message = refused(orjson.dumps(document))
        assert key in message
        assert len(message) < 200


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("reading", {"type": "Data"}),
        ("reading", {"module": "4"}),
        ("reading", {"module": True}),
        ("reading", {"module": 4.5}),
        ("reading", {"module": None}),
        ("reading", {"unit": "dbm"}),
        ("reading", {"unit": None}),
        ("reading", {"quality": "valid"}),
        ("reading", {"seq": "1"}),
        ("reading", {"timestamp": ISO}),
        ("reading", {"timestamp": None}),
        ("reading", {"ch1_power": "-17.85"}),
        ("reading", {"ch1_power": False}),
        ("reading", {"ch5_power": ""}),
        ("status-connected", {"state": "up"}),
        ("status-connected", {"modules": ["4"]}),
        ("status-connected", {"modules": 4}),
        ("status-connected", {"simulated": 0}),
        ("heartbeat", {"latest": {"power/4/": "1"}}),
        ("heartbeat", {"latest": []}),
        ("heartbeat", {"periods": {"4": None}}),
        ("error-bridge", {"recoverable": "yes"}),
        ("error-bridge", {"timestamp": WHEN}),
        ("error-bridge", {"message": None}),
    ],
)
def test_near_misses_are_refused_by_the_decoder_and_by_the_schema(
    name: str, change: dict[str, Any]
) -> None:
    document = document_of(name) | change
    assert not VALIDATOR.is_valid(document)
    refused(orjson.dumps(document))


@pytest.mark.parametrize("name", TOPICAL)
def test_keys_of_a_newer_publisher_are_ignored(name: str) -> None:
    document = document_of(name) | {"colour": {"r": 1}, "z": None}
    VALIDATOR.validate(document)
    assert wire.decode(orjson.dumps(document)) == TOPICAL[name]


@pytest.mark.parametrize("name", ["client-heartbeat", "reconnect", "pong"])
def test_what_only_a_bridge_says_has_no_place_on_a_topic(name: str) -> None:
    refused(golden(name))


@pytest.mark.parametrize("name", ["summary-mean", "summary-envelope"])
def test_a_summary_is_a_reading_to_who_knows_no_summaries(name: str) -> None:
    summary, reading = EXAMPLES[name], wire.decode(golden(name))
    assert isinstance(summary, wire.Summary)
    assert isinstance(reading, wire.Reading)
    for field in dataclasses.fields(wire.Reading):
        assert getattr(reading, field.name) == getattr(summary, field.name)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"null",
        b"4",
        b'"data"',
        b"[]",
        b"{}",
        b'{"type":null}',
        b'{"type":["data"]}',
        b'{"type":{}}',
        b'{"type":"data"}',
        b'{"type":"data"',
        b"NaN",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"type":"data","timestamp":1e999}',
    ],
)
def test_garbage_is_refused(payload: bytes) -> None:
    refused(payload)


# --- properties ----------------------------------------------------------------------------------

floats = st.floats(allow_nan=False, allow_infinity=False)
powers = st.none() | floats
words = st.text(max_size=12)
whole = st.integers(-(2**53), 2**53)
topical_messages = st.one_of(
    st.builds(
        wire.Reading,
        timestamp=floats,
        module=whole,
        wavelength_nm=powers,
        ch1_power=powers,
        ch2_power=powers,
        ch3_power=powers,
        ch4_power=powers,
        ch5_power=powers,
        ch6_power=powers,
        epoch=words,
        seq=whole,
    ),
    st.builds(
        wire.Status,
        timestamp=floats,
        instrument=st.none() | words,
        address=words,
        error=st.none() | words,
        modules=st.lists(whole, max_size=4),
        epoch=words,
        seq=whole,
    ),
    st.builds(
        wire.Heartbeat,
        timestamp=floats,
        latest=st.dictionaries(words, whole, max_size=4),
        periods=st.dictionaries(words, floats, max_size=4),
        epoch=words,
        seq=whole,
    ),
    st.builds(
        wire.Error,
        message=words,
        timestamp=words,
        error_count=whole,
        module=st.none() | whole,
        epoch=st.none() | words,
        seq=st.none() | whole,
    ),
)
# Never a float like 1.0: to JSON Schema that is an integer, to a program it is none.
json_values = st.recursive(
    st.none() | st.booleans() | whole | floats.filter(lambda x: not x.is_integer()) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(topical_messages)
def test_what_was_encoded_is_decoded_as_the_same_and_is_valid_by_the_schema(
    message: wire.Reading | wire.Status | wire.Heartbeat | wire.Error,
) -> None:
    payload = wire.encode(message)
    assert wire.decode(payload) == message
    VALIDATOR.validate(orjson.loads(payload))


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused_and_nothing_else_happens(payload: bytes) -> None:
    with suppress(WireError):
        wire.decode(payload)


@given(json_values)
def test_any_json_is_decoded_or_refused_and_nothing_else_happens(value: Any) -> None:
    with suppress(WireError):
        wire.decode(orjson.dumps(value))


@given(st.sampled_from(sorted(TOPICAL)), st.data())
def test_decoder_and_schema_agree_on_what_a_damaged_message_is(name: str, data: Any) -> None:
    document = document_of(name)
    for key in data.draw(st.lists(st.sampled_from(sorted(document)), max_size=2)):
        if data.draw(st.booleans()):
            document.pop(key, None)
        else:
            document[key] = data.draw(json_values)
    try:
        wire.decode(orjson.dumps(document))
    except WireError:
        decoded = False
    else:
        decoded = True
    assert decoded == VALIDATOR.is_valid(document)


# --- topics --------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", wire.MODULES)
def test_a_power_topic_leads_back_to_its_module(module: int) -> None:
    assert wire.parse_power_topic(wire.power_topic(module)) == module


def test_no_topic_of_a_module_begins_with_that_of_another() -> None:
    topics = [wire.power_topic(module) for module in wire.MODULES]
    for topic in topics:
        assert [other for other in topics if other.startswith(topic)] == [topic]
        assert topic.startswith(wire.POWER)


@pytest.mark.parametrize(
    "topic",
    [
        b"",
        b"power",
        b"power/",
        b"power/4",
        b"power//",
        b"power/0/",
        b"power/21/",
        b"power/04/",
        b"power/+4/",
        b"power/-4/",
        b"power/1_0/",
        b"power/ 4/",
        b"power/4/x",
        b"power/4/4/",
        b"power/x/",
        b"power/\xd9\xa4/",
        b"power/" + b"9" * 5000 + b"/",
        b"status/",
        b"rate/4/50/",
    ],
)
def test_other_topics_are_no_power_topic(topic: bytes) -> None:
    assert wire.parse_power_topic(topic) is None


@given(
    st.sampled_from(wire.MODULES),
    st.floats(1 / wire.MAX_INTERVAL, 1 / wire.MIN_INTERVAL),
)
def test_a_rate_topic_leads_back_to_its_module_and_rate(module: int, hz: float) -> None:
    parsed = wire.parse_rate_topic(wire.rate_topic(module, hz))
    assert parsed is not None
    assert parsed[0] == module
    assert parsed[1] == pytest.approx(hz, rel=1e-5)


def test_rates_are_written_without_ornament() -> None:
    assert wire.rate_topic(4, 50.0) == b"rate/4/50/"
    assert wire.rate_topic(4, 1 / 0.3) == b"rate/4/3.33333/"


@pytest.mark.parametrize(
    "topic",
    [
        b"rate/",
        b"rate/4/",
        b"rate/4/50",
        b"rate/4//",
        b"rate/4/0/",
        b"rate/4/-5/",
        b"rate/4/nan/",
        b"rate/4/inf/",
        b"rate/4/1e999/",
        b"rate/4/x/",
        b"rate/0/50/",
        b"rate/21/50/",
        b"rate/4/50/1/",
        b"rate/4/\xff/",
        b"power/4/",
    ],
)
def test_other_topics_are_no_rate_topic(topic: bytes) -> None:
    assert wire.parse_rate_topic(topic) is None


@given(st.binary(max_size=40) | st.binary(max_size=20).map(lambda tail: b"rate/4/" + tail))
def test_any_bytes_may_be_taken_for_a_topic(topic: bytes) -> None:
    module = wire.parse_power_topic(topic)
    assert module is None or module in wire.MODULES
    match wire.parse_rate_topic(topic):
        case None:
            pass
        case (module, hz):
            assert module in wire.MODULES
            assert 0 < hz < math.inf


def test_timestamps_for_people_are_iso_8601_in_utc_with_microseconds() -> None:
    assert wire.iso_timestamp(WHEN) == ISO
    assert wire.iso_timestamp(0) == "1970-01-01T00:00:00.000000+00:00"
