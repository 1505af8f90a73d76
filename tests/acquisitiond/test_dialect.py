"""What is sent to a CTP10 and what its answers mean, whatever they are."""

import math
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acquisitiond import dialect
from acquisitiond.dialect import DialectError
from ctp10.units import Unit, convert


def refused(parse: Callable[[str], object], text: str) -> str:
    with pytest.raises(DialectError) as caught:
        parse(text)
    return str(caught.value)


# --- questions -----------------------------------------------------------------------------------


def test_powers_are_asked_detector_by_detector_from_the_root() -> None:
    assert dialect.power_units(4, (1, 2)) == [
        ":CTP:SENSe4:CHANnel1:POWer?",
        ":CTP:SENSe4:CHANnel2:POWer?",
    ]


def test_the_configuration_is_each_unit_and_the_wavelength_of_the_first_detector() -> None:
    assert dialect.configuration_units(20, (3, 6)) == [
        ":CTP:SENSe20:CHANnel3:UNIT:Y?",
        ":CTP:SENSe20:CHANnel6:UNIT:Y?",
        ":CTP:SENSe20:CHANnel3:WAVelength?",
    ]


def test_a_compound_message_joins_questions_by_semicolons() -> None:
    assert dialect.compound(["*IDN?", ":SYSTem:ERRor?"]) == "*IDN?;:SYSTem:ERRor?"


# --- compound answers ----------------------------------------------------------------------------


def test_a_compound_answer_has_a_field_for_each_question() -> None:
    assert dialect.split("-17.85;-21.56; 6.94 ;-60.12", 4) == ["-17.85", "-21.56", "6.94", "-60.12"]


@pytest.mark.parametrize("answer", ["", "-1", "-1;-2;-3", "-1;-2;-3;-4;-5", "-1;-2;-3;-4;"])
def test_fields_that_cannot_be_attributed_are_refused_altogether(answer: str) -> None:
    assert "4 answers expected" in refused(lambda text: dialect.split(text, 4), answer)


@given(st.text(), st.integers(1, 8))
def test_any_text_is_split_into_as_many_fields_as_questions_or_refused(text: str, n: int) -> None:
    try:
        assert len(dialect.split(text, n)) == n
    except DialectError as error:
        sentence = str(error)
    else:
        return
    assert len(sentence) < 1000


# --- powers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-5.25", -5.25),
        ("-5.25,0", -5.25),
        (" 6.94 , DBM", 6.94),
        ("1.50000000E+000", 1.5),
        ("-1.785e+01", -17.85),
        ("0", 0.0),
        ("+3", 3.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("9.8E37", 9.8e37),
    ],
)
def test_a_power_is_the_number_before_the_first_comma(text: str, value: float) -> None:
    assert dialect.parse_power(text) == value


@pytest.mark.parametrize("text", ["9.91E37", "9.9E37", "-9.9E37", "9.91E+037", "-9.91e37", "1E999"])
def test_the_scpi_words_for_nan_and_infinity_are_no_reading(text: str) -> None:
    assert "no reading" in refused(dialect.parse_power, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        ",-5.25",
        "-",
        ".",
        "e5",
        "1e",
        "nan",
        "NAN",
        "inf",
        "-Infinity",
        "1_0",
        "0x1F",
        "1.2.3",
        "--5",
        "5 dBm",
        "5DBM",
        "OVERRANGE",
        "-5.25;-6",
        "-5.25\n-6",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "\N{FULLWIDTH DIGIT FIVE}",
        "\N{MINUS SIGN}5",
        "\N{REPLACEMENT CHARACTER}5.25",
    ],
)
def test_text_where_a_power_belongs_is_refused_and_quoted(text: str) -> None:
    assert "a number expected" in refused(dialect.parse_power, text)


@given(st.floats(-9e37, 9e37))
def test_any_number_is_read_back_exactly(value: float) -> None:
    assert dialect.parse_power(repr(value)) == value
    assert dialect.parse_power(f"{value:.17E},1") == value


@given(st.text() | st.from_regex(r"[+-]?[0-9.]{1,400}([eE][+-]?[0-9]{1,5})?", fullmatch=True))
def test_any_text_is_a_finite_power_or_refused_in_a_short_sentence(text: str) -> None:
    try:
        assert math.isfinite(dialect.parse_power(text))
    except DialectError as error:
        sentence = str(error)
    else:
        return
    assert len(sentence) < 1000


# --- units and wavelengths -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0", "dBm"),
        ("1", "mW"),
        ("DBM", "dBm"),
        ("DBMA", "dBm"),
        ("MW", "mW"),
        ("MA", "mW"),
        (" dbm ", "dBm"),
    ],
)
def test_firmware_answers_the_unit_as_a_number_or_as_a_word(text: str, unit: Unit) -> None:
    assert dialect.parse_unit(text) == unit


