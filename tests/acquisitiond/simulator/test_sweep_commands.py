"""The sweep: settings that move each other, the condition register, abort, what detectors see."""

import pytest

from acquisitiond.simulator.sweep import FINE_SAMPLINGS

CONDITION = ":STAT:OPER:COND?"


def span(bench) -> tuple[float, float]:
    start, stop = bench.ask(":INIT:WAV:STAR?;STOP?").split(";")
    return float(start) * 1e9, float(stop) * 1e9


def test_settings_are_asked_back_in_metres(bench) -> None:
    bench.ask(":INITiate:WAVelength:STARt 1530NM;STOP 1565NM;SAMPling 5PM")
    assert (
        bench.ask(":INIT:WAV:STAR?;STOP?;SAMP?")
        == "1.53000000E-006;1.56500000E-006;5.00000000E-012"
    )


def test_one_end_moves_the_other_rather_than_pass_it(bench) -> None:
    bench.ask(":INIT:WAV:STAR 1600NM")
    assert span(bench) == pytest.approx((1600.0, 1600.01))
    bench.ask(":INIT:WAV:STOP 1500NM")
    assert span(bench) == pytest.approx((1499.99, 1500.0))
    bench.ask(":INIT:WAV:STAR 1680NM")
    assert span(bench) == pytest.approx((1679.99, 1680.0))
    bench.ask(":INIT:WAV:STOP 1240NM")
    assert span(bench) == pytest.approx((1240.0, 1240.01))


@pytest.mark.parametrize("pm", [0.5, 0.2, 0.1, 0.05, 0.02, 1, 2, 17, 250])
def test_samplings_there_are(bench, pm: float) -> None:
    assert float(bench.ask(f":INIT:WAV:SAMP {pm}PM;SAMP?")) == pytest.approx(pm * 1e-12)


@pytest.mark.parametrize(
    ("written", "code"),
    [("0.01PM", -222), ("251PM", -222), ("1.5PM", -224), ("0.3PM", -224), ("10", -222),
     ("10GHZ", -131), ("FINE", -104), ("", -109), ("1E999PM", -222)],
)  # fmt: skip
def test_samplings_there_are_not(bench, written: str, code: int) -> None:
    assert bench.fails(f":INIT:WAV:SAMP {written}") == [code]


@pytest.mark.parametrize("pm", FINE_SAMPLINGS)
def test_a_fine_sampling_shortens_span_and_speed(bench, pm: float) -> None:
    longest, fastest = FINE_SAMPLINGS[pm]
    bench.ask(":INIT:WAV:STAR 1240NM;STOP 1680NM;:INIT:TLS1:SPE 100")
    bench.ask(f":INIT:WAV:SAMP {pm}PM")
    assert span(bench) == pytest.approx((1240.0, 1240.0 + longest))
    assert float(bench.ask(":INIT:TLS1:SPE?")) == fastest
    assert bench.fails(":INIT:TLS1:SPE 100") == [-221]
    bench.ask(":INIT:WAV:STOP 1680NM")
    assert span(bench) == pytest.approx((1680.0 - longest, 1680.0))


def test_the_longest_trace_has_940001_points(bench) -> None:
    bench.ask(":INIT:WAV:SAMP 0.1PM;STAR 1500NM;STOP 1594NM;:INIT;*OPC?")
    assert bench.ask(":TRAC:SENS4:CHAN1:TYPE1:DATA:LENG?") == "940001"


SPEEDS = {
    1: (*range(5, 16), 17, 18, 20, 22, 25, 29, 33, 40, 50, 67, 100),  # T100S-HP
    10: (10, 20, 50, 100, 200),  # T500S
}


@pytest.mark.parametrize("laser", SPEEDS)
def test_speeds_are_those_of_the_laser(bench, laser: int) -> None:
    bench.ask(f":INIT:TLS1:IDentifier {laser}")
    for speed in range(0, 210):
        if speed in SPEEDS[laser]:
            assert bench.ask(f":INIT:TLS1:SPEed {speed};SPEed?") == str(speed)
        else:
            assert bench.fails(f":INIT:TLS1:SPEed {speed}") == [-224]


def test_another_laser_takes_the_next_speed_it_knows(bench) -> None:
    assert bench.ask(":INIT:TLS1:SPE 67;ID 10;SPE?;ID?") == "50;10"
    assert bench.ask(":INIT:TLS1:SPE 200;ID 1;SPE?") == "100"


def test_identifiers(bench) -> None:
    assert bench.ask(":INIT:TLS1:ID?;:INIT:TLS2:ID?;:INIT:TLS3:ID?;:INIT:TLS4:ID?") == "1;0;0;0"
    assert bench.fails(":INIT:TLS2:ID 11") == [-222]
    assert bench.fails(":INIT:TLS2:ID 1") == [-221]  # that is TLS 1
    assert bench.fails(":INIT:TLS2:SPE 50") == [-221]  # nobody
    assert bench.fails(":INIT:TLS1:ID 0;:INIT") == [-221]  # nobody left to sweep


def test_power_trigger_and_stabilization(bench) -> None:
    assert bench.ask(":INIT:TLS1:POW 5DBM;POW?;TRIG 8;TRIGin?") == "5.00000000E+000;8"
    assert bench.ask(":INIT:STAB?;STAB 1,5.6;STAB?") == "1,0;1,5.6"
    assert bench.ask(":INIT:STAB 0;STAB?;STAB ON,60;STAB?;STAB OFF;STAB?") == "0,5.6;1,60;0,60"


