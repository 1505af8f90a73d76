"""Real sockets on a free port: sessions, terminators, bounds, and peers that misbehave."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest

from acquisitiond.simulator.instrument import Instrument
from acquisitiond.simulator.model import Model
from acquisitiond.simulator.server import LONGEST_MESSAGE, MOST_SESSIONS, serve

DEADLINE = 10.0
IDENTITY = b"EXFO,CTP10,12345,1.0.0\r\n"


class Peer:
    """A client: a pair of asyncio streams with a deadline on each read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, message: bytes) -> bytes:
        self.writer.write(message)
        return await self.line()

    async def line(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readline()

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readexactly(size)

    async def close(self) -> None:
        self.writer.close()
        await asyncio.wait([asyncio.ensure_future(self.writer.wait_closed())])


Connect = Callable[[], Awaitable[Peer]]


def run(test: Callable[[Connect, list[float]], Awaitable[None]], latency_s: float = 0.0) -> None:
    """Run a test against a server; it gets a way to connect, and the instrument's clock."""

    async def body() -> None:
        now = [0.0]
        instrument = Instrument(Model(clock=lambda: now[0]))
        peers: list[Peer] = []
        async with serve(instrument, "127.0.0.1", 0, latency_s=latency_s) as (host, port):

            async def connect() -> Peer:
                peers.append(Peer(*await asyncio.open_connection(host, port, limit=1 << 26)))
                return peers[-1]

            try:
                await test(connect, now)
            finally:
                for peer in peers:
                    peer.writer.transport.abort()

    asyncio.run(asyncio.wait_for(body(), 2 * DEADLINE))


@pytest.mark.parametrize("terminator", [b"\r\n", b"\n", b" \r\n"])
def test_a_newline_ends_a_message_and_what_is_before_it_is_white_space(terminator: bytes) -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        peer = await connect()
        assert await peer.ask(b"*IDN?" + terminator) == IDENTITY
        assert await peer.ask(b":CTP:SENS4:CHAN1:WAV 1550NM" + terminator + b"*CLS;*IDN?\n")

    run(test)


def test_messages_may_come_in_any_pieces() -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        peer = await connect()
        for byte in b"*IDN?\r\n*IDN?\r":
            peer.writer.write(bytes([byte]))
            await peer.writer.drain()
        assert await peer.line() == IDENTITY
        assert await peer.ask(b"\n") == IDENTITY
        assert await peer.ask(b"*IDN?\n\n\r\n*IDN?;*IDN?\n*E") == IDENTITY
        assert await peer.line() == IDENTITY.replace(b"\r\n", b";") + IDENTITY
        assert await peer.ask(b"SE?\n") == b"0\r\n"

    run(test)


def test_sessions_share_the_instrument_and_each_has_its_own_answers() -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        one, two = await connect(), await connect()
        one.writer.write(b":CTP:SENS4:CHAN1:UNIT:Y MW;:FOO;*IDN?\n")
        assert await one.line() == IDENTITY
        assert await two.ask(b":CTP:SENS4:CHAN1:UNIT:Y?;:SYST:ERR?\n") == (
            b"1;-113,Undefined header\r\n"
        )
        assert await one.ask(b":SYST:ERR?\n") == b"0,No error\r\n"
        many = [await connect() for _ in range(4)]
        questions = [b":CTP:SENS4:CHAN%d:WAV?;:SYST:ERR?\n" % (i + 1) for i in range(4)]
        answers = await asyncio.gather(
            *(p.ask(q * 50) for p, q in zip(many, questions, strict=True))
        )
        assert answers == [b"1.31000000E-006;0,No error\r\n"] * 4

    run(test)


def test_a_session_that_waits_does_not_hold_up_another() -> None:
    async def test(connect: Connect, now: list[float]) -> None:
        waiting, other = await connect(), await connect()
        waiting.writer.write(b":INIT;*OPC?\n")
        while await other.ask(b":STAT:OPER:COND?\n") != b"4\r\n":
            pass
        assert await other.ask(b"*IDN?\n") == IDENTITY
        now[0] = 100.0
        assert await waiting.line() == b"1\r\n"

    run(test)


def test_a_trace_of_940001_points_does_not_hold_up_another_session() -> None:
    async def test(connect: Connect, now: list[float]) -> None:
        big, other = await connect(), await connect()
        await big.ask(b":INIT:WAV:SAMP 0.1PM;STAR 1500NM;STOP 1594NM;:INIT;*IDN?\n")
        now[0] = 100.0
        big.writer.write(b":TRAC:SENS4:CHAN1:TYPE1:DATA? BIN,DB\n")
        block = asyncio.ensure_future(big.read(len(b"#73760004") + 3_760_004))
        answered = 0
        while not block.done():
            assert await other.ask(b":CTP:SENS4:CHAN1:POW?\n")
            answered += 1
        assert (await block)[:9] == b"#73760004"
        assert answered > 100  # computed in one go, it would let in one or two

    run(test)


def test_garbage_gets_errors_and_the_session_goes_on() -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        peer = await connect()
        peer.writer.write(bytes(range(256)) + b"\x00\xff\n\xff\xfe;;;\n'\"\n*CLS\n")
        assert await peer.ask(b":SYST:ERR?\n") == b"0,No error\r\n"
        assert (await peer.ask(b"GET / HTTP/1.1\r\n:SYST:ERR?\n")).startswith(b"-1")
        assert await peer.ask(b"*IDN?\n") == IDENTITY

    run(test)


def test_an_over_long_message_is_dropped_to_its_end() -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        peer = await connect()
        for _ in range(64):
            peer.writer.write(b"*IDN?;" * 1000)
            await peer.writer.drain()
        peer.writer.write(b"*IDN?\n")
        assert await peer.ask(b":SYST:ERR?;ERR?\n") == b"-363,Input buffer overrun;0,No error\r\n"
        fits = b"*IDN?" + b" " * (LONGEST_MESSAGE - 5)
        assert await peer.ask(fits + b"\n") == IDENTITY
        assert await peer.ask(fits + b" \n:SYST:ERR?\n") == b"-363,Input buffer overrun\r\n"

    run(test)


def test_one_session_too_many_reads_an_end_of_file() -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        peers = [await connect() for _ in range(MOST_SESSIONS)]
        for peer in peers:
            assert await peer.ask(b"*IDN?\n") == IDENTITY
        refused = await connect()
        assert await refused.line() == b""
        await peers[0].close()
        while True:  # the place is free as soon as the server has seen the other one leave
            late = await connect()
            late.writer.write(b"*IDN?\n")
            try:
                if await late.line() == IDENTITY:
                    break
            except ConnectionResetError:
                continue
        assert await peers[1].ask(b"*IDN?\n") == IDENTITY

    run(test)


def test_what_was_sent_before_closing_is_executed() -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        leaver, other = await connect(), await connect()
        leaver.writer.write(b":CTP:SENS4:CHAN1:UNIT:Y MW\n" * 3 + b"*IDN?\n")
        leaver.writer.write_eof()
        assert await leaver.line() == IDENTITY
        assert await leaver.line() == b""
        assert await other.ask(b":CTP:SENS4:CHAN1:UNIT:Y?\n") == b"1\r\n"

    run(test)


def test_a_session_that_vanishes_is_no_error() -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        for message in (b"", b"*IDN", b":INIT;*OPC?\n", b"*IDN?\n" * 1000):
            peer = await connect()
            peer.writer.write(message)
            await peer.writer.drain()
            peer.writer.transport.abort()
        assert await (await connect()).ask(b"*IDN?\n") == IDENTITY

    run(test)


def test_a_peer_that_does_not_read_is_read_no_further() -> None:
    async def test(connect: Connect, now: list[float]) -> None:
        slow, other = await connect(), await connect()
        await slow.ask(b":INIT:WAV:SAMP 0.1PM;STAR 1500NM;STOP 1520NM;:INIT;*IDN?\n")
        now[0] = 100.0
        slow.writer.transport.pause_reading()
        question = b":TRAC:SENS4:CHAN1:TYPE1:DATA? BIN,DB\n"
        slow.writer.write(question * 40)  # 32 MB of answers, more than any socket holds
        slow.writer.write(b":CTP:SENS4:CHAN1:UNIT:Y MW\n")
        for _ in range(1000):  # sessions take turns: enough of them to execute all of the above
            assert await other.ask(b":CTP:SENS4:CHAN1:UNIT:Y?\n") == b"0\r\n"
        slow.writer.transport.resume_reading()
        for _ in range(40):
            await slow.read(len(b"#6800004") + 800_004)
        assert await slow.ask(b":CTP:SENS4:CHAN1:UNIT:Y?\n") == b"1\r\n"

    run(test)


def test_latency_is_added_to_each_message_of_a_session_on_its_own() -> None:
    async def test(connect: Connect, _: list[float]) -> None:
        one, two = await connect(), await connect()
        started = time.perf_counter()
        one.writer.write(b"*IDN?\n" * 3)
        two.writer.write(b"*IDN?\n" * 3)
        for _ in range(3):
            assert await one.line() == await two.line() == IDENTITY
        assert 3 * 0.1 <= time.perf_counter() - started < 6 * 0.1

    run(test, latency_s=0.1)


def test_a_port_in_use_is_an_os_error() -> None:
    async def body() -> None:
        async with serve(Instrument(Model()), "127.0.0.1", 0) as (host, port):
            with pytest.raises(OSError, match="in use"):
                async with serve(Instrument(Model()), host, port):
                    pass

    asyncio.run(body())


def test_stopping_hangs_up_on_everybody_at_once() -> None:
    async def body() -> None:
        async with asyncio.timeout(DEADLINE):
            async with serve(Instrument(Model()), "127.0.0.1", 0, latency_s=60.0) as (host, port):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(b"*IDN?\n")
                idle_reader, idle_writer = await asyncio.open_connection(host, port)
            for stream in (reader, idle_reader):
                with contextlib.suppress(ConnectionResetError):
                    assert await stream.read() == b""
            for stream in (writer, idle_writer):
                stream.transport.abort()

    asyncio.run(body())
