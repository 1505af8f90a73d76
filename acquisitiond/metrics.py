"""What acquisitiond counts, for Prometheus."""

from __future__ import annotations

from importlib.metadata import version
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ctp10.wire import State


class Metrics:
    """One registry per daemon, so that a test can run two."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.readings = Counter(
            "acquisitiond_readings",
            "Readings published",
            ["module", "quality"],
            registry=self.registry,
        )
        self.errors = Counter(
            "acquisitiond_errors",
            "What went wrong with the instrument or a caller",
            ["kind"],
            registry=self.registry,
        )
        self.query_duration = Histogram(
            "acquisitiond_query_duration_seconds",
            "Time from a question about a module's powers to its answer",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.lateness = Histogram(
            "acquisitiond_schedule_lateness_seconds",
            "Time from when a reading was due to when it was asked for",
            buckets=(0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1),
            registry=self.registry,
        )
        self.missed = Counter(
            "acquisitiond_missed_readings",
            "Readings that were due while the link was busy, and not taken",
            registry=self.registry,
        )
        self.connections = Counter(
            "acquisitiond_connections", "Connections to the instrument", registry=self.registry
        )
        self._state = Gauge(
            "acquisitiond_state",
            "1 for the state the link to the instrument is in",
            ["state"],
            registry=self.registry,
        )

        info = Gauge(
            "acquisitiond_build_info",
            "1, labelled with the version",
            ["version"],
            registry=self.registry,
        )
        info.labels(version("ctp10")).set(1)

    def state(self, state: State) -> None:
        """The link is in this state."""
        for name in get_args(State):
            self._state.labels(name).set(name == state)
