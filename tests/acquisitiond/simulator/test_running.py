"""The simulator as others start it: in a thread, as a task, from the command line."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from acquisitiond.simulator import SimulatorOptions, run_simulator
from tests.support.simulator_thread import SimulatorThread

IDENTITY = b"EXFO,CTP10,12345,1.0.0\r\n"
ANY_PORT = SimulatorOptions(port=0)


def ask(port: int, message: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(message)
        with peer.makefile("rb") as answers:
            return answers.readline()


def port_of(address: str) -> int:
    match = re.fullmatch(r"TCPIP::127\.0\.0\.1::(\d+)::SOCKET", address)
    assert match is not None
    return int(match[1])


def test_a_thread_serves_while_its_context_is_open() -> None:
    with SimulatorThread(ANY_PORT) as simulator, SimulatorThread() as second:
        port = port_of(simulator.address)
        assert port_of(second.address) != port
        assert ask(port, b"*IDN?\n") == IDENTITY
    with pytest.raises(ConnectionRefusedError):
        ask(port, b"*IDN?\n")


def test_a_thread_says_what_kept_it_from_starting() -> None:
    with SimulatorThread(ANY_PORT) as simulator:
        taken = SimulatorOptions(port=port_of(simulator.address))
        with pytest.raises(OSError, match="in use"):
            SimulatorThread(taken).__enter__()
    with pytest.raises(ValueError, match="module"):
        SimulatorThread(SimulatorOptions(port=0, modules=((0, 0),))).__enter__()


def test_a_task_serves_until_it_is_told_to_stop() -> None:
    async def body() -> None:
        stop = asyncio.Event()
        bound: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        options = SimulatorOptions(port=0, modules=((7, 2),), latency_ms=1.0)
        task = asyncio.create_task(
            run_simulator(options, stop, lambda host, port: bound.set_result((host, port)))
        )
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(*await bound)
            writer.write(b":CTP:SENS7:CHAN2:UNIT:Y?;:CTP:SENS7:CHAN3:UNIT:Y?;:SYST:ERR?\n")
            assert await reader.readline() == b"0;-241,Hardware missing\r\n"
            stop.set()
            await task
            writer.transport.abort()

    asyncio.run(body())


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "acquisitiond.simulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_says_where_it_listens_and_ends_on_a_signal(
    number: signal.Signals, tmp_path: Path
) -> None:
    log = tmp_path / "readings.jsonl"
    with start("--port", "0", "--module", "4", "--module", "7:2", "--log", str(log)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.fullmatch(r"simulated CTP10 listening on 127\.0\.0\.1:(\d+)\n", line)
        assert match is not None
        answer = ask(int(match[1]), b":CTP:SENS4:CHAN1:POW?;:CTP:SENS7:CHAN2:POW?\n")
        process.send_signal(number)
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0
    notes = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(n["module"], n["channel"], n["unit"]) for n in notes] == [(4, 1, "dBm"), (7, 2, "dBm")]
    assert [n["value"] for n in notes] == [float(field) for field in answer.split(b";")]
    assert all(n["time"] > 1.7e9 for n in notes)


def test_a_port_in_use_is_one_sentence_and_exit_code_1() -> None:
    with SimulatorThread(ANY_PORT) as simulator:
        with start("--port", str(port_of(simulator.address))) as process:
            out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (1, "")
    assert re.fullmatch(r"The simulator cannot start on 127.0.0.1:\d+: .* in use\.\n", err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "70000"),
        ("--latency-ms", "-1"),
        ("--seed", "x"),
        ("--module", "21"),
        ("--module", "4:7"),
        ("--module", "four"),
        ("--module", "4", "--module", "4"),
        ("--nonsense",),
    ],
)
def test_a_bad_option_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    from click.testing import CliRunner

    from acquisitiond.simulator.__main__ import main

    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.output