@pytest.mark.parametrize(
    ("message", "code"),
    [("TLS1:POW 10.1DBM", -222), ("TLS1:POW -11", -222), ("TLS1:TRIG 9", -222),
     ("STAB 2", -224), ("STAB", -109), ("STAB 1,61", -222), ("STAB 1,-1", -222),
     ("STAB 1,5,6", -108), ("STAB MAYBE", -224), ("STAB 1,5S", -138), ("STAB 1,ON", -104),
     ("TLS1:WAV:STAR 1580NM", -221), ("TLS5:SPE 50", -114), ("TLS1:SPE 50NM", -138)],
)  # fmt: skip
def test_what_the_sweep_refuses(bench, message: str, code: int) -> None:
    assert bench.fails(f":INIT:{message}") == [code]


def test_the_condition_register_through_a_whole_sweep(bench) -> None:
    bench.ask(":INIT:TLS1:SPE 20;:INIT:STAB 1,2.5")
    assert bench.ask(CONDITION) == "0"
    bench.ask(":INITiate:IMMediate")
    for moment in (0.0, 2.4, 2.6, 5.4):
        bench.now = moment
        assert bench.ask(CONDITION) == "4"
        assert bench.fails(":INIT") == [-213]
    bench.now = 2.5 + 60.0 / 20.0
    assert bench.ask(CONDITION) == "0"


@pytest.mark.parametrize(
    "message",
    [":CTP:SENS4:CHAN1:WAV 1550NM", ":INIT:WAV:STAR 1500NM", ":INIT:WAV:SAMP 1PM",
     ":INIT:TLS1:SPE 20", ":INIT:TLS1:POW 1", ":INIT:TLS1:ID 2", ":INIT:STAB 0,1",
     ":INIT:TLS1:TRIG 1", ":CTP:RLAS1:POW 1", ":CTP:RLAS1:POW:STAT OFF", ":CTP:RLAS1:WAV 1500NM"],
)  # fmt: skip
def test_what_is_refused_while_scanning(bench, message: str) -> None:
    bench.ask(":INIT")
    assert bench.fails(message) == [-221]
    bench.now += 10.0
    assert bench.fails(message) == []


def test_power_can_be_read_while_scanning_and_follows_the_laser(bench) -> None:
    bench.ask(":INIT:TLS1:POW 0DBM;:CTP:SENS4:CHAN1:WAV 1550NM;:INIT")
    for moment, nm in ((0.0, 1520.0), (0.6, 1550.0), (1.1, 1575.0)):
        bench.now = moment
        expected = bench.model.transmission_db(4, 1, nm) - 0.9
        assert float(bench.ask(":CTP:SENS4:CHAN1:POW?")) == pytest.approx(expected, abs=0.2)


def test_while_it_settles_the_laser_stands_at_the_start(bench) -> None:
    bench.ask(":INIT:STAB 1,10;:CTP:SENS4:CHAN1:WAV 1520NM;:INIT")
    expected = bench.model.transmission_db(4, 1, 1520.0) - 0.9
    for moment in (0.0, 9.9):
        bench.now = moment
        assert float(bench.ask(":CTP:SENS4:CHAN1:POW?")) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("stays_on", "state"), [("ON", "1"), ("OFF", "0")])
def test_after_the_sweep_the_laser_stands_at_the_stop(bench, stays_on: str, state: str) -> None:
    bench.ask(f":INIT:STAB {stays_on};:INIT;*OPC?")
    assert bench.ask(":CTP:RLAS1:POW:STAT?;:CTP:RLAS1:WAV?") == f"{state};1.58000000E-006"
    lit = float(bench.ask(":CTP:SENS4:CHAN3:POW?")) > -10.0
    assert lit == (state == "1")


def test_abort(bench) -> None:
    bench.ask(":INIT")
    bench.now = 0.5
    assert bench.ask(f":ABORt;{CONDITION}") == "16"
    bench.now += 0.3
    assert bench.ask(CONDITION) == "0"
    assert bench.fails(":TRAC:SENS4:CHAN1:TYPE1:DATA:LENG?") == [-230]  # half a sweep is none
    assert bench.ask(":CTP:RLAS1:WAV?") == "1.54500000E-006"
    assert bench.fails(":INIT") == []


def test_abort_of_nothing_is_nothing(bench) -> None:
    assert bench.ask(f":ABOR;{CONDITION}") == "0"
    assert bench.errors() == []


def test_several_lasers_sweep_one_after_the_other(bench) -> None:
    bench.ask(":INIT:TLS1:WAV:STAR 1500NM;STOP 1550NM;:INIT:TLS1:SPE 50")
    bench.ask(":INIT:TLS2:WAV:STAR 1550NM;STOP 1650NM;:INIT:TLS2:ID 10;SPE 100;POW 3")
    assert span(bench) == pytest.approx((1500.0, 1650.0))
    bench.ask(":INIT")
    bench.now = 1.5
    assert float(bench.ask(":CTP:SENS4:CHAN3:POW?")) == pytest.approx(3.3, abs=0.3)
    assert bench.ask(CONDITION) == "4"
    bench.now = 2.0
    assert bench.ask(f"{CONDITION};:TRAC:SENS4:CHAN1:TYPE11:DATA:LENG?") == "0;15001"


def test_spans_with_a_gap_cannot_be_swept(bench) -> None:
    bench.ask(":INIT:TLS1:WAV:STAR 1500NM;STOP 1550NM")
    bench.ask(":INIT:TLS2:WAV:STAR 1560NM;STOP 1600NM;:INIT:TLS2:ID 2")
    assert bench.fails(":INIT") == [-221]


def test_a_span_too_long_for_the_sampling_is_refused_for_one_laser(bench) -> None:
    bench.ask(":INIT:WAV:SAMP 0.02PM")
    assert bench.fails(":INIT:TLS1:WAV:STOP 1600NM") == [-221]
    bench.ask(":INIT:TLS2:WAV:STOP 1538NM")
    assert bench.errors() == []
