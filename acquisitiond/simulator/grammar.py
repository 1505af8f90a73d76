"""Owns the syntax of an IEEE 488.2 program message: bytes in, program message units out.

Knows no command of the instrument and does no I/O. It never raises: a unit it cannot read
is handed back as the `ScpiError` it deserves, and the units around it stand.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from acquisitiond.simulator.errors import ScpiError

# IEEE 488.2, 7.4.1.2: every control character but the newline, and the space, is white space.
WHITE_SPACE: Final = "".join(chr(code) for code in range(33) if code != 10)
_WS: Final = r"[\x00-\x09\x0b-\x20]*"

# Ten mnemonics are more than any header here has. A bound keeps a long message of relative
# headers, each of which deepens the path, from costing the square of its length.
_DEEPEST_HEADER: Final = 16

_UNIT = re.compile(r"""(?:[^;"']|"[^"]*"|'[^']*')*""")
_HEADER = re.compile(r"(\*|:?)([A-Za-z][A-Za-z0-9_]*(?::[A-Za-z][A-Za-z0-9_]*)*)(\??)")
_MNEMONIC = re.compile(r"(.*?)([0-9]*)\Z")
_NUMBER = re.compile(
    rf"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:{_WS}[Ee]{_WS}([+-]?[0-9]+))?"
    rf"(?:{_WS}(/?[A-Za-z][A-Za-z0-9./-]*))?"
)
_RADIX = re.compile(r"#(?:[Hh]([0-9A-Fa-f]+)|[Qq]([0-7]+)|[Bb]([01]+))(?![0-9A-Za-z])")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_STRING = re.compile(r"""(?:"[^"]*")+|(?:'[^']*')+""")
_BLOCK = re.compile(r"#[0-9].*", re.DOTALL)
_EXPRESSION = re.compile(r"\([^()]*\)")
_SPACE = re.compile(_WS)

_MOST_DIGITS: Final = 255  # IEEE 488.2, 7.7.2.4.1
_LARGEST_EXPONENT: Final = 32_000


class Kind(Enum):
    """The kinds of program data that IEEE 488.2 tells apart."""

    NUMBER = "number"
    WORD = "character data"
    STRING = "string"
    BLOCK = "block"
    EXPRESSION = "expression"


@dataclass(frozen=True, slots=True)
class Datum:
    """One parameter as it was written: `text` upper-case for a word, `suffix` for a unit."""

    kind: Kind
    text: str
    value: float = 0.0
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Mnemonic:
    """One node of a header: upper-case letters, and the number written behind them, if any."""

    keyword: str
    suffix: int | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """One program message unit with its full path: the header-path rule is already applied."""

    header: tuple[Mnemonic, ...]
    query: bool = False
    data: tuple[Datum, ...] = ()
    common: bool = False


def parse(message: bytes) -> tuple[Unit | ScpiError, ...]:
    """Split a program message, without its terminator, into units; white space alone is none."""
    text = message.decode("latin-1")
    if not text.strip(WHITE_SPACE):
        return ()
    units: list[Unit | ScpiError] = []
    path: tuple[Mnemonic, ...] = ()
    for part in _split(text):
        try:
            unit = _unit(part, path)
        except ScpiError as error:
            units.append(error)
            continue
        units.append(unit)
        if not unit.common:
            path = unit.header[:-1]
    return tuple(units)


def _split(text: str) -> list[str]:
    """Cut at every `;` that is not inside a quoted string."""
    parts: list[str] = []
    at = 0
    while True:
        match = _UNIT.match(text, at)
        end = match.end() if match else at
        if end < len(text) and text[end] != ";":
            end = len(text)  # a string that never ends swallows what follows
        parts.append(text[at:end])
        if end == len(text):
            return parts
        at = end + 1


def _unit(part: str, path: tuple[Mnemonic, ...]) -> Unit:
    text = part.strip(WHITE_SPACE)
    if not text.isascii() or "\x7f" in text:
        raise ScpiError(-101)
    match = _HEADER.match(text)
    if match is None or (match[1] == "*" and ":" in match[2]):
        raise ScpiError(-102)
    rest = text[match.end() :]
    if rest and rest[0] not in WHITE_SPACE:
        raise ScpiError(-111)
    names = tuple(_mnemonic(name) for name in match[2].split(":"))
    common = match[1] == "*"
    header = names if match[1] else path + names
    if len(header) > _DEEPEST_HEADER:
        raise ScpiError(-113)
    return Unit(header, match[3] == "?", _data(rest.strip(WHITE_SPACE)), common)


def _mnemonic(name: str) -> Mnemonic:
    match = _MNEMONIC.match(name)
    assert match is not None  # the expression matches every string
    # Ten digits are out of any range already, and int() of thousands would be slow.
    suffix = int(match[2][:10]) if match[2] else None
    return Mnemonic(match[1].upper(), suffix)


def _data(text: str) -> tuple[Datum, ...]:
    data: list[Datum] = []
    at = 0
    while text:
        datum, at = _datum(text, at)
        data.append(datum)
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at == len(text):
            break
        if text[at] != ",":
            raise ScpiError(-103)
        space = _SPACE.match(text, at + 1)
        at = space.end() if space else at + 1
    return tuple(data)


def _datum(text: str, at: int) -> tuple[Datum, int]:
    if match := _NUMBER.match(text, at):
        return _number(match[1], match[2] or "0", match[3] or ""), _number_end(text, match.end())
    if match := _WORD.match(text, at):
        return Datum(Kind.WORD, match[0].upper()), match.end()
    if match := _STRING.match(text, at):
        return Datum(Kind.STRING, match[0]), match.end()
    if text[at : at + 1] in ("'", '"'):
        raise ScpiError(-151)
    if match := _RADIX.match(text, at):
        digits, base = next((d, b) for d, b in zip(match.groups(), (16, 8, 2), strict=True) if d)
        if len(digits) > _MOST_DIGITS:
            raise ScpiError(-124)
        return Datum(Kind.NUMBER, match[0], float(int(digits, base))), match.end()
    if match := _BLOCK.match(text, at):
        return Datum(Kind.BLOCK, match[0]), match.end()
    if match := _EXPRESSION.match(text, at):
        return Datum(Kind.EXPRESSION, match[0]), match.end()
    raise ScpiError(-102)


def _number(mantissa: str, exponent: str, suffix: str) -> Datum:
    if len(mantissa) > _MOST_DIGITS:
        raise ScpiError(-124)
    if len(exponent) > _MOST_DIGITS or abs(int(exponent)) > _LARGEST_EXPONENT:
        raise ScpiError(-123)
    return Datum(Kind.NUMBER, mantissa, float(f"{mantissa}e{exponent}"), suffix.upper())


def _number_end(text: str, at: int) -> int:
    if at < len(text) and text[at] != "," and text[at] not in WHITE_SPACE:
        raise ScpiError(-121)
    return at
