"""Traces: answers of each row, and their agreement with the model to the float32."""

import struct
from array import array

import pytest

TRACE = ":TRACe:SENSe4:CHANnel1:TYPE"


@pytest.fixture
def swept(bench):
    bench.ask(":INIT:WAV:STAR 1549NM;STOP 1551NM;SAMP 1PM;:INIT:TLS1:POW 2;:INIT;*OPC?")
    return bench


def floats(block: bytes, code: str) -> list[float]:
    digits = int(block[1:2])
    size = int(block[2 : 2 + digits])
    data = block[2 + digits :]
    assert block[:1] == b"#"
    assert len(data) == size
    return list(struct.unpack(f">{size // struct.calcsize(code)}{code}", data))


def finish(execution) -> bytes:
    while True:
        try:
            next(execution)
        except StopIteration as done:
            return done.value


def single(value: float) -> float:
    return array("f", [value])[0]


def test_the_grid(swept) -> None:
    assert (
        swept.ask(f"{TRACE}1:DATA:LENGth?;SAMPling?;STARt?")
        == "2001;1.00000000E-012;1.54900000E-006"
    )


def test_the_default_sweep_has_the_length_of_the_manual(bench) -> None:
    bench.ask(":INIT;*OPC?")
    assert bench.ask(f"{TRACE}11:DATA:LENG?") == "6001"


@pytest.mark.parametrize("channel", [1, 2, 3, 4])
def test_the_transfer_function_is_the_model_to_the_float32(swept, channel: int) -> None:
    values = floats(swept.raw(b":TRAC:SENS4:CHAN%d:TYPE1:DATA? BIN,DB" % channel), "f")
    assert values == [
        single(swept.model.transmission_db(4, channel, 1549.0 + i * 1e-3)) for i in range(2001)
    ]


def test_live_is_reference_and_transfer_function(swept) -> None:
    tf, live, reference, quick = (
        floats(swept.raw(f"{TRACE}{kind}:DATA:Y? BIN,DB".encode()), "f") for kind in (1, 11, 12, 13)
    )
    assert live == pytest.approx([r + t for r, t in zip(reference, tf, strict=True)], abs=1e-5)
    assert quick == reference
    assert reference == pytest.approx([2.0 - 0.9] * 2001, abs=0.2)


@pytest.mark.parametrize("form", ["ASCII", "ascii", "0"])
def test_text_says_what_the_block_says(swept, form: str) -> None:
    fields = swept.ask(f"{TRACE}1:DATA? {form},DB").split(",")
    block = floats(swept.raw(f"{TRACE}1:DATA? BIN,DB".encode()), "f")
    assert [single(float(field)) for field in fields] == block


def test_the_wavelengths(swept) -> None:
    metres = floats(swept.raw(f"{TRACE}1:DATA:X? BIN,M".encode()), "d")
    assert metres == pytest.approx([(1549.0 + i * 1e-3) * 1e-9 for i in range(2001)], rel=1e-12)
    hertz = floats(swept.raw(f"{TRACE}1:DATA:X? BIN,HZ".encode()), "d")
    assert hertz == pytest.approx([299_792_458.0 / m for m in metres], rel=1e-12)


def test_there_are_notches(bench) -> None:
    bench.ask(":INIT;*OPC?")
    values = floats(bench.raw(f"{TRACE}1:DATA? BIN,DB".encode()), "f")
    neighbours = ((i, values[i - 50 : i + 51]) for i in range(50, len(values) - 50))
    notches = [i for i, near in neighbours if values[i] == min(near) < max(near) - 6.0]
    assert len(notches) > 20
    assert min(values) > -70.0


def test_a_block_ends_with_its_last_byte_unless_told_otherwise(swept, make_bench) -> None:
    answer = swept.raw(f"*IDN?;{TRACE}1:DATA? BIN,DB".encode())
    assert len(answer.split(b";", 1)[1]) == len("#48004") + 8004
    answer = swept.raw(f"{TRACE}1:DATA? BIN,DB;*IDN?".encode())
    assert answer.endswith(b";EXFO,CTP10,12345,1.0.0\r\n")
    polite = make_bench(terminate_blocks=True)
    polite.ask(":INIT;*OPC?")
    assert polite.raw(f"{TRACE}1:DATA? BIN,DB".encode()).endswith(b"\r\n")


def test_save(swept) -> None:
    assert swept.ask(f"{TRACE}1:SAVE;:STAT:OPER:COND?;*OPC?;:STAT:OPER:COND?") == "4096;1;0"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("1:DATA?", -109),
        ("1:DATA? BIN", -109),
        ("1:DATA? BIN,DB,1", -108),
        ("1:DATA? BINARY,DB", -224),
        ("1:DATA? 1,DB", -224),
        ("1:DATA? 'BIN',DB", -104),
        ("1:DATA? BIN,DBM", -224),
        ("1:DATA:X? BIN,NM", -224),
        ("1:DATA:X? ASCII,M", -224),
        ("2:DATA? BIN,DB", -230),
        ("2:DATA:LENG?", -230),
        ("24:DATA? BIN,DB", -114),
        ("1:DATA", -113),
    ],
)
def test_what_a_trace_refuses(swept, message: str, code: int) -> None:
    assert swept.fails(f"{TRACE}{message}") == [code]


@pytest.mark.parametrize(
    "message",
    ["DATA:LENG?", "DATA:SAMP?", "DATA:STAR?", "DATA? BIN,DB", "DATA:X? BIN,M", "SAVE"],
)
def test_without_a_sweep_there_is_no_trace(bench, message: str) -> None:
    assert bench.fails(f"{TRACE}1:{message}") == [-230]
    assert bench.fails(f":TRAC:SENS4:CHAN5:TYPE1:{message}") == [-241]
    bench.ask(":INIT")
    assert bench.fails(f"{TRACE}1:{message}") == [-230]


def test_the_next_sweep_takes_the_traces_of_the_last_one_away(swept) -> None:
    length = f"{TRACE}1:DATA:LENG?"
    before = swept.raw(f"{TRACE}1:DATA? BIN,DB".encode())
    swept.ask(":INIT:WAV:STAR 1559NM;STOP 1561NM;:INIT")
    assert swept.fails(length) == [-230]
    assert swept.ask(f"*OPC?;{length}") == "1;2001"
    assert swept.raw(f"{TRACE}1:DATA? BIN,DB".encode()) != before
    swept.ask(":INIT;:ABOR")
    assert swept.fails(length) == [-230]


def test_two_sessions_share_the_work_of_one_trace(swept) -> None:
    message = f"{TRACE}1:DATA? BIN,DB".encode()
    alone = swept.raw(message)
    swept.ask(":INIT;*OPC?")
    executions = [swept.instrument.execute(message) for _ in range(2)]
    answers = []
    while executions:
        for execution in list(executions):
            try:
                assert next(execution) == 0.0  # it only wants to let others have a turn
            except StopIteration as done:
                answers.append(done.value)
                executions.remove(execution)
    assert answers == [alone, alone]


def test_a_trace_under_way_is_not_changed_by_the_next_sweep(swept) -> None:
    message = f"{TRACE}1:DATA? BIN,DB".encode()
    execution = swept.instrument.execute(message)
    next(execution)
    swept.ask(":INIT:WAV:STAR 1400NM;STOP 1450NM;:INIT")
    assert len(finish(execution)) == len("#48004") + 8004
