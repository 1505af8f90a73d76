"""What is wrong is told once, and once more when it is over."""

import logging

import pytest

from acquisitiond.troubles import TELL_AGAIN, Troubles


class Bench:
    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 100.0
        self._caplog = caplog
        caplog.set_level(logging.DEBUG, "troubles-under-test")
        self.troubles = Troubles(logging.getLogger("troubles-under-test"), lambda: self.now)

    def told(self) -> list[tuple[str, str]]:
        lines = [(r.levelname, r.getMessage()) for r in self._caplog.records]
        self._caplog.clear()
        return lines


@pytest.fixture
def bench(caplog: pytest.LogCaptureFixture) -> Bench:
    return Bench(caplog)


def test_a_trouble_is_told_once_however_often_it_comes(bench: Bench) -> None:
    for _ in range(1000):
        bench.now += 1.0
        bench.troubles.begin("instrument", "it refused the connection")
    assert bench.told() == [("WARNING", "instrument: it refused the connection")]


def test_its_end_is_told_with_the_number_of_errors(bench: Bench) -> None:
    for _ in range(3):
        bench.troubles.begin("instrument", "away")
    bench.told()
    bench.troubles.end("instrument")
    assert bench.told() == [("INFO", "instrument: well again after 3 errors")]
    assert bench.troubles.get("instrument") is None


def test_the_end_of_nothing_is_not_told(bench: Bench) -> None:
    bench.troubles.end("instrument")
    assert bench.told() == []


def test_another_wording_soon_after_is_known_but_not_told(bench: Bench) -> None:
    bench.troubles.begin("module 4", "one")
    bench.now += TELL_AGAIN - 0.1
    bench.troubles.begin("module 4", "two")
    assert bench.troubles.get("module 4") == "two"
    assert bench.told() == [("WARNING", "module 4: one")]


def test_another_wording_after_a_while_is_told(bench: Bench) -> None:
    bench.troubles.begin("module 4", "one")
    bench.now += TELL_AGAIN
    bench.troubles.begin("module 4", "two")
    bench.troubles.begin("module 4", "three")
    assert bench.told() == [("WARNING", "module 4: one"), ("WARNING", "module 4: two")]


def test_a_trouble_that_comes_back_is_told_again(bench: Bench) -> None:
    bench.troubles.begin("module 4", "one")
    bench.troubles.end("module 4")
    bench.troubles.begin("module 4", "one")
    assert [level for level, _ in bench.told()] == ["WARNING", "INFO", "WARNING"]


def test_each_subject_has_its_own_trouble(bench: Bench) -> None:
    bench.troubles.begin("module 4", "one")
    bench.troubles.begin("module 7", "two")
    bench.troubles.end("module 4")
    assert bench.troubles.get("module 4") is None
    assert bench.troubles.get("module 7") == "two"
