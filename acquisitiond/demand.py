"""Which modules somebody wants and how often: pure, fed with subscriptions as XPUB reports them."""

from __future__ import annotations

from collections.abc import Iterable

from ctp10.wire import parse_power_topic, parse_rate_topic


class Demand:
    """Configured modules always; others for as long as somebody subscribes to them."""

    def __init__(self, configured: Iterable[int], rate: float, max_rate: float) -> None:
        self._configured = tuple(configured)
        self._rate = rate
        self._max_rate = max_rate
        self._wanted: set[int] = set()
        self._rates: dict[int, set[float]] = {}

    def subscription(self, frame: bytes) -> bool:
        """Take in one XPUB frame (``\\x01topic`` or ``\\x00topic``). True if the demand changed.

        Anything else that a peer sends up the socket is no demand, and changes nothing.
        """
        before = self.periods()
        kind, topic = frame[:1], frame[1:]
        if kind not in (b"\x00", b"\x01"):
            return False
        wanted = kind == b"\x01"
        if (module := parse_power_topic(topic)) is not None:
            (self._wanted.add if wanted else self._wanted.discard)(module)
        elif (rate := parse_rate_topic(topic)) is not None:
            module, hz = rate
            rates = self._rates.setdefault(module, set())
            (rates.add if wanted else rates.discard)(hz)
            if not rates:
                del self._rates[module]
        return self.periods() != before

    def periods(self) -> dict[int, float]:
        """Seconds between readings of each module to read."""
        return {
            module: 1 / min(self._max_rate, max(self._rates.get(module, set()) | {self._rate}))
            for module in sorted({*self._configured, *self._wanted, *self._rates})
        }
