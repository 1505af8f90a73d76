"""The link against instruments that misbehave in each way that was ever seen."""

import atexit
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import acquisitiond.visa
from acquisitiond.visa import Link, LinkError, open_link
from tests.support.instruments import (
    DEADLINE,
    Conversation,
    Script,
    ScriptedInstrument,
    answering,
    block,
    drip,
    echo,
    finishes,
    flood,
    half_line,
    late,
    resets,
    segments,
    silent,
    split,
    stops_reading,
    two_lines,
)

SHORT = 0.2  # a timeout that is meant to run out
TRACE = bytes(range(256)) * 400  # holds every byte value, 0x0A and 0x0D among them


@contextmanager
def linked(*scripts: Script, receive_buffer: int | None = None) -> Iterator[Link]:
    with (
        ScriptedInstrument(*scripts, receive_buffer=receive_buffer) as instrument,
        closing(open_link(instrument.address, connect_timeout=DEADLINE)) as link,
    ):
        yield link


def fault_of(link: Link, call: Callable[[], object]) -> str:
    """The kind of the fault that `call` ends with; checks what is true of every fault."""
    with pytest.raises(LinkError) as caught:
        call()
    assert not link.usable
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(LinkError) as after:
        link.query("*IDN?", DEADLINE)
    assert after.value.kind == "closed"
    return caught.value.kind


def ask(link: Link, timeout: float = DEADLINE) -> str:
    return fault_of(link, lambda: link.query("POW?", timeout))


def ask_block(link: Link, timeout: float = DEADLINE, idle_timeout: float = DEADLINE) -> str:
    return fault_of(link, lambda: link.query_block("DATA?", timeout, idle_timeout=idle_timeout))


def raw_socket(link: Link) -> socket.socket:
    sock = link._session.interface
    assert isinstance(sock, socket.socket)
    return sock


# --- the ordinary case -------------------------------------------------------------------------


def test_one_message_gets_one_line() -> None:
    with (
        ScriptedInstrument(echo) as instrument,
        closing(open_link(instrument.address, connect_timeout=DEADLINE)) as link,
    ):
        assert link.address == instrument.address
        assert [link.query(f"a{n}?;b?", DEADLINE) for n in range(3)] == [
            f"a{n}?;b?" for n in range(3)
        ]
    assert instrument.received == [b"a0?;b?", b"a1?;b?", b"a2?;b?"]


def test_a_write_is_followed_by_the_next_question() -> None:
    def answer(message: bytes) -> bytes | None:
        return b"1\r\n" if message.endswith(b"?") else None

    with linked(answering(answer)) as link:
        link.write("POW:STAT ON", DEADLINE)
        assert link.query("POW:STAT?", DEADLINE) == "1"


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (b"1.5\n", "1.5"),
        (b"\r\n", ""),
        (b" a, b \r\r\n", " a, b \r"),
        (b"\xb5W\r\n", "\N{REPLACEMENT CHARACTER}W"),
    ],
)
def test_only_the_line_end_is_stripped_and_odd_bytes_are_replaced(sent: bytes, got: str) -> None:
    with linked(segments(sent)) as link:
        assert link.query("POW?", DEADLINE) == got


def test_a_host_name_will_do() -> None:
    with ScriptedInstrument(echo) as instrument:
        address = f"TCPIP0::localhost::{instrument.port}::SOCKET"
        with closing(open_link(address, connect_timeout=DEADLINE)) as link:
            assert link.query("a?", DEADLINE) == "a?"


@pytest.mark.parametrize("message", ["a?\nb?", "a?\r", "1 µm"])
def test_a_message_that_is_not_one_line_of_ascii_is_not_sent(message: str) -> None:
    with linked(echo) as link:
        with pytest.raises(ValueError):
            link.query(message, DEADLINE)
        assert link.query("a?", DEADLINE) == "a?"


