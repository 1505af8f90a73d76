"""The client against a publisher that loses what the test wants lost."""

from __future__ import annotations

import asyncio
import itertools
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import orjson
import pytest
import zmq

import ctp10
from ctp10 import wire
from tests.ctp10.test_client_sequence import error, gap, reading, readings
from tests.support.processes import DEADLINE, free_port

TOPIC = wire.power_topic(4)
Socket = zmq.Socket[bytes]


class FakeDaemon:
    """acquisitiond's two sockets, moved by hand: nothing happens that the test does not do."""

    def __init__(self) -> None:
        self._context: zmq.Context[Socket] = zmq.Context()
        self.publisher = self._socket(zmq.XPUB)
        self.router = self._socket(zmq.ROUTER)
        self.publish = f"tcp://127.0.0.1:{self.publisher.bind_to_random_port('tcp://127.0.0.1')}"
        self.control = f"tcp://127.0.0.1:{self.router.bind_to_random_port('tcp://127.0.0.1')}"
        self._beats = itertools.count(1)

    def _socket(self, kind: int) -> Socket:
        made = self._context.socket(kind)
        made.linger, made.rcvtimeo = 0, int(DEADLINE * 1000)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.destroy(linger=0)

    def wait_for_subscription(self, topic: bytes = TOPIC, kind: bytes = b"\x01") -> None:
        while self.publisher.recv() != kind + topic:
            pass

    def send(self, *messages: wire.Message, topic: bytes = TOPIC) -> None:
        for message in messages:
            self.publisher.send_multipart((topic, wire.encode(message)))

    def heartbeat(self, latest: int, epoch: str = "a") -> None:
        beat = wire.Heartbeat(
            timestamp=1000.0,
            state="connected",
            latest={TOPIC.decode(): latest},
            periods={"4": 0.1},
            epoch=epoch,
            seq=next(self._beats),
        )
        self.send(beat, topic=wire.HEARTBEAT)

    def next_request(self, method: str = "replay") -> tuple[list[bytes], dict[str, Any]]:
        while True:
            *envelope, payload = self.router.recv_multipart()
            request = orjson.loads(payload)
            if request["method"] == method:
                return envelope, request

    def answer(
        self,
        *messages: wire.Message,
        gone: wire.Gap | None = None,
        result: Callable[[dict[str, Any]], Any] = lambda answer: answer,
    ) -> dict[str, Any]:
        """Answer the next question for missed messages; returns its parameters."""
        envelope, request = self.next_request()
        answer = {
            "epoch": "a",
            "topic": TOPIC.decode(),
            "newest": 0,
            "first_seq": 0,
            "messages": [orjson.Fragment(wire.encode(message)) for message in messages],
            "gone": gone
            and {"from_seq": gone.from_seq, "to_seq": gone.to_seq, "reason": gone.reason},
        }
        reply = {"jsonrpc": "2.0", "id": request["id"], "result": result(answer)}
        self.router.send_multipart((*envelope, orjson.dumps(reply)))
        parameters: dict[str, Any] = request["params"]
        return parameters


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as fake:
        yield fake


def subscribed(daemon: FakeDaemon, **options: Any) -> ctp10.Subscription[Any]:
    readings: ctp10.Subscription[Any] = ctp10.subscribe(
        module=4,
        **{"endpoint": daemon.publish, "control": daemon.control, "timeout": DEADLINE} | options,
    )
    daemon.wait_for_subscription()
    return readings


def take(source: ctp10.Subscription[Any], count: int) -> list[Any]:
    return [next(source) for _ in range(count)]


@pytest.mark.parametrize("policy", ["repair", "raise", "report"])
def test_skipped_readings_are_fetched_whatever_the_policy(daemon: FakeDaemon, policy: str):
    with subscribed(daemon, gaps=policy) as source:
        daemon.send(*readings(1, 2, 5))
        asked = daemon.answer(*readings(3, 4, 5, 6))
        assert asked == {"topic": "power/4/", "epoch": "a", "seq": 2, "limit": 1000}
        daemon.send(*readings(6, 7))
        assert take(source, 7) == readings(*range(1, 8))
        assert source.gaps == []


