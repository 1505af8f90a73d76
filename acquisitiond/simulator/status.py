"""Owns the error queue and the IEEE 488.2 registers: ESR, ESE, SRE, STB. One set for all sessions.

Refuses to grow: a full queue turns its newest entry into -350, as SCPI-1999 says.
"""

from collections import deque
from typing import Final

from acquisitiond.simulator.errors import TEXTS, ScpiError

QUEUE_LENGTH: Final = 32

OPERATION_COMPLETE: Final = 1
POWER_ON: Final = 128
# SCPI-1999 21.8: the hundreds of an error number name its bit of the event status register.
_EVENT_BITS: Final = {1: 32, 2: 16, 3: 8, 4: 4}

_ERROR_AVAILABLE: Final = 4
_MESSAGE_AVAILABLE: Final = 16
_EVENT_SUMMARY: Final = 32
_MASTER_SUMMARY: Final = 64


class Status:
    """Error queue and event registers, as they are after power-on."""

    def __init__(self) -> None:
        self._errors: deque[int] = deque()
        self._events = POWER_ON
        self.event_enable = 0
        self._service_enable = 0
        self._complete_requested = False

    def report(self, error: ScpiError) -> None:
        """Queue an error and set its event bit; past the bound the newest entry becomes -350."""
        self._events |= _EVENT_BITS[-error.code // 100]
        if len(self._errors) < QUEUE_LENGTH:
            self._errors.append(error.code)
        else:
            self._errors[-1] = -350
            self._events |= _EVENT_BITS[3]

    def next_error(self) -> str:
        """Take out the oldest error: `-113,Undefined header`, or `0,No error`."""
        code = self._errors.popleft() if self._errors else 0
        return f"{code},{TEXTS[code]}"

    def request_complete(self) -> None:
        """`*OPC`: set the operation-complete bit as soon as nothing is pending."""
        self._complete_requested = True

    def settle(self, *, idle: bool) -> None:
        """Grant a waiting `*OPC` if the instrument is idle."""
        if idle and self._complete_requested:
            self._complete_requested = False
            self._events |= OPERATION_COMPLETE

    def forget_complete(self) -> None:
        """`*RST` and `*CLS` cancel a waiting `*OPC`."""
        self._complete_requested = False

    def take_events(self) -> int:
        """`*ESR?`: the event register, which reading clears."""
        events, self._events = self._events, 0
        return events

    @property
    def service_enable(self) -> int:
        """Which status bits request service. Bit 6 is the summary itself and never counts."""
        return self._service_enable

    @service_enable.setter
    def service_enable(self, mask: int) -> None:
        self._service_enable = mask & ~_MASTER_SUMMARY

    def status_byte(self, *, message_available: bool) -> int:
        """`*STB?`: the summary bits; reading changes nothing."""
        byte = _ERROR_AVAILABLE if self._errors else 0
        byte |= _MESSAGE_AVAILABLE if message_available else 0
        byte |= _EVENT_SUMMARY if self._events & self.event_enable else 0
        return byte | (_MASTER_SUMMARY if byte & self._service_enable else 0)

    def clear(self) -> None:
        """`*CLS`: forget events and errors; the enable masks stay."""
        self._errors.clear()
        self._events = 0
        self.forget_complete()