def test_pyvisa_is_the_path(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="pyvisa")
    with linked(echo) as link:
        manager = pyvisa.ResourceManager("@py")
        assert [type(r).__name__ for r in manager.list_opened_resources()] == ["TCPIPSocket"]
        assert link.query("a?", DEADLINE) == "a?"
    assert manager.list_opened_resources() == []


def test_registration_is_silent() -> None:
    program = "import logging; logging.basicConfig(level=logging.INFO); import acquisitiond.visa"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(acquisitiond.visa.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


# --- opening: fact 8 ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "",
        "192.168.1.37:5025",
        "TCPIP::192.168.1.37::INSTR",
        "TCPIP::192.168.1.37::SOCKET",
        "TCPIP::192.168.1.37::http::SOCKET",
        "TCPIP::192.168.1.37::0::SOCKET",
        "TCPIP::192.168.1.37::65536::SOCKET",
        "TCPIP::::5025::SOCKET",
        "ASRL1::INSTR",
        "GPIB0::4::INSTR",
    ],
)
def test_only_tcp_sockets_are_addresses(address: str) -> None:
    with pytest.raises(LinkError, match="TCPIP::host::port::SOCKET") as caught:
        open_link(address, connect_timeout=DEADLINE)
    assert caught.value.kind == "invalid"


def test_a_refused_connection_is_noticed_at_once() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        with pytest.raises(LinkError, match="refused") as caught:
            open_link(f"TCPIP::127.0.0.1::{port}::SOCKET", connect_timeout=DEADLINE)
    assert caught.value.kind == "refused"


