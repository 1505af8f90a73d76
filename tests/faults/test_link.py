"""What becomes of the link to the instrument, and what viewers see of it.

Real processes, with a proxy of our own in the line. What `watched` checks at the end of each test:
each VALID reading that a WebSocket viewer or a notebook got was measured for that very reading, in
order and once, by the daemon that was there at the start. What `line` checks at the end of all:
everybody ends well, and nobody met an error of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.line import PROMPT, TIMEOUT, Line, is_invalid, is_valid, line
from tests.support.fault_proxy import DEADLINE, End, powers
from tests.support.viewers import Message

SEPARATOR = 15
"""Where the first `;` of an answer is: `1.64059000E-002;`…"""


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """One line for all: a daemon has to live through one fault after the other."""
    with line(tmp_path_factory.mktemp("measured")) as running:
        yield running


async def says(link: Line, word: str, after: int) -> None:
    """An `error` with this word reaches the viewer."""
    await link.client.wait(lambda m: word in m.get("message", ""), after=after)


def nothing_of(reading: Message) -> list[int]:
    """Detectors of which it has no value."""
    return [channel for channel in range(1, 5) if reading[f"ch{channel}_power"] is None]


def test_an_instrument_that_is_off_at_the_start_is_found_when_it_is_switched_on(
    run_async, tmp_path: Path
):
    """It refuses connections. Viewers get an `error` at once and one that says so, nobody is busy
    meanwhile, and there is data within the promise."""

    async def body() -> None:
        with line(tmp_path, off=True) as link:
            async with link.watched(data=False):
                await link.told_error(0)
                await says(link, "refused", 0)
                await link.lasts()
                link.proxy.forward()
                await link.back()

    run_async(body())


def test_an_instrument_that_goes_away_and_comes_back_is_told_and_found(run_async, link: Line):
    """Switched off in the middle of service, it resets its connections and refuses new ones;
    unplugged, it does not even do that. Told, and found again, either way."""

    async def body() -> None:
        async with link.watched():
            for way, word in ((link.proxy.off, "refused"), (link.proxy.unplug, "request")):
                seen = link.now
                way()
                await link.told(seen)
                await says(link, word, seen)
                link.proxy.forward()
                await link.back()

    run_async(body())


def test_an_answer_that_ends_in_the_middle_is_no_reading(run_async, link: Line):
    """The connection ends, by FIN or by RST, in the middle of an answer: an INVALID reading and an
    `error`; data again by itself. If it happens each time, the daemon tries on at leisure."""

    async def body() -> None:
        async with link.watched():
            for end in End:
                seen = link.now
                link.proxy.cut(20, end, times=1)
                await link.told(seen, PROMPT)
                await link.back()
            seen = link.now
            link.proxy.cut(20, End.RESET)
            await link.told(seen, PROMPT)
            await link.lasts()
            link.proxy.forward()
            await link.back()

    run_async(body())


def test_a_connection_that_ends_between_two_questions_is_opened_anew(run_async, link: Line):
    """FIN or RST while nothing is asked: the next question finds out. Viewers are told, and have
    data again by themselves."""

    async def body() -> None:
        async with link.watched():
            for end in (End.FINISH, End.RESET):
                seen = link.now
                link.proxy.hang_up(end)
                await link.told(seen, PROMPT)
                await link.back()

    run_async(body())


def test_a_half_open_link_is_given_up(run_async, link: Line):
    """The instrument restarted and the line swallowed its farewell: the connection looks fine, what
    is sent vanishes, and so do new connections. Told within the time-out; when the line is back
    the old connection stays dead, and data comes over a new one."""

    async def body() -> None:
        async with link.watched():
            seen, accepted = link.now, link.proxy.accepted
            link.proxy.black_hole()
            _, error = await link.told(seen)
            assert "instrument away" in error["message"]
            await link.lasts()
            link.proxy.forward()
            await link.back()
            assert link.proxy.accepted > accepted

    run_async(body())


def test_an_instrument_that_hangs_is_told_and_served_again_when_it_answers(run_async, link: Line):
    """It takes questions and answers none, on a connection that is fine."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            link.proxy.swallow(which=lambda _: True)
            await link.told(seen)
            await link.lasts()
            link.proxy.forward()
            await link.back()

    run_async(body())


def test_an_answer_that_drips_is_given_up_within_the_time_out(run_async, link: Line):
    """A byte every 30 ms and no end of the line: the deadline is that of the whole answer, so
    viewers are told as soon as of silence."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            link.proxy.drip(which=lambda _: True)
            await link.told(seen)
            await link.lasts()
            link.proxy.forward()
            await link.back()

    run_async(body())


def test_a_peer_that_stops_reading_holds_nobody_up(run_async, link: Line):
    """It accepts connections and never reads from them, and what it has room for is little."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            link.proxy.stop_reading()
            await link.told(seen)
            await link.lasts()
            link.proxy.forward()
            await link.back()

    run_async(body())


def test_a_corrupted_byte_costs_the_detectors_that_it_touches(run_async, link: Line):
    """In a number, the reading is INVALID and has no value for that detector; in a separator, none
    for any; in the line feed there is no answer, so the link is lost. A carriage return is no part
    of the line's end any more and so of the last number. Then data again by itself."""
    costs = {0: [1], SEPARATOR: [1, 2, 3, 4], -2: [4], -1: [1, 2, 3, 4]}

    async def body() -> None:
        async with link.watched():
            for index, missing in costs.items():
                seen = link.now
                link.proxy.corrupt(index, times=1)
                assert nothing_of(await link.client.wait(is_invalid, after=seen)) == missing
                await link.back()
            seen = link.now
            link.proxy.corrupt(SEPARATOR)
            await asyncio.to_thread(link.proxy.wait)
            await link.client.wait(is_invalid, after=seen)
            await link.lasts()
            link.proxy.forward()
            await link.back()

    run_async(body())


def test_a_truncated_line_is_no_reading(run_async, link: Line):
    """With the line's end missing, it is silence. With it, as many fields as questions did not
    come, so none is attributed. INVALID either way, and data again by itself."""

    async def body() -> None:
        async with link.watched():
            for keep, rest in ((0, b"\r\n"), (8, b"\r\n"), (2 * SEPARATOR + 5, b"\r\n"), (8, b"")):
                seen = link.now
                link.proxy.truncate(keep, rest, times=1)
                invalid = await link.client.wait(is_invalid, after=seen)
                assert nothing_of(invalid) == [1, 2, 3, 4]
                await link.back()
            seen = link.now
            link.proxy.truncate(8, b"\r\n")
            await asyncio.to_thread(link.proxy.wait)
            await link.client.wait(is_invalid, after=seen)
            await link.lasts()
            link.proxy.forward()
            await link.back()

    run_async(body())


def test_a_doubled_line_never_becomes_the_next_answer(run_async, link: Line):
    """The same answer twice. In one piece with the first, that one cannot be trusted either; a
    moment later, it is found before the next question. Either way the link is opened anew, viewers
    are told, and no reading shows what was measured for the one before."""

    async def body() -> None:
        async with link.watched():
            for gap, times in ((0.0, 1), (0.03, 2)):
                seen = link.now
                link.proxy.double(gap, times=times)
                await link.told(seen)
                await asyncio.to_thread(link.proxy.wait, times)
                await link.back()

    run_async(body())


def test_an_answer_after_the_time_out_is_nobodys(run_async, link: Line):
    """Each answer comes 0.2 s after it was given up: it must not be taken for the next one's. Told
    within the time-out, and VALID again once answers are in time."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            link.proxy.delay(TIMEOUT + 0.2)
            await link.told(seen)
            await link.lasts()
            link.proxy.forward()
            await link.back()

    run_async(body())


def test_answers_that_are_slow_but_in_time_are_readings(run_async, link: Line):
    """Half of the time-out is no fault: readings come more seldom, all VALID, and nobody is told
    of anything."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            link.proxy.delay(TIMEOUT / 2)
            await asyncio.to_thread(link.proxy.wait, 5)
            await link.back()
            assert all(is_valid(message) for message in link.client.messages[seen:])

    run_async(body())


def test_an_answer_left_over_from_the_connection_before_is_refused(run_async, link: Line):
    """An instrument that keeps one queue of answers for all connections gives the next one what the
    last one did not wait for. It is taken neither for an identity nor for a reading."""

    async def body() -> None:
        async with link.watched():
            seen = link.now
            link.proxy.leave_over()
            await link.told(seen)
            await link.back()

    run_async(body())


def test_an_answer_lost_in_a_search_does_not_hide_a_detector(run_async, tmp_path: Path):
    """The line loses answers until the daemon looks for the module anew, and one more then. When
    it is in order again, so are the readings: VALID without a value that is there would be a lie.
    See `test_lost_answers` for the others that may be lost."""

    async def body() -> None:
        with line(tmp_path) as link:
            async with link.watched():
                lost = threading.Event()

                def unlucky(question: bytes) -> bool:
                    third_alone = b"CHANnel3:POWer?" in question and question.count(b"POWer?") == 1
                    if third_alone:
                        lost.set()
                    return third_alone or powers(question)

                link.proxy.swallow(which=unlucky)
                assert await asyncio.to_thread(lost.wait, DEADLINE)
                link.proxy.forward()
                await link.back()

    run_async(body())
