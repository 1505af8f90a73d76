"""Which spellings of a header are the header, for every row of the command table."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisitiond.simulator.commands import COMMANDS
from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.grammar import Unit, parse
from acquisitiond.simulator.headers import SUFFIXES, Command, Headers

HEADERS = Headers(COMMANDS)
TREE = [command for command in COMMANDS if not command.header.startswith("*")]


def find(header: str) -> tuple[Command, tuple[int, ...]]:
    (unit,) = parse(header.encode())
    assert isinstance(unit, Unit)
    return HEADERS.find(unit)


def refused(header: str) -> int:
    with pytest.raises(ScpiError) as caught:
        find(header)
    return caught.value.code


def spell(command: Command, choose: st.DataObject) -> tuple[str, list[int]]:
    """Write a header in one of its many right ways; gives the numbers it carries too."""
    name = command.header.removesuffix("?")
    numbers = []
    written = []
    for optional, keyword, numbered in re.findall(r"(\[)?:([A-Za-z]+)(#)?\]?", name):
        if optional and choose.draw(st.booleans()):
            continue
        form = keyword if choose.draw(st.booleans()) else re.sub("[a-z]", "", keyword)
        form = "".join(choose.draw(st.sampled_from([c.lower(), c.upper()])) for c in form)
        if numbered:
            number = choose.draw(st.integers(1, SUFFIXES[keyword]))
            omit = number == 1 and choose.draw(st.booleans())
            form += "" if omit else str(number)
            numbers.append(number)
        written.append(form)
    lead = choose.draw(st.sampled_from(["", ":"]))
    return lead + ":".join(written) + ("?" if command.header.endswith("?") else ""), numbers


@given(st.sampled_from(TREE), st.data())
def test_long_or_short_any_case_optional_nodes_and_numbers(
    command: Command, choose: st.DataObject
) -> None:
    header, numbers = spell(command, choose)
    assert find(header) == (command, tuple(numbers))


@pytest.mark.parametrize("command", TREE, ids=lambda command: command.header)
def test_no_abbreviation_in_between_is_tolerated(command: Command) -> None:
    query = "?" if command.header.endswith("?") else ""
    keywords = re.findall(r":([A-Za-z]+)", command.header)
    for place, keyword in enumerate(keywords):
        short = re.sub("[a-z]", "", keyword)
        wrong = {keyword[:length] for length in range(1, len(keyword))} - {short}
        wrong |= {keyword + "E", keyword + "_"}
        others = {k.upper() for k in ("STATe", "STARt", "STATus", "STOP", "Y", "X")}
        for spelling in wrong - others:
            header = ":".join([*keywords[:place], spelling, *keywords[place + 1 :]])
            assert refused(header + query) == -113


@pytest.mark.parametrize(
    "header",
    [
        ":CTP:SENS0:CHAN1:POW?",
        ":CTP:SENS21:CHAN1:POW?",
        ":CTP:SENS4:CHAN7:POW?",
        ":CTP:SENS4:CHAN0:POW?",
        ":CTP:RLAS11:IDN?",
        ":INIT:TLS5:SPE?",
        ":TRAC:SENS4:CHAN1:TYPE24:DATA?",
        ":CTP:SENS99999999999999999999:CHAN1:POW?",
    ],
)
def test_a_number_out_of_range(header: str) -> None:
    assert refused(header) == -114


@pytest.mark.parametrize(
    "header",
    [
        ":CTP:SENS4:CHAN1:POW",  # query only
        ":ABOR?",  # command only
        ":INIT?",
        "*RST?",
        "*IDN",
        "*FOO?",
        "*IDN1?",
        ":SYST:ERR",
        ":SYST:ERR1?",  # no number there
        ":CTP1:SENS4:CHAN1:POW?",
        ":CTP:SENS4:CHAN1",  # a node on the way
        ":POW?",
        ":CTP:SENS40:CHAN1:FOO?",  # unknown comes before out of range
    ],
)
def test_headers_there_are_not(header: str) -> None:
    assert refused(header) == -113