def test_no_route_and_unknown_names_are_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LinkError) as caught:
        open_link("TCPIP::255.255.255.255::5025::SOCKET", connect_timeout=DEADLINE)
    assert caught.value.kind == "unreachable"

    def unknown(*args: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(LinkError, match="not known") as caught:
        open_link("TCPIP::no-such-instrument::5025::SOCKET", connect_timeout=DEADLINE)
    assert caught.value.kind == "unreachable"


def test_an_impossible_host_name_is_unreachable() -> None:
    with pytest.raises(LinkError) as caught:
        open_link(f"TCPIP::{'a' * 70}.b::5025::SOCKET", connect_timeout=DEADLINE)
    assert caught.value.kind == "unreachable"


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def hangs(*args: object) -> list[object]:
        done.wait(DEADLINE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    try:
        with pytest.raises(LinkError) as caught:
            open_link("TCPIP::slow::5025::SOCKET", connect_timeout=SHORT)
    finally:
        done.set()
    assert caught.value.kind == "timeout"


def test_connecting_has_a_deadline() -> None:
    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # Linux then completes one connection and drops what comes after
        for filler in (one, two):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        with pytest.raises(LinkError) as caught:
            open_link(f"TCPIP::127.0.0.1::{port}::SOCKET", connect_timeout=SHORT)
    assert caught.value.kind == "timeout"


# --- end of file, resets and silence: facts 9 to 11 --------------------------------------------


@pytest.mark.parametrize("script", [finishes(), finishes(b"-17."), resets(), resets(b"-17.")])
def test_a_peer_that_goes_is_seen_at_once(script: Script) -> None:
    with linked(script) as link:
        assert ask(link) == "closed"


def test_a_peer_that_went_between_two_questions_is_seen_at_the_next() -> None:
    with linked(finishes(b"1\r\n")) as link:
        assert link.query("a?", DEADLINE) == "1"
        assert readable(link)
        assert ask(link) == "closed"


@pytest.mark.parametrize("script", [silent, half_line, drip])
def test_no_whole_answer_in_time_is_a_timeout(script: Script) -> None:
    with linked(script) as link:
        assert ask(link, SHORT) == "timeout"


def test_an_answer_that_comes_late_is_never_given_to_the_next_question() -> None:
    cue = threading.Event()
    with ScriptedInstrument(late(b"the old answer\r\n", cue), echo) as instrument:
        with closing(open_link(instrument.address, connect_timeout=DEADLINE)) as link:
            assert ask(link, SHORT) == "timeout"
            cue.set()
        with closing(open_link(instrument.address, connect_timeout=DEADLINE)) as link:
            assert link.query("new?", DEADLINE) == "new?"


def test_a_write_to_a_peer_that_stopped_reading_times_out() -> None:
    with linked(stops_reading, receive_buffer=4096) as link:
        message = "A" * (16 * 1024 * 1024)
        assert fault_of(link, lambda: link.write(message, SHORT)) == "timeout"


def test_a_late_answer_within_the_deadline_is_an_answer() -> None:
    cue = threading.Event()
    with linked(late(b"1\r\n", cue)) as link, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(link.query, "a?", DEADLINE)
        cue.set()
        assert answer.result(DEADLINE) == "1"


# --- whose answer is it: fact 10 ---------------------------------------------------------------


def readable(link: Link) -> bool:
    """Wait until something arrived that nobody reads."""
    limit = time.monotonic() + DEADLINE
    while time.monotonic() < limit:
        if link._session._readable.poll(100):
            return True
    return False


def test_two_answers_to_one_question_are_none() -> None:
    with linked(two_lines) as link:
        assert ask(link) == "desynchronised"


def test_something_unsolicited_spoils_the_next_question_and_it_is_not_sent() -> None:
    def greets(conversation: Conversation) -> None:
        conversation.send(b"welcome\r\n")
        silent(conversation)

    with ScriptedInstrument(greets) as instrument:
        with closing(open_link(instrument.address, connect_timeout=DEADLINE)) as link:
            assert readable(link)
            assert ask(link) == "desynchronised"
    assert instrument.received == []


def test_an_endless_line_is_an_overrun() -> None:
    with linked(flood) as link:
        assert ask(link) == "overrun"


def test_a_line_of_the_longest_kind_is_read() -> None:
    with linked(segments(b"1" * 65534 + b"\r\n")) as link:
        assert link.query("a?", DEADLINE) == "1" * 65534
    with linked(segments(b"1" * 65535 + b"\r\n")) as link:
        assert ask(link) == "overrun"


# --- socket options: fact 12 -------------------------------------------------------------------


def test_a_dead_peer_is_looked_for() -> None:
    with linked(echo) as link:
        sock = raw_socket(link)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        for option, value in (
            (socket.TCP_NODELAY, 1),
            (socket.TCP_KEEPIDLE, 1),
            (socket.TCP_KEEPINTVL, 1),
            (socket.TCP_KEEPCNT, 3),
            (socket.TCP_USER_TIMEOUT, 3000),
        ):
            assert sock.getsockopt(socket.IPPROTO_TCP, option) == value


# --- blocks: fact 13 ---------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"\n", b"\r\n\r\n", TRACE], ids=len)
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_block_is_its_payload_whatever_bytes_it_holds(payload: bytes, end: bytes) -> None:
    with linked(segments(block(payload) + end)) as link:
        assert link.query_block("DATA?", DEADLINE, idle_timeout=DEADLINE) == payload
        assert link.query("a?", DEADLINE) == "a?"


@pytest.mark.parametrize("end", [[b"\r\n"], [b"\n"], [b"\r", b"\n"]])
def test_a_line_end_may_follow_a_block_later(end: list[bytes]) -> None:
    cues = [threading.Event() for _ in end]

    def script(conversation: Conversation) -> None:
        conversation.read_message()
        conversation.send(block(TRACE))
        for cue, part in zip(cues, end, strict=True):
            conversation.wait(cue)
            conversation.send(part)
        answering(lambda message: b"1\r\n" if message.endswith(b"?") else None)(conversation)

    with linked(script) as link:
        assert link.query_block("DATA?", DEADLINE, idle_timeout=DEADLINE) == TRACE
        for cue in cues:
            cue.set()
            assert readable(link)
            link.write("POW:STAT ON", DEADLINE)
        assert link.query("a?", DEADLINE) == "1"


def test_a_line_end_after_a_block_may_come_together_with_the_next_answer() -> None:
    def script(conversation: Conversation) -> None:
        for reply in (block(TRACE), b"\r\n" + block(TRACE), b"\r\n1\r\n", b"\r\n"):
            conversation.read_message()
            conversation.send(reply)

    with linked(script) as link:
        assert link.query_block("DATA?", DEADLINE, idle_timeout=DEADLINE) == TRACE
        assert link.query_block("DATA?", DEADLINE, idle_timeout=DEADLINE) == TRACE
        assert link.query("a?", DEADLINE) == "1"
        assert link.query("a?", DEADLINE) == ""


@pytest.mark.parametrize("surplus", [b"x", b"\r\nx", b"\n\n", b"\r\r\n", b"\r\n\r\n"])
def test_anything_else_after_a_block_is_refused(surplus: bytes) -> None:
    with linked(segments(block(b"1234") + surplus)) as link:

        def ask_twice() -> None:
            link.query_block("DATA?", DEADLINE, idle_timeout=DEADLINE)
            assert readable(link)  # should the surplus have come in a segment of its own
            link.query("a?", DEADLINE)

        assert fault_of(link, ask_twice) == "desynchronised"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"-241,Hardware missing\r\n", "desynchronised"),
        (b"#0123\n", "desynchronised"),
        (b"#x", "desynchronised"),
        (b"#3 12", "desynchronised"),
        (b"#899999999", "overrun"),
    ],
)
def test_what_is_no_block_is_refused(answer: bytes, kind: str) -> None:
    with linked(segments(answer)) as link:
        assert ask_block(link) == kind


