"""Owns the tree of headers: which keywords exist, in long or short form, with which suffixes.

Refuses everything else: an abbreviation in between is as unknown as a foreign word.
"""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.grammar import Datum, Mnemonic, Unit

# Last number of each numbered keyword; the first is always 1, and 1 is meant when none is written.
SUFFIXES: Final = {"SENSe": 20, "CHANnel": 6, "TLS": 4, "RLASer": 10, "TYPE": 23}

_OPTIONAL = re.compile(r"\[(:[A-Za-z#]+)\]")

Answer = str | bytes | None
# A handler that takes long is a generator: it yields the seconds it would like to be left alone,
# 0.0 for "let the others have a turn", and returns its answer.
Work = Generator[float, None, Answer]
Decoder = Callable[[Datum], object]


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the command table.

    `header` is in the notation of the manual, `[:NODE]` optional, `#` numbered, `?` a query.
    `run` is called with the instrument's mainframe, the numbers of the header, and the decoded
    parameters. The last `optional` parameters may be left out.
    """

    header: str
    run: Callable[..., Answer | Work]
    takes: tuple[Decoder, ...] = ()
    optional: int = 0


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    last: int = 0  # 0: this keyword takes no number
    commands: dict[bool, Command] = field(default_factory=dict)  # key: is it a query


class Headers:
    """Every header of a command table, to look units up in."""

    def __init__(self, table: tuple[Command, ...]) -> None:
        self._root = _Node()
        self._common: dict[tuple[str, bool], Command] = {}
        for command in table:
            name, query = command.header.removesuffix("?"), command.header.endswith("?")
            if name.startswith("*"):
                self._common[name[1:], query] = command
                continue
            for spelling in _expand(name):
                self._insert(spelling).commands[query] = command

    def find(self, unit: Unit) -> tuple[Command, tuple[int, ...]]:
        """Give the command of a unit and the numbers of its header.

        Raises `ScpiError` -113 for a header that is not in the table, -114 for a number
        outside its range.
        """
        if unit.common:
            return self._find_common(unit)
        node = self._root
        numbers: list[tuple[int, int]] = []
        for mnemonic in unit.header:
            node = _child(node, mnemonic)
            if node.last:
                numbers.append((1 if mnemonic.suffix is None else mnemonic.suffix, node.last))
        command = node.commands.get(unit.query)
        if command is None:
            raise ScpiError(-113)
        if any(not 1 <= number <= last for number, last in numbers):
            raise ScpiError(-114)
        return command, tuple(number for number, _ in numbers)

    def _find_common(self, unit: Unit) -> tuple[Command, tuple[int, ...]]:
        (mnemonic,) = unit.header
        command = self._common.get((mnemonic.keyword, unit.query))
        if command is None or mnemonic.suffix is not None:
            raise ScpiError(-113)
        return command, ()

    def _insert(self, header: str) -> _Node:
        node = self._root
        for name in header.removeprefix(":").split(":"):
            keyword = name.removesuffix("#")
            long = keyword.upper()
            short = "".join(letter for letter in keyword if letter.isupper())
            child = node.children.get(long)
            if child is None:
                child = _Node(last=SUFFIXES[keyword] if name.endswith("#") else 0)
                node.children[long] = node.children[short] = child
            node = child
        return node


def decode(command: Command, data: tuple[Datum, ...]) -> tuple[object, ...]:
    """Turn parameters into values; raises `ScpiError` -109, -108, or what a decoder found."""
    if len(data) < len(command.takes) - command.optional:
        raise ScpiError(-109)
    if len(data) > len(command.takes):
        raise ScpiError(-108)
    return tuple(take(datum) for take, datum in zip(command.takes, data, strict=False))


def _child(node: _Node, mnemonic: Mnemonic) -> _Node:
    child = node.children.get(mnemonic.keyword)
    if child is None or (mnemonic.suffix is not None and not child.last):
        raise ScpiError(-113)
    return child


def _expand(header: str) -> list[str]:
    """Spell out a header with and without each of its optional nodes."""
    match = _OPTIONAL.search(header)
    if match is None:
        return [header]
    before, after = header[: match.start()], header[match.end() :]
    return _expand(before + match[1] + after) + _expand(before + after)