@pytest.mark.parametrize("text", ["", "2", "-1", "00", "W", "dB", "0;1", "0,1"])
def test_another_unit_is_refused(text: str) -> None:
    refused(dialect.parse_unit, text)


@given(st.text())
def test_any_text_is_a_unit_or_refused(text: str) -> None:
    with suppress(DialectError):
        assert dialect.parse_unit(text) in ("dBm", "mW")


@pytest.mark.parametrize(
    ("text", "nanometres"),
    [
        ("1.55000000E-006", 1550.0),
        ("1.31000000E-006", 1310.0),
        (" 1.31E-6 ", 1310.0),
        ("0.00000155", 1550.0),
        ("1.24000001E-006", 1240.00001),
    ],
)
def test_wavelengths_come_in_metres_and_are_given_in_nanometres(
    text: str, nanometres: float
) -> None:
    assert dialect.parse_wavelength_nm(text) == nanometres


@pytest.mark.parametrize(
    "text", ["", "0", "1550", "1550NM", "-1.55E-6", "1.93E+14", "9.91E37", "1E308", "1E999", "nan"]
)
def test_what_is_no_wavelength_in_metres_is_refused(text: str) -> None:
    refused(dialect.parse_wavelength_nm, text)


@given(st.integers(1_240_000, 1_680_000))
def test_every_picometre_of_the_detectors_span_survives_the_way_through_metres(pm: int) -> None:
    assert dialect.parse_wavelength_nm(f"{pm * 1e-12:.8E}") == pm / 1000


@given(st.text() | st.from_regex(r"[+-]?[0-9]{1,3}(\.[0-9]*)?[eE][+-]?[0-9]{1,5}", fullmatch=True))
def test_any_text_is_a_plausible_wavelength_or_refused(text: str) -> None:
    with suppress(DialectError):
        assert 200 <= dialect.parse_wavelength_nm(text) <= 20_000


# --- error queue ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("0,No error", (0, "No error")),
        ("-113,Undefined header", (-113, "Undefined header")),
        ('-241,"Hardware missing"', (-241, "Hardware missing")),
        ("+0, No error", (0, "No error")),
        ("-222,Data out of range; 21, not 1", (-222, "Data out of range; 21, not 1")),
        ("0,", (0, "")),
    ],
)
def test_an_error_entry_is_a_code_and_a_text(text: str, entry: tuple[int, str]) -> None:
    assert dialect.parse_error(text) == entry


@pytest.mark.parametrize("text", ["", "0", "No error", ",No error", "x,y", "1.5,y", "1234567,y"])
def test_what_is_no_error_entry_is_refused(text: str) -> None:
    refused(dialect.parse_error, text)


@given(st.text() | st.text().map(lambda tail: "-113," + tail))
def test_any_text_is_an_error_entry_or_refused(text: str) -> None:
    with suppress(DialectError):
        code, _ = dialect.parse_error(text)
        assert abs(code) < 1_000_000


# --- conversion ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (0.0, "dBm", "mW", 1.0),
        (10.0, "dBm", "mW", 10.0),
        (-30.0, "dBm", "mW", 0.001),
        (1.0, "mW", "dBm", 0.0),
        (2.0, "mW", "dBm", 3.0103),
        (-17.85, "dBm", "dBm", -17.85),
        (-0.5, "mW", "mW", -0.5),
    ],
)
def test_dbm_is_ten_times_the_logarithm_of_milliwatts(
    value: float, source: Unit, target: Unit, expected: float
) -> None:
    assert convert(value, source, target) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("milliwatts", [0.0, -0.0, -1e-9, -5.0])
def test_dbm_has_no_number_for_no_light_or_less(milliwatts: float) -> None:
    assert convert(milliwatts, "mW", "dBm") is None


@given(st.floats(-120, 60))
def test_dbm_through_milliwatts_and_back_is_the_same_power(dbm: float) -> None:
    milliwatts = convert(dbm, "dBm", "mW")
    assert milliwatts is not None
    assert convert(milliwatts, "mW", "dBm") == pytest.approx(dbm, abs=1e-9)


@given(st.floats(-9.9e37, 9.9e37), st.sampled_from(["dBm", "mW"]), st.sampled_from(["dBm", "mW"]))
@example(4000.0, "dBm", "mW")  # more milliwatts than a float can hold
def test_any_power_that_can_be_read_can_be_converted_or_has_no_number(
    value: float, source: Unit, target: Unit
) -> None:
    converted = convert(value, source, target)
    assert converted is None or math.isfinite(converted)
