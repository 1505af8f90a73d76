"""Prometheus metrics of a service: rendering, and an endpoint for a service that has none."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, exposition, start_http_server

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4


def render(registry: CollectorRegistry) -> bytes:
    """The registry in Prometheus' text format."""
    return exposition.generate_latest(registry)


@contextlib.contextmanager
def serve_metrics(registry: CollectorRegistry, port: int, log: logging.Logger) -> Iterator[None]:
    """Serve ``/metrics`` on 127.0.0.1 in a thread of its own while the context lasts.

    A port in use is logged and gone without: readings matter more than their statistics.
    """
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except OSError as error:
        log.warning("no metrics: port %d on 127.0.0.1: %s", port, error.strerror)
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
