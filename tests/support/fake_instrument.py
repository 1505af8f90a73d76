"""An instrument in memory behind the `Link` protocol: it answers, misbehaves or hangs on cue.

It knows no time: what a real link would give up after a time-out is a `LinkError` at once here.
"""

import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from acquisitiond.visa import LinkError

DEADLINE = 20.0  # generous: only a test that already failed waits this long
IDENTITY = "EXFO,CTP10,12345,1.0.0"

_DETECTOR = re.compile(r":CTP:SENSe(\d+):CHANnel(\d+):(POWer|UNIT:Y|WAVelength)\?")


@dataclass
class FakeModule:
    """Its answers, detector by detector. `silent` detectors are asked in vain."""

    powers: list[str] = field(default_factory=lambda: ["-17.85", "-21.56", "6.94", "-60.12"])
    units: list[str] = field(default_factory=lambda: ["0"] * 6)
    wavelength: str = "1.31000000E-006"
    silent: bool = False
    missing: tuple[int, ...] = ()


class FakeInstrument:
    """Hands out links by `open`. Change its attributes at any time, from any thread."""

    def __init__(self, modules: dict[int, FakeModule] | None = None) -> None:
        self.modules = {4: FakeModule()} if modules is None else modules
        self.identity: str | None = IDENTITY
        #: What it makes of several questions in one message: answers all, none, each on a line
        #: of its own, or the first alone.
        self.compound: Literal["all", "none", "lines", "first"] = "all"
        #: How many links it has at a time; another one is refused.
        self.sessions = 100
        #: Called with each message; what it returns is raised in place of an answer.
        self.fault: Callable[[str], LinkError | None] = lambda _: None
        #: A message of which this is true waits until the link is interrupted.
        self.hangs: Callable[[str], bool] = lambda _: False
        #: Set when a message hangs.
        self.hanging = threading.Event()
        self.errors: deque[str] = deque()
        self.links: list[FakeLink] = []
        self.attempts = 0

    def open(self, timeout: float) -> "FakeLink":
        assert timeout > 0
        self.attempts += 1
        if sum(not link.closed for link in self.links) >= self.sessions:
            raise LinkError("refused", "refused the connection")
        link = FakeLink(self)
        self.links.append(link)
        return link

    @property
    def received(self) -> list[str]:
        """Every message, link by link."""
        return [message for link in list(self.links) for message in link.received]

    def answer(self, message: str) -> str:
        if (fault := self.fault(message)) is not None:
            raise fault
        units = message.split(";")
        if len(units) > 1:
            if self.compound == "none":
                raise LinkError("timeout", "gave no complete answer within 1 s")
            if self.compound == "lines":
                raise LinkError("desynchronised", "sent more than the answer that was asked for")
            if self.compound == "first":
                units = units[:1]
        fields = [answer for unit in units if (answer := self._one(unit)) is not None]
        if not fields:
            raise LinkError("timeout", "gave no complete answer within 1 s")
        return ";".join(fields)

    def _one(self, unit: str) -> str | None:
        if unit == "*IDN?":
            return self.identity
        if unit == ":SYSTem:ERRor?":
            return self.errors.popleft() if self.errors else "0,No error"
        match = _DETECTOR.fullmatch(unit)
        assert match is not None, f"a CTP10 does not know {unit}"
        number, channel = int(match[1]), int(match[2])
        module = self.modules.get(number)
        if module is None or channel > len(module.powers) or channel in module.missing:
            self.errors.append('-241,"Hardware missing"')
            return None
        if module.silent:
            raise LinkError("timeout", "gave no complete answer within 1 s")
        if match[3] == "WAVelength":
            return module.wavelength
        return (module.powers if match[3] == "POWer" else module.units)[channel - 1]


class FakeLink:
    """One connection; as strict as the real one about its life."""

    def __init__(self, instrument: FakeInstrument) -> None:
        self._instrument = instrument
        self._interrupted = threading.Event()
        self.closed = False
        self.received: list[str] = []
        self.threads: set[int] = set()

    def query(self, message: str, timeout: float) -> str:
        assert timeout > 0
        assert not self.closed, f"{message} was asked over a link that is closed"
        self.received.append(message)
        self.threads.add(threading.get_ident())
        try:
            if self._instrument.hangs(message):
                self._instrument.hanging.set()
                assert self._interrupted.wait(DEADLINE), "nobody interrupted it"
            if self._interrupted.is_set():
                raise LinkError("closed", "was interrupted")
            return self._instrument.answer(message)
        except LinkError:
            self.closed = True
            raise

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self.closed = True