@pytest.mark.parametrize("ends", [finishes, resets])
@pytest.mark.parametrize("part", [b"#", b"#6102", block(TRACE)[:-1]], ids=len)
def test_a_peer_that_goes_within_a_block_is_seen(
    ends: Callable[[bytes], Script], part: bytes
) -> None:
    with linked(ends(part)) as link:
        assert ask_block(link) == "closed"


def test_silence_within_a_block_ends_it_before_the_deadline() -> None:
    with linked(segments(block(TRACE)[:-1])) as link:
        assert ask_block(link, DEADLINE, SHORT) == "timeout"


def test_drops_of_a_block_do_not_extend_the_deadline() -> None:
    def script(conversation: Conversation) -> None:
        conversation.read_message()
        conversation.send(b"#6999999")
        while conversation.send(b"\n") and conversation.pause(0.03):
            pass

    with linked(script) as link:
        assert ask_block(link, SHORT, DEADLINE) == "timeout"


def test_a_block_may_take_longer_than_the_silence_allowed() -> None:
    parts = split(block(b"1234567890"), range(1, 14))
    with linked(segments(*parts, gap=0.03)) as link:
        assert link.query_block("DATA?", DEADLINE, idle_timeout=5.0) == b"1234567890"


# --- other threads -----------------------------------------------------------------------------


@pytest.mark.parametrize("script", [silent, stops_reading])
def test_interrupt_ends_what_waits(script: Script) -> None:
    message = "A" * (16 * 1024 * 1024) if script is stops_reading else "a?"
    with linked(script, receive_buffer=4096) as link:
        started = threading.Event()
        begin = link._begin

        def begin_and_tell(timeout: float, idle_timeout: float | None = None) -> None:
            begin(timeout, idle_timeout)
            started.set()

        link._begin = begin_and_tell  # type: ignore[method-assign]
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(link.query, message, 2 * DEADLINE)
            assert started.wait(DEADLINE)
            link.interrupt()
            error = call.exception(DEADLINE)
        assert isinstance(error, LinkError)
        assert (error.kind, link.usable) == ("closed", False)
        assert "interrupted" in str(error)
        link.interrupt()  # after the end: nothing happens


