"""acquisitiond put together: the instrument's thread, the publisher, the control server.

`run` is handed its settings and its stop event; everything it starts, it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import zmq

from acquisitiond.control import ControlServer
from acquisitiond.demand import Demand
from acquisitiond.events import Connected, Crashed, Event, Lost, ModuleAbsent, Snapshot
from acquisitiond.history import History
from acquisitiond.methods import Methods
from acquisitiond.metrics import Metrics
from acquisitiond.owner import Owner
from acquisitiond.publisher import Publisher
from acquisitiond.settings import Settings
from acquisitiond.troubles import Troubles
from acquisitiond.visa import open_link
from common import lifecycle
from common.metrics import serve_metrics
from ctp10 import wire

log = logging.getLogger("acquisitiond")

HANDOFF: Final = 1024
"""Events that may wait for the loop before the instrument's thread waits with them."""
STOP_TIMEOUT: Final = 1.5
"""Seconds that a question in progress may hold up the end."""


async def run(
    settings: Settings, stop: asyncio.Event, ready: Callable[[Daemon], None] = lambda _: None
) -> None:
    """Acquire and publish until `stop`. Raises zmq.ZMQError when an endpoint cannot be bound."""
    with contextlib.ExitStack() as stack:
        metrics = Metrics()
        daemon = Daemon(settings, metrics)
        stack.callback(daemon.close)
        stack.enter_context(serve_metrics(metrics.registry, settings.metrics_port, log))
        stack.enter_context(daemon.acquiring())
        log.info("publishing on %s, answering on %s", daemon.publish, daemon.control)
        lifecycle.notify("READY=1")
        ready(daemon)
        async with asyncio.TaskGroup() as tasks:
            heartbeat = tasks.create_task(daemon.heartbeat(), name="heartbeat")
            crash = tasks.create_task(daemon.crash(), name="crash of the instrument's thread")
            await stop.wait()
            heartbeat.cancel()
            crash.cancel()
        log.info("stopping")