def test_a_lost_tail_is_fetched_when_the_heartbeat_tells(daemon: FakeDaemon):
    with subscribed(daemon) as source:
        daemon.send(reading(1))
        daemon.heartbeat(latest=3)
        daemon.answer(*readings(2, 3))
        assert take(source, 3) == readings(1, 2, 3)


def test_more_than_one_page_is_fetched_page_by_page(daemon: FakeDaemon):
    with subscribed(daemon) as source:
        daemon.send(reading(1), reading(2500))
        daemon.answer(*readings(*range(2, 1002)))
        daemon.answer(*readings(*range(1002, 2002)))
        daemon.answer(*readings(*range(2002, 2501)))
        assert take(source, 2500) == readings(*range(1, 2501))


def test_since_brings_what_came_after_it(daemon: FakeDaemon):
    with subscribed(daemon, since=reading(5)) as source:
        daemon.heartbeat(latest=7)
        assert daemon.answer(*readings(6, 7))["seq"] == 5
        assert take(source, 2) == readings(6, 7)


def test_what_is_gone_warns_and_is_listed(daemon: FakeDaemon):
    with subscribed(daemon) as source:
        daemon.send(*readings(1, 5))
        daemon.answer(*readings(4), gone=gap(2, 3, "evicted"))
        assert next(source) == reading(1)
        with pytest.warns(ctp10.GapWarning, match=r"2 readings are missing of module 4 \(seq 2"):
            assert next(source) == reading(4)
        assert source.gaps == [gap(2, 3, "evicted")]
        assert next(source) == reading(5)