def test_interrupt_before_a_question_ends_it_too() -> None:
    with linked(silent) as link:
        link.interrupt()
        assert ask(link) == "closed"


def test_an_exception_from_outside_closes_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    with linked(silent) as link:

        def control_c(count: int) -> object:
            raise KeyboardInterrupt

        monkeypatch.setattr(link._session, "read", control_c)
        with pytest.raises(KeyboardInterrupt):
            link.query("a?", DEADLINE)
        assert not link.usable


# --- nothing is left behind --------------------------------------------------------------------


def test_close_can_be_called_again() -> None:
    with linked(echo) as link:
        link.close()
        link.close()
        assert not link.usable


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_thousand_connections_leave_nothing_behind() -> None:
    with socket.socket() as nobody_listens, ScriptedInstrument(echo, finishes()) as instrument:
        nobody_listens.bind(("127.0.0.1", 0))
        refused = f"TCPIP::127.0.0.1::{nobody_listens.getsockname()[1]}::SOCKET"
        with closing(open_link(instrument.address, connect_timeout=DEADLINE)) as kept:
            library: Any = kept._visalib
            tables = [library.sessions, library.handlers, library._last_status_in_session]

            def cycle(times: int) -> None:
                for number in range(times):
                    link = open_link(instrument.address, connect_timeout=DEADLINE)
                    if number % 2:
                        ask(link)
                    link.close()
                    with pytest.raises(LinkError):
                        open_link(refused, connect_timeout=DEADLINE)

            def census() -> list[int]:
                gc.collect()
                return [*map(len, tables), atexit._ncallbacks()]

            cycle(10)
            before = census()
            cycle(1000)
            assert census() == before
            assert kept.query("a?", DEADLINE) == "a?"
    gc.collect()


def test_a_link_that_is_merely_dropped_leaves_no_descriptor() -> None:
    with ScriptedInstrument(silent) as instrument:
        link = open_link(instrument.address, connect_timeout=DEADLINE)
        own = raw_socket(link).fileno()
        del link
        gc.collect()
        with pytest.raises(OSError):
            os.fstat(own)


# --- any segmentation gives the same answer ----------------------------------------------------


@pytest.fixture
def segmenting() -> Iterator[tuple[Link, list[list[bytes]]]]:
    """A link, and the queue of answers (each a list of segments) its instrument will give."""
    answers: list[list[bytes]] = []

    def script(conversation: Conversation) -> None:
        while conversation.read_message() is not None:
            for part in answers.pop(0):
                conversation.send(part)

    with linked(script) as link:
        yield link, answers


ONE_LINK_FOR_ALL_EXAMPLES = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def cuts() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 40), max_size=12)


@ONE_LINK_FOR_ALL_EXAMPLES
@given(
    line=st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=40),
    end=st.sampled_from(["\n", "\r\n"]),
    cuts=cuts(),
)
def test_any_split_of_a_line_is_the_line(
    segmenting: tuple[Link, list[list[bytes]]], line: str, end: str, cuts: list[int]
) -> None:
    link, answers = segmenting
    answers.append(split((line + end).encode(), cuts))
    expected = line.removesuffix("\r") if end == "\n" else line
    assert link.query("a?", DEADLINE) == expected


@ONE_LINK_FOR_ALL_EXAMPLES
@given(
    blocks=st.lists(
        st.tuples(st.binary(max_size=40), st.sampled_from([b"", b"\n", b"\r\n"]), cuts()),
        min_size=1,
        max_size=4,
    )
)
def test_any_split_of_blocks_is_their_payloads(
    segmenting: tuple[Link, list[list[bytes]]], blocks: list[tuple[bytes, bytes, list[int]]]
) -> None:
    link, answers = segmenting
    for payload, end, where in blocks:
        answers.append(split(block(payload) + end, where))
        assert link.query_block("DATA?", DEADLINE, idle_timeout=DEADLINE) == payload
    answers.append([b"1\r\n"])
    assert link.query("a?", DEADLINE) == "1"