class Daemon:
    """State of a running daemon: what it publishes, what it answers, what it reads."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._started = time.time()
        self._demand = Demand(settings.modules, settings.rate, settings.max_rate)
        self._state: wire.State = "connecting"
        self._identity: str | None = None
        self._error: str | None = "not connected yet"
        self._troubles = Troubles(log, self._loop.time)
        self._absent_count: dict[int, int] = {}
        self._closing = False
        self._crashed: asyncio.Future[None] = self._loop.create_future()
        self._room = threading.BoundedSemaphore(HANDOFF)
        self._owner = Owner(
            lambda timeout: open_link(settings.address, connect_timeout=timeout),
            self._emit,
            timeout=settings.timeout_ms / 1000,
            configured=settings.modules,
        )
        self._owner.want(self._demand.periods())
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        stranger = metrics.errors.labels("not_zmtp").inc
        self._publisher = Publisher(
            context,
            settings.publish,
            secrets.token_hex(8),
            self._subscription,
            stranger,
            History(int(settings.history_mb * 1024 * 1024)),
        )
        methods = Methods(self._publisher, self._status).table()
        try:
            self._control = ControlServer(
                context, settings.control, methods, metrics.errors.labels("request").inc, stranger
            )
        except zmq.ZMQError:
            self._publisher.close()
            raise
        self.publish, self.control = self._publisher.endpoint, self._control.endpoint
        self._publish_status()

    def close(self) -> None:
        """Release the sockets."""
        self._control.close()
        self._publisher.close()

    @contextlib.contextmanager
    def acquiring(self) -> Iterator[None]:
        """Own the instrument while the context lasts."""
        self._owner.start()
        try:
            yield
        finally:
            self._closing = True
            if not self._owner.stop(STOP_TIMEOUT):
                log.warning("the instrument's thread did not end within %g s", STOP_TIMEOUT)

    async def heartbeat(self) -> None:
        """Publish a heartbeat once a second, for ever."""
        due = self._loop.time()
        while True:
            self._publisher.publish(wire.HEARTBEAT, self._heartbeat)
            due = max(due + 1.0, self._loop.time())
            await asyncio.sleep(due - self._loop.time())

    async def crash(self) -> None:
        """Wait for ever; raise what ended the instrument's thread, should anything."""
        await self._crashed

    # From the instrument's thread

    def _emit(self, event: Event) -> None:
        while not self._room.acquire(timeout=0.2):
            if self._closing:
                return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._on_event, event)

    # On the loop

    def _on_event(self, event: Event) -> None:
        self._room.release()
        match event:
            case Snapshot():
                self._on_snapshot(event)
            case ModuleAbsent(module, reason):
                self._metrics.errors.labels("module_absent").inc()
                self._troubles.begin(f"module {module}", reason)
                self._publish_absent(module, reason)
            case Connected(identity):
                self._metrics.connections.inc()
                self._troubles.end("instrument")
                log.info("connected to %s", identity)
                self._set_state("connected", identity, None)
            case Crashed(error):
                if not self._crashed.done():
                    self._crashed.set_exception(error)
            case Lost(kind, reason):
                self._metrics.errors.labels(kind).inc()
                self._troubles.begin("instrument", reason)
                self._set_state("connecting", self._identity, reason)

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        powers = snapshot.powers
        quality: wire.Quality = "INVALID" if snapshot.error else "VALID"
        self._publisher.publish(
            wire.power_topic(snapshot.module),
            lambda epoch, seq: wire.Reading(
                timestamp=round(snapshot.timestamp, 6),
                module=snapshot.module,
                wavelength_nm=snapshot.wavelength_nm,
                unit=snapshot.unit,
                ch1_power=powers.get(1),
                ch2_power=powers.get(2),
                ch3_power=powers.get(3),
                ch4_power=powers.get(4),
                ch5_power=powers.get(5),
                ch6_power=powers.get(6),
                quality=quality,
                epoch=epoch,
                seq=seq,
            ),
        )
        self._metrics.readings.labels(snapshot.module, quality).inc()
        self._metrics.lateness.observe(snapshot.lateness)
        self._metrics.missed.inc(snapshot.missed)
        if snapshot.duration is not None:
            self._metrics.query_duration.observe(snapshot.duration)
        subject = f"module {snapshot.module}"
        if snapshot.error:
            self._metrics.errors.labels("invalid_reading").inc()
            self._troubles.begin(subject, snapshot.error)
        else:
            self._troubles.end(subject)
            self._absent_count.pop(snapshot.module, None)

    def _publish_absent(self, module: int, reason: str) -> None:
        count = self._absent_count[module] = self._absent_count.get(module, 0) + 1
        self._publisher.publish(
            wire.power_topic(module),
            lambda epoch, seq: wire.Error(
                message=reason,
                timestamp=wire.iso_timestamp(time.time()),
                recoverable=True,
                error_count=count,
                module=module,
                epoch=epoch,
                seq=seq,
            ),
        )

    def _subscription(self, frame: bytes) -> None:
        if self._demand.subscription(frame):
            self._owner.want(self._demand.periods())
        if frame[:1] == b"\x01" and (module := wire.parse_power_topic(frame[1:])) is not None:
            self._tell_if_absent(module)

    def _tell_if_absent(self, module: int) -> None:
        """A new subscriber of a module known to be absent shall not wait for the next probe."""
        reason = self._troubles.get(f"module {module}")
        if module in self._absent_count and reason is not None:
            self._publish_absent(module, reason)

    def _set_state(self, state: wire.State, identity: str | None, error: str | None) -> None:
        if (state, identity, error) != (self._state, self._identity, self._error):
            self._state, self._identity, self._error = state, identity, error
            self._publish_status()

    def _publish_status(self) -> None:
        self._metrics.state(self._state)
        self._publisher.publish(
            wire.STATUS,
            lambda epoch, seq: wire.Status(
                timestamp=time.time(),
                state=self._state,
                instrument=self._identity,
                address=self._settings.address,
                error=self._error,
                modules=list(self._settings.modules),
                simulated=self._settings.simulate,
                epoch=epoch,
                seq=seq,
            ),
        )

    def _heartbeat(self, epoch: str, seq: int) -> wire.Heartbeat:
        latest = {topic.decode(): number for topic, number in self._publisher.seqs.items()}
        latest[wire.HEARTBEAT.decode()] = seq
        return wire.Heartbeat(
            timestamp=time.time(),
            state=self._state,
            latest=latest,
            periods=self._periods(),
            epoch=epoch,
            seq=seq,
        )

    def _status(self) -> dict[str, Any]:
        return {
            "epoch": self._publisher.epoch,
            "state": self._state,
            "instrument": self._identity,
            "address": self._settings.address,
            "error": self._error,
            "simulated": self._settings.simulate,
            "modules": list(self._settings.modules),
            "periods": self._periods(),
            "latest": {topic.decode(): seq for topic, seq in self._publisher.seqs.items()},
            "started": self._started,
        }

    def _periods(self) -> dict[str, float]:
        return {str(module): period for module, period in self._demand.periods().items()}
