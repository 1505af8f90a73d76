"""What wsbridge counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """One registry per bridge, so that a test can run two."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Gauge(
            "wsbridge_connections", "Open WebSockets", ["endpoint"], registry=self.registry
        )
        self.closed = Counter(
            "wsbridge_connections_closed",
            "WebSockets that ended, by close code",
            ["code"],
            registry=self.registry,
        )
        self.rejected = Counter(
            "wsbridge_connections_rejected",
            "Requests that were refused",
            ["reason"],
            registry=self.registry,
        )
        self.sent = Counter(
            "wsbridge_messages_sent", "Messages handed to connections", registry=self.registry
        )
        self.conflated = Counter(
            "wsbridge_messages_conflated",
            "Readings replaced by newer ones before their client took them",
            registry=self.registry,
        )
        self.dropped = Counter(
            "wsbridge_messages_dropped", "Messages given up", registry=self.registry
        )
        self.upstream_age = Gauge(
            "wsbridge_upstream_age_seconds",
            "Time since the newest reading of the configured module",
            registry=self.registry,
        )
