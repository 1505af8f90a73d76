"""Detectors and references: each row of the manual's page."""

import re

import pytest

CHANNEL = ":CTP:SENSe4:CHANnel1"


def test_power_is_text_in_the_unit_of_the_detector(bench) -> None:
    assert re.fullmatch(r"-1[78]\.\d\d", bench.ask(f"{CHANNEL}:POWer?"))
    bench.ask(f"{CHANNEL}:UNIT:Y MW")
    assert re.fullmatch(r"1\.[67]\d{7}E-002", bench.ask(f"{CHANNEL}:POWer?"))


def test_the_readings_at_start_are_those_of_the_design_example(bench) -> None:
    answer = bench.ask(";".join(f":CTP:SENS4:CHAN{c}:POW?" for c in range(1, 5)))
    powers = [float(field) for field in answer.split(";")]
    assert powers == pytest.approx([-17.85, -21.56, 6.94, -60.12], abs=1.5)


def test_each_reading_is_told_as_it_was_given(bench) -> None:
    answers = bench.ask(f"{CHANNEL}:POW?;UNIT:Y MW;:{CHANNEL[1:]}:POW?").split(";")
    assert bench.readings == [(4, 1, float(answers[0]), "dBm"), (4, 1, float(answers[1]), "mW")]


def test_units(bench) -> None:
    assert bench.ask(f"{CHANNEL}:UNIT:Y?;X?") == "0;0"
    assert bench.ask(f"{CHANNEL}:UNIT:Y MW;X FREQ;Y?;X?") == "1;1"
    assert bench.ask(":CTP:SENS4:CHAN2:UNIT:Y?;X?") == "0;0"
    assert bench.ask(f"{CHANNEL}:UNIT:Y dbm;X wav;Y?;X?") == "0;0"


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("1550NM", "1.55000000E-006"),
        ("1550 nm", "1.55000000E-006"),
        ("1550000PM", "1.55000000E-006"),
        ("1.55E-6M", "1.55000000E-006"),
        ("1.55e-6", "1.55000000E-006"),
        ("193.5THZ", "1.54931503E-006"),
        ("193500GHZ", "1.54931503E-006"),
        ("1.935E14HZ", "1.54931503E-006"),
        ("1240NM", "1.24000000E-006"),
        ("1680NM", "1.68000000E-006"),
    ],
)
@pytest.mark.parametrize("header", [f"{CHANNEL}:WAVelength", ":CTP:RLAS2:WAV"])
def test_wavelengths(bench, header: str, written: str, answer: str) -> None:
    assert bench.ask(f"{header} {written};{header}?") == answer


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("WAV", -109),
        ("WAV 1550NM,1", -108),
        ("WAV ON", -104),
        ("WAV '1550NM'", -104),
        ("WAV 1550DBM", -131),
        ("WAV 1550UM", -131),
        ("WAV 1239.9NM", -222),
        ("WAV 1680.1NM", -222),
        ("WAV 1550", -222),  # metres
        ("WAV 0THZ", -222),
        ("WAV -1NM", -222),
        ("WAV 1E999NM", -222),
        ("UNIT:Y 1", -104),
        ("UNIT:Y WAV", -224),
        ("UNIT:Y DBMA", -224),
        ("UNIT:X WAVELENGTH", -224),
        ("UNIT:Y", -109),
        ("FUNC:TRIG 9", -222),
        ("FUNC:TRIG -1", -222),
        ("FUNC:TRIG 1NM", -138),
        ("POW? 1", -108),
        ("FOO?", -113),
    ],
)
def test_what_a_detector_refuses(bench, message: str, code: int) -> None:
    before = bench.ask(f"{CHANNEL}:WAV?;UNIT:Y?;X?;:{CHANNEL[1:]}:FUNC:TRIG?")
    assert bench.fails(f"{CHANNEL}:{message}") == [code]
    assert bench.ask(f"{CHANNEL}:WAV?;UNIT:Y?;X?;:{CHANNEL[1:]}:FUNC:TRIG?") == before


