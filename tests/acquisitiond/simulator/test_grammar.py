"""Program messages: syntax alone, no command of the instrument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.grammar import Datum, Kind, Mnemonic, Unit, parse


def one(message: str) -> Unit:
    (unit,) = parse(message.encode())
    assert isinstance(unit, Unit)
    return unit


def code(message: bytes) -> int:
    (error,) = parse(message)
    assert isinstance(error, ScpiError)
    return error.code


def headers(message: str) -> list[str]:
    units = parse(message.encode())
    assert all(isinstance(unit, Unit) for unit in units)
    return [":".join(m.keyword for m in u.header) for u in units if isinstance(u, Unit)]


def test_a_header_is_upper_case_with_its_numbers() -> None:
    unit = one(":ctp:Sens4:CHANnel10:POWer?")
    assert unit.query
    assert unit.header == (
        Mnemonic("CTP"),
        Mnemonic("SENS", 4),
        Mnemonic("CHANNEL", 10),
        Mnemonic("POWER"),
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("A:B;C", ["A:B", "A:C"]),
        ("A:B;C:D;E", ["A:B", "A:C:D", "A:C:E"]),
        ("A:B;:C", ["A:B", "C"]),
        ("A:B;*CLS;C", ["A:B", "CLS", "A:C"]),
        (":A:B:C?;*IDN?;:A?;B?", ["A:B:C", "IDN", "A", "B"]),
        ("A ; B", ["A", "B"]),
    ],
)
def test_the_header_path_rule(message: str, expected: list[str]) -> None:
    assert headers(message) == expected


def test_a_path_starts_anew_with_each_message() -> None:
    assert headers("A:B") == ["A:B"]
    assert headers("C") == ["C"]


def test_a_unit_that_cannot_be_read_leaves_the_path_and_its_neighbours_alone() -> None:
    first, broken, last = parse(b"A:B;!;C")
    assert isinstance(first, Unit)
    assert isinstance(broken, ScpiError)
    assert isinstance(last, Unit)
    assert [m.keyword for m in last.header] == ["A", "C"]


@pytest.mark.parametrize(
    ("text", "datum"),
    [
        ("1550NM", Datum(Kind.NUMBER, "1550", 1550.0, "NM")),
        ("1550 nm", Datum(Kind.NUMBER, "1550", 1550.0, "NM")),
        ("+1.5E-6 M", Datum(Kind.NUMBER, "+1.5", 1.5e-6, "M")),
        (".5", Datum(Kind.NUMBER, ".5", 0.5)),
        ("5.", Datum(Kind.NUMBER, "5.", 5.0)),
        ("1 E 3", Datum(Kind.NUMBER, "1", 1000.0)),
        ("#HfF", Datum(Kind.NUMBER, "#HfF", 255.0)),
        ("#Q17", Datum(Kind.NUMBER, "#Q17", 15.0)),
        ("#B101", Datum(Kind.NUMBER, "#B101", 5.0)),
        ("dbm", Datum(Kind.WORD, "DBM")),
        ('"a;b""c"', Datum(Kind.STRING, '"a;b""c"')),
        ("'it''s'", Datum(Kind.STRING, "'it''s'")),
        ("#15hello", Datum(Kind.BLOCK, "#15hello")),
        ("(@1:4)", Datum(Kind.EXPRESSION, "(@1:4)")),
    ],
)
def test_parameters(text: str, datum: Datum) -> None:
    assert one(f"A {text}").data == (datum,)
    if datum.kind is not Kind.BLOCK:  # which takes all that follows
        assert one(f"A\t {text} , 1").data == (datum, Datum(Kind.NUMBER, "1", 1.0))


@pytest.mark.parametrize("message", [b"", b" ", b"\r", b"\x00\t\r"])
def test_nothing_is_no_message(message: bytes) -> None:
    assert parse(message) == ()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"A\xff", -101),
        (b"A\x7f", -101),
        (b"?", -102),
        (b"1A", -102),
        (b"::A", -102),
        (b"*A:B", -102),
        (b"A ,", -102),
        (b"A 1,", -102),
        (b"A ?", -102),
        (b"A 1 2", -103),
        (b"A!", -111),
        (b"A:", -111),
        (b"A?1", -111),
        (b"A 1.2.3", -121),
        (b"A 1E99999", -123),
        (b"A " + b"1" * 256, -124),
        (b"A #H" + b"1" * 256, -124),
        (b"A 'b", -151),
    ],
)
def test_what_cannot_be_read(message: bytes, expected: int) -> None:
    assert code(message) == expected


@pytest.mark.parametrize("message", [b";", b"A;", b";A", b"A;;B"])
def test_an_empty_unit_is_a_syntax_error(message: bytes) -> None:
    assert -102 in [unit.code for unit in parse(message) if isinstance(unit, ScpiError)]


def test_a_string_that_never_ends_swallows_the_rest() -> None:
    first, last = parse(b"A;B 'x;C;D")
    assert isinstance(first, Unit)
    assert isinstance(last, ScpiError)


def test_an_ever_deeper_path_is_cut() -> None:
    units = parse(b";".join([b"A:B"] * 10_000))
    assert len(units) == 10_000
    assert {unit.code for unit in units if isinstance(unit, ScpiError)} == {-113}


@given(st.binary(max_size=300))
def test_any_bytes_are_units_or_errors(message: bytes) -> None:
    assert all(isinstance(unit, Unit | ScpiError) for unit in parse(message))


@given(st.text("aZ9_*:;?,.'\"#@() \t-+eE!\x7f", max_size=60))
def test_nearly_right_messages_are_units_or_errors(message: str) -> None:
    assert all(isinstance(unit, Unit | ScpiError) for unit in parse(message.encode()))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_comes_back(value: float) -> None:
    assert one(f"A {value!r}").data[0].value == value
