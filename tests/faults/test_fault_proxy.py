"""The proxy does what its faults say: else the tests that use it would say nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.fault_proxy import DEADLINE, DRIP, End, FaultProxy
from tests.support.instruments import ScriptedInstrument, echo

QUESTION = b":POWer?\r\n"
MOMENT = 0.1
FIN = b"(FIN)"


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """Before an instrument that answers each question with itself."""
    with ScriptedInstrument(echo) as instrument, FaultProxy(instrument.port) as proxy:
        yield proxy


def connect(proxy: FaultProxy, timeout: float = DEADLINE) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout)


def ask(sock: socket.socket, expected: bytes, question: bytes = QUESTION) -> None:
    """What comes is what is expected, and nothing more in a moment."""
    sock.sendall(question)
    got = b""
    while True:
        sock.settimeout(MOMENT if got == expected else DEADLINE)
        try:
            data = sock.recv(65536)
        except TimeoutError:
            break
        got += data or FIN
        assert expected.startswith(got)
        if not data:
            break
    assert got == expected


FAULTS: dict[str, tuple[Callable[[FaultProxy], None], bytes, bytes]] = {
    "forward": (lambda p: p.forward(), QUESTION, QUESTION),
    "swallow": (lambda p: p.swallow(times=1), b"", QUESTION),
    "truncate": (lambda p: p.truncate(3, b"!", times=1), b":PO!", QUESTION),
    "corrupt": (lambda p: p.corrupt(0, 1, times=1), b";POWer?\r\n", QUESTION),
    "corrupt the end": (lambda p: p.corrupt(-1, times=1), b":POWer?\r\x8a", QUESTION),
    "double": (lambda p: p.double(times=1), QUESTION * 2, QUESTION),
    "double later": (lambda p: p.double(0.05, times=1), QUESTION * 2, QUESTION),
    "delay": (lambda p: p.delay(0.3, times=1), b"", QUESTION * 2),
    "cut": (lambda p: p.cut(3, End.FINISH, times=1), b":PO" + FIN, FIN),
    "black hole": (lambda p: p.black_hole(), b"", b""),
    "stop reading": (lambda p: p.stop_reading(), b"", b""),
    "unplug": (lambda p: p.unplug(), b"", b""),
}
"""What is done, and what comes of the next two questions."""


@pytest.mark.parametrize(("fault", "first", "then"), FAULTS.values(), ids=FAULTS)
def test_a_fault_does_to_answers_what_it_says(
    proxy: FaultProxy, fault: Callable[[FaultProxy], None], first: bytes, then: bytes
):
    with connect(proxy) as sock:
        ask(sock, QUESTION)
        fault(proxy)
        ask(sock, first)
        ask(sock, then)


def test_a_drip_is_a_byte_at_a_time_without_an_end(proxy: FaultProxy):
    proxy.drip()
    with connect(proxy) as sock:
        sock.sendall(QUESTION)
        started = time.monotonic()
        got = b"".join(sock.recv(1) for _ in range(10))
    assert got == b":POWer?000"
    assert time.monotonic() - started >= 9 * DRIP


def test_other_questions_are_answered(proxy: FaultProxy):
    proxy.swallow()
    with connect(proxy) as sock:
        ask(sock, b"*IDN?\r\n", b"*IDN?\r\n")


def test_resets_are_resets(proxy: FaultProxy):
    for fault in (lambda: proxy.hang_up(End.RESET), proxy.off):
        with connect(proxy) as sock:
            ask(sock, QUESTION)
            fault()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        proxy.forward()


def test_away_is_refused_or_not_even_that_and_comes_back_at_the_same_place(proxy: FaultProxy):
    proxy.off()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.unplug()
    with pytest.raises(TimeoutError):
        connect(proxy, MOMENT)
    proxy.forward()
    with connect(proxy) as sock:
        ask(sock, QUESTION)


def test_what_fell_into_a_black_hole_stays_dead_and_new_connections_live(proxy: FaultProxy):
    with connect(proxy) as sock:
        ask(sock, QUESTION)
        proxy.black_hole()
        with connect(proxy) as second:
            ask(second, b"")
            proxy.forward()
            ask(sock, b"")
            ask(second, b"")
            with connect(proxy) as third:
                ask(third, QUESTION)
    assert proxy.accepted == 3


def test_an_answer_is_left_over_for_the_next_connection(proxy: FaultProxy):
    proxy.leave_over()
    with connect(proxy) as sock:
        ask(sock, b"")
        proxy.wait()
    with connect(proxy) as sock:
        ask(sock, QUESTION + b"*IDN?\r\n", b"*IDN?\r\n")