@pytest.mark.parametrize("place", ["SENS5:CHAN1", "SENS4:CHAN5", "SENS:CHAN1"])
@pytest.mark.parametrize(
    "message",
    ["POW?", "WAV?", "WAV 1550NM", "UNIT:X?", "UNIT:Y?", "UNIT:Y MW", "UNIT:X FREQ", "FUNC:TRIG?",
     "FUNC:TRIG 1"],
)  # fmt: skip
def test_what_is_not_installed_does_not_answer(bench, place: str, message: str) -> None:
    assert bench.fails(f":CTP:{place}:{message}") == [-241]


def test_an_absent_detector_in_a_compound_query_leaves_a_field_out(bench) -> None:
    answer = bench.ask(";".join(f":CTP:SENS4:CHAN{c}:UNIT:Y?" for c in range(1, 7)))
    assert answer == "0;0;0;0"
    assert bench.errors() == [-241, -241]


def test_other_modules_can_be_installed(make_bench) -> None:
    bench = make_bench(modules=((1, 1), (20, 6)))
    assert bench.ask(":CTP:SENS1:CHAN1:UNIT:Y?;:CTP:SENS20:CHAN6:UNIT:Y?") == "0;0"
    assert bench.ask(":CTP:POW?;:CTP:SENS:CHAN:POW?").count(";") == 0  # 1 is meant
    assert bench.errors() == [-113]
    assert bench.fails(":CTP:SENS4:CHAN1:POW?;:CTP:SENS1:CHAN2:POW?") == [-241, -241]


@pytest.mark.parametrize("modules", [((0, 4),), ((21, 4),), ((4, 0),), ((4, 7),), ((4, 4), (4, 2))])
def test_modules_that_cannot_be(make_bench, modules) -> None:
    with pytest.raises(ValueError, match="module"):
        make_bench(modules=modules)


def test_tls_in_and_out_to_dut_have_one_wavelength(bench) -> None:
    def wavelengths() -> list[str]:
        answer = bench.ask(";".join(f":CTP:SENS4:CHAN{c}:WAV?" for c in range(1, 5)))
        return [f"{float(metres) * 1e9:.0f}" for metres in answer.split(";")]

    assert wavelengths() == ["1310", "1310", "1310", "1310"]
    bench.ask(":CTP:SENS4:CHAN3:WAV 1550NM")
    assert wavelengths() == ["1310", "1310", "1550", "1550"]
    bench.ask(":CTP:SENS4:CHAN4:WAV 1500NM;:CTP:SENS4:CHAN1:WAV 1600NM")
    assert wavelengths() == ["1600", "1310", "1500", "1500"]


def test_the_trigger_port(bench) -> None:
    assert bench.ask(f"{CHANNEL}:FUNC:TRIG?;TRIG 8;TRIG?") == "0;8"


def test_a_reference_takes_a_moment_and_is_stamped_when_complete(bench) -> None:
    reference = ":REFerence:SENSe4:CHANnel1"
    assert bench.ask(f"{reference}:RESult?") == "0"
    assert bench.ask(f"{reference}:INITiate;:STAT:OPER:COND?") == "64"
    assert bench.ask(f"{reference}:RES?") == "0"
    assert bench.fails(f"{reference}:INIT") == [-213]
    assert bench.fails(":INIT") == [-213]
    bench.now = 5.0  # it is stamped when it was complete, not when somebody asks
    assert bench.ask(":STAT:OPER:COND?;:REF:SENS4:CHAN1:RES?") == "0;1,0,20251128,092626"
    assert bench.ask(":REF:SENS4:CHAN2:RES?") == "0"
    assert bench.fails(":REF:SENS4:CHAN5:INIT;RES?") == [-241, -241]


def test_a_reference_can_be_aborted(bench) -> None:
    assert bench.ask(":REF:SENS4:CHAN1:INIT;:ABOR;:STAT:OPER:COND?") == "16"
    bench.now += 5.0
    assert bench.ask(":STAT:OPER:COND?;:REF:SENS4:CHAN1:RES?") == "0;0"