def test_the_warning_points_at_the_users_line(daemon: FakeDaemon):
    with subscribed(daemon) as source:
        daemon.send(*readings(1, 3))
        daemon.answer(gone=gap(2, 2, "evicted"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            take(source, 2)
        assert [warning.filename for warning in caught] == [__file__]


def test_what_is_gone_is_raised_and_iterating_may_go_on(daemon: FakeDaemon):
    with subscribed(daemon, gaps="raise") as source:
        daemon.send(*readings(1, 3))
        daemon.answer(gone=gap(2, 2, "evicted"))
        assert next(source) == reading(1)
        with pytest.raises(ctp10.GapError, match="1 reading is missing") as raised:
            next(source)
        assert raised.value.gap == gap(2, 2, "evicted")
        assert next(source) == reading(3)


def test_what_is_gone_is_reported_in_its_place(daemon: FakeDaemon):
    with subscribed(daemon, gaps="report") as source:
        daemon.send(*readings(1, 3))
        daemon.answer(gone=gap(2, 2, "evicted"))
        assert take(source, 3) == [reading(1), gap(2, 2, "evicted"), reading(3)]


def test_without_an_answer_the_gap_is_named_and_readings_go_on(daemon: FakeDaemon):
    with subscribed(daemon, gaps="report") as source:
        daemon.send(*readings(1, 3))
        daemon.next_request()
        daemon.next_request()  # it asks again before it gives up
        assert take(source, 3) == [reading(1), gap(2, 2, "unreachable"), reading(3)]


def test_without_anybody_to_ask_it_is_the_same(daemon: FakeDaemon):
    nobody = f"tcp://127.0.0.1:{free_port()}"
    with subscribed(daemon, gaps="report", control=nobody) as source:
        daemon.send(*readings(1, 3))
        assert take(source, 3) == [reading(1), gap(2, 2, "unreachable"), reading(3)]


@pytest.mark.parametrize(
    "result",
    [
        lambda _: None,
        lambda _: {},
        lambda answer: answer | {"messages": [{"type": "data"}]},
        lambda answer: answer | {"messages": 5},
        lambda answer: answer | {"gone": [1]},
    ],
    ids=["null", "empty", "half a message", "no list", "wrong gone"],
)
def test_an_answer_that_is_none_harms_nothing(daemon: FakeDaemon, result: Any):
    with subscribed(daemon) as source:
        daemon.send(*readings(1, 3))
        daemon.answer(result=result)
        daemon.answer(reading(2))
        assert take(source, 3) == readings(1, 2, 3)


def test_a_message_that_is_none_counts_as_missed(daemon: FakeDaemon):
    with subscribed(daemon) as source:
        daemon.send(reading(1))
        daemon.publisher.send_multipart((TOPIC, b"\xff{"))
        daemon.publisher.send_multipart((TOPIC,))
        daemon.publisher.send_multipart((wire.HEARTBEAT, b'{"type":"heartbeat"}'))
        daemon.send(reading(3))
        daemon.answer(reading(2))
        assert take(source, 3) == readings(1, 2, 3)


def test_a_new_epoch_names_the_old_tail_and_is_read_from_its_start(daemon: FakeDaemon):
    with subscribed(daemon, gaps="report") as source:
        daemon.send(reading(1), reading(3, "b"))
        assert daemon.answer(*readings(1, 2, epoch="b"))["epoch"] == "b"
        tail = gap(2, None, "epoch_changed")
        assert take(source, 5) == [reading(1), tail, *readings(1, 2, 3, epoch="b")]


def test_an_absent_module_is_an_instrument_error(daemon: FakeDaemon):
    with subscribed(daemon) as source:
        daemon.send(error(1), reading(2))
        with pytest.raises(ctp10.InstrumentError, match="not there"):
            next(source)
        assert next(source) == reading(2), "it may come back"


def test_who_does_not_take_them_loses_the_oldest_and_is_told(daemon: FakeDaemon):
    with subscribed(daemon, gaps="report", buffer=10) as source:
        daemon.send(*readings(*range(1, 31)))
        daemon.send(reading(41))
        daemon.next_request()  # so all that came before has been received
        assert take(source, 11) == [gap(1, 20, "evicted"), *readings(*range(21, 31))]


def test_the_oldest_go_on_being_dropped_across_epochs_and_gaps(daemon: FakeDaemon):
    with subscribed(daemon, gaps="report", buffer=2) as source:
        daemon.send(*readings(1, 2, 4))
        daemon.answer(gone=gap(3, 3, "evicted"))
        daemon.send(*readings(5, 6))
        daemon.send(*readings(1, 2, 3, epoch="b"), reading(9, "b"))
        daemon.next_request()
        assert take(source, 4) == [
            gap(1, None, "evicted"),
            gap(1, 1, "evicted", "b"),
            *readings(2, 3, epoch="b"),
        ]


def test_the_rate_that_is_wished_for_is_subscribed_to_and_given_back(daemon: FakeDaemon):
    with ctp10.subscribe(rate=50, endpoint=daemon.publish, control=daemon.control):
        daemon.wait_for_subscription(b"rate/4/50/")
    daemon.wait_for_subscription(b"rate/4/50/", kind=b"\x00")


def test_the_state_is_what_the_heartbeat_says(daemon: FakeDaemon):
    with subscribed(daemon) as source:
        assert source.state == "unreachable"
        assert source.status is None
        daemon.heartbeat(latest=0)
        envelope, request = daemon.next_request("snapshot")
        status = wire.Status(
            timestamp=1.0,
            state="connected",
            instrument="EXFO",
            address="TCPIP::…",
            error=None,
            modules=[4],
            simulated=False,
            epoch="a",
            seq=1,
        )
        result = {"epoch": "a", "topics": {"status/": orjson.Fragment(wire.encode(status))}}
        reply = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        daemon.router.send_multipart((*envelope, orjson.dumps(reply)))
        daemon.send(*readings(1, 3))
        daemon.answer(reading(2))
        take(source, 3)  # so the answer before that one was received as well
        assert source.state == "connected"
        assert source.status == status


def test_async_for_gets_the_same(daemon: FakeDaemon, run_async: Any):
    async def body() -> None:
        async with subscribed(daemon, gaps="report") as source:
            daemon.send(*readings(1, 3))
            daemon.answer(gone=gap(2, 2, "evicted"))
            taken = [await anext(source) for _ in range(3)]
            assert taken == [reading(1), gap(2, 2, "evicted"), reading(3)]
            waiting = asyncio.create_task(anext(source))
            await asyncio.sleep(0)
            daemon.send(reading(4))
            assert await waiting == reading(4)
            waiting = asyncio.create_task(anext(source))
            await asyncio.sleep(0)
            source.close()
            with pytest.raises(StopAsyncIteration):
                await waiting

    run_async(body())
