"""IEEE 488.2: identification, event registers, the error queue, operation complete."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acquisitiond.simulator.status import QUEUE_LENGTH

# One instrument for all examples is the point: it is to survive them one after the other.
FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_identity(bench) -> None:
    assert bench.ask("*IDN?") == "EXFO,CTP10,12345,1.0.0"


def test_answers_come_on_one_line_and_only_of_units_that_have_one(bench) -> None:
    power = ":CTP:SENS4:CHAN1:UNIT:Y?"
    assert bench.ask(f"*IDN?;:FOO?;{power};*CLS;X?") == "EXFO,CTP10,12345,1.0.0;0;0"


def test_a_message_without_answers_sends_nothing_at_all(bench) -> None:
    assert bench.raw(b"*CLS") == b""
    assert bench.raw(b"") == b""
    assert bench.raw(b":FOO?") == b""


def test_errors_are_a_queue_oldest_first(bench) -> None:
    bench.ask(":FOO?;*ESE;*ESE 1,2;*ESE X")
    assert bench.ask("SYSTem:ERRor:NEXT?") == "-113,Undefined header"
    assert bench.ask("SYST:ERR?") == "-109,Missing parameter"
    assert bench.ask("syst:err?;err?") == "-108,Parameter not allowed;-104,Data type error"
    assert bench.ask("SYST:ERR?") == "0,No error"


def test_a_full_queue_says_so_in_its_newest_entry(bench) -> None:
    bench.ask(";".join([":FOO"] * (QUEUE_LENGTH + 5)))
    assert bench.errors() == [-113] * (QUEUE_LENGTH - 1) + [-350]
    assert bench.fails(":FOO") == [-113]


@pytest.mark.parametrize(
    ("message", "bit"),
    [(":FOO", 32), (":CTP:SENS4:CHAN1:WAV 1NM", 16), (":CTP:SENS5:CHAN1:POW?", 16)],
)
def test_errors_set_their_event_bit_which_reading_clears(bench, message: str, bit: int) -> None:
    bench.ask(message)
    assert bench.ask("*ESR?;*ESR?") == f"{bit};0"


def test_power_on_is_an_event(make_bench) -> None:
    bench = make_bench()
    assert bench.ask("*ESR?") == "0"  # the bench has cleared it
    fresh = bench.instrument.__class__(bench.model)
    with pytest.raises(StopIteration) as done:
        next(fresh.execute(b"*ESR?"))
    assert done.value.value == b"128\r\n"


def test_the_status_byte_sums_up(bench) -> None:
    assert bench.ask("*STB?") == "0"
    assert bench.ask("*IDN?;*STB?").endswith(";16")  # an answer waits already
    bench.ask(":FOO")
    assert bench.ask("*STB?") == "4"
    bench.ask("*ESE 32")
    assert bench.ask("*STB?") == "36"
    bench.ask("*SRE 32")
    assert bench.ask("*STB?") == "100"
    bench.ask("*CLS")
    assert bench.ask("*STB?;*ESE?;*SRE?") == "0;32;32"


def test_masks_are_bytes_and_bit_6_of_the_service_mask_is_none(bench) -> None:
    assert bench.ask("*ESE 255;*ESE?;*SRE 255;*SRE?") == "255;191"
    assert bench.fails("*ESE 256") == [-222]
    assert bench.fails("*SRE -1") == [-222]


def test_operation_complete(bench) -> None:
    assert bench.ask("*OPC?;*TST?") == "1;0"
    bench.ask("*CLS;:INIT;*OPC")
    assert bench.ask("*ESR?") == "0"
    bench.now += 10.0
    assert bench.ask("*ESR?") == "1"


def test_operation_complete_query_and_wait_hold_the_session(bench) -> None:
    assert bench.ask(":INIT;:STAT:OPER:COND?;*OPC?;:STAT:OPER:COND?") == "4;1;0"
    assert bench.now == pytest.approx(60 / 50, abs=0.05)
    assert bench.ask(":INIT;*WAI;:STAT:OPER:COND?") == "0"


@pytest.mark.parametrize("cancel", ["*CLS", "*RST"])
def test_clear_and_reset_cancel_a_waiting_operation_complete(bench, cancel: str) -> None:
    bench.ask(f":INIT;*OPC;{cancel}")
    bench.now += 10.0
    assert bench.ask("*ESR?") == "0"


def test_reset_makes_settings_what_they_were_and_keeps_the_errors(bench) -> None:
    questions = (
        ":CTP:SENS4:CHAN1:UNIT:Y?;X?;:CTP:SENS4:CHAN1:WAV?;FUNC:TRIG?;:CTP:RLAS1:POW?;WAV?;"
        ":INIT:WAV:STAR?;STOP?;SAMP?;:INIT:TLS1:ID?;SPE?;POW?;TRIG?;:INIT:STAB?;:STAT:OPER:COND?"
    )
    before = bench.ask(questions)
    bench.ask(
        ":CTP:SENS4:CHAN1:UNIT:Y MW;X FREQ;:CTP:SENS4:CHAN1:WAV 1550NM;FUNC:TRIG 1;"
        ":CTP:RLAS1:POW 1;WAV 1500NM;:INIT:WAV:STAR 1500NM;STOP 1510NM;SAMP 1PM;"
        ":INIT:TLS1:ID 2;SPE 20;POW 3;TRIG 2;:INIT:STAB 0,1;:INIT;:FOO"
    )
    after = bench.ask(questions).split(";")
    assert all(a != b for a, b in zip(before.split(";"), after, strict=True))
    bench.ask("*RST")
    assert bench.ask(questions) == before
    assert bench.errors() == [-113]


@FUZZ
@given(message=st.binary(max_size=200))
def test_any_message_is_executed_without_an_exception(bench, message: bytes) -> None:
    bench.raw(message)


_PIECES = st.sampled_from(
    ["*OPC?", ":INIT", ":ABOR", "*RST", ":CTP:SENS4:CHAN1:POW?", ":TRAC:TYPE1:DATA?", "CTP",
     ":SENS4", "WAV", " 1550NM", " 1", ",", ";", "?", " -1E400", " BIN,DB", " ON", " 2",
     ":INIT:WAV:STAR", ":STOP", ":INIT:TLS1:SPE", ":INIT:WAV:SAMP", " 0.02PM", " 1680NM",
     " 1240NM", ":INIT:TLS2:ID"]
)  # fmt: skip


@FUZZ
@given(pieces=st.lists(_PIECES, max_size=30))
def test_any_stringing_together_is_executed_without_an_exception(bench, pieces: list[str]) -> None:
    bench.raw("".join(pieces).encode())
    bench.ask("*RST")
