"""One line a fact, on stderr, as text or as JSON."""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
import pytest

from common.log import setup_logging

LIBRARIES = ("websockets", "asyncio", "pyvisa")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    root.handlers.clear()  # or setup_logging would close them
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def documents(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in lines(capsys)]


def test_text_has_time_level_service_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("INFO", "text")
    logging.getLogger("wsbridge").info("serving on %s", "http://127.0.0.1:8002/")
    (line,) = lines(capsys)
    time, rest = line.split(" ", 1)
    datetime.strptime(time, "%H:%M:%S")
    assert rest == "INFO    wsbridge: serving on http://127.0.0.1:8002/"


def test_json_has_time_level_service_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("INFO", "json")
    logging.getLogger("acquisitiond").warning("module %d: %s", 4, 'it says "no"\nand ends')
    (document,) = documents(capsys)
    assert datetime.fromisoformat(document.pop("time")).utcoffset() is not None
    assert document == {
        "level": "WARNING",
        "service": "acquisitiond",
        "message": 'module 4: it says "no"\nand ends',
    }


def test_json_keeps_an_exception_on_the_line_of_its_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup_logging("INFO", "json")
    try:
        raise ZeroDivisionError("why not")
    except ZeroDivisionError:
        logging.getLogger("acquisitiond").exception("it broke")
    (document,) = documents(capsys)
    assert document["message"] == "it broke"
    assert document["exception"].startswith("Traceback")
    assert document["exception"].endswith("ZeroDivisionError: why not")


@pytest.mark.parametrize("text", ["", "µW ± 2 \N{SNOWMAN}", "\x00\x1b[31m", "a name \udcff"])
def test_any_text_can_be_said_in_json(capsys: pytest.CaptureFixture[str], text: str) -> None:
    setup_logging("INFO", "json")
    logging.getLogger("acquisitiond").info("%s", text)
    (document,) = documents(capsys)
    assert document["message"] == text.replace("\udcff", "\\udcff")


@pytest.mark.parametrize("style", ["text", "json"])
def test_less_than_the_level_is_not_said(capsys: pytest.CaptureFixture[str], style: str) -> None:
    setup_logging("WARNING", style)
    log = logging.getLogger("wsbridge")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [line[-3:].strip(' "}')[-1] for line in lines(capsys)] == ["c", "d"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_are_heard_only_when_something_is_wrong(
    capsys: pytest.CaptureFixture[str], library: str
) -> None:
    setup_logging("DEBUG", "text")
    logging.getLogger(library).info("connection open")
    logging.getLogger(library).warning("trouble")
    assert [line.partition(": ")[2] for line in lines(capsys)] == ["trouble"]


def test_libraries_are_not_louder_than_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("ERROR", "text")
    logging.getLogger("websockets").warning("trouble")
    assert lines(capsys) == []


def test_setting_up_again_replaces_what_was_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("INFO", "text")
    setup_logging("INFO", "json")
    logging.getLogger("wsbridge").info("once")
    assert len(documents(capsys)) == 1
