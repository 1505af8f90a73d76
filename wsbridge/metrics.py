"""What wsbridge counts, for Prometheus; one sum over all workers where there are several."""

from __future__ import annotations

import os
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from common.metrics import render

WORKERS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus-client: where workers keep their values for each other."""


class Metrics:
    """One registry per bridge, so that a test can run two."""

    def __init__(self) -> None:
        self._shared = WORKERS_DIRECTORY in os.environ
        registry = self._registry = CollectorRegistry()
        self.connections = Gauge(
            "wsbridge_connections",
            "Open WebSockets",
            ["endpoint", "encoding"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.closed = Counter(
            "wsbridge_connections_closed",
            "WebSockets that ended, by close code and why this side ended it, if it did",
            ["code", "reason"],
            registry=registry,
        )
        self.rejected = Counter(
            "wsbridge_connections_rejected",
            "Requests that were refused",
            ["reason"],
            registry=registry,
        )
        self.sent = Counter(
            "wsbridge_messages_sent", "Messages handed to connections", registry=registry
        )
        self.conflated = Counter(
            "wsbridge_messages_conflated",
            "Readings replaced by newer ones before their client took them",
            registry=registry,
        )
        self.dropped = Counter(
            "wsbridge_messages_dropped",
            "Messages given up with their connection",
            ["reason"],
            registry=registry,
        )
        self.sent_bytes = Counter(
            "wsbridge_sent_bytes", "Bytes handed to connections, framed", registry=registry
        )
        self.upstream_age = Gauge(
            "wsbridge_upstream_age_seconds",
            "Time since the newest reading of the configured module",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.upstream_gaps = Counter(
            "wsbridge_upstream_gaps",
            "Readings that acquisitiond published and this bridge did not receive",
            registry=registry,
        )
        self.upstream_garbage = Counter(
            "wsbridge_upstream_garbage",
            "Messages from upstream that are not of the wire contract",
            registry=registry,
        )
        self.fanout = Histogram(
            "wsbridge_fanout_duration_seconds",
            "Time to hand what is due to every client",
            buckets=(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
            registry=registry,
        )
        # A counter that has not counted yet shows its zero.
        for reason in ("evicted", "events_overflow"):
            self.dropped.labels(reason)
        for reason in ("parameter", "path", "method", "upgrade"):
            self.rejected.labels(reason)
        info = Gauge(
            "wsbridge_build_info",
            "1, labelled with the version",
            ["version"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        info.labels(version("ctp10")).set(1)

    def active_streams(self) -> int:
        """Clients of readings, over all workers."""
        name, labels = "wsbridge_connections", {"endpoint": "power"}
        return int(
            sum(
                sample.value
                for family in self._source().collect()
                if family.name == name
                for sample in family.samples
                if labels.items() <= sample.labels.items()
            )
        )

    def page(self) -> bytes:
        """Everything in Prometheus' text format."""
        return render(self._source())

    def _source(self) -> CollectorRegistry:
        if not self._shared:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry
