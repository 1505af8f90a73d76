"""Owns the command table of the CTP10: each header, its parameters, and what it does.

Refuses, by leaving it out, every command the instrument is not known to have. The table is in
two parts: here the common ones, status and traces; `settings_commands` has the rest.
"""

import time
from functools import partial
from typing import Final

from acquisitiond.simulator.headers import Answer, Command, Work
from acquisitiond.simulator.mainframe import Mainframe
from acquisitiond.simulator.parameters import integer, trace_format, word
from acquisitiond.simulator.settings_commands import SETTINGS_COMMANDS
from acquisitiond.simulator.trace import scientific

IDENTITY: Final = "EXFO,CTP10,12345,1.0.0"

# A waiting *OPC? looks again at least this often: another session may abort what it waits for.
_LOOK_AGAIN_SECONDS: Final = 0.02


def _reset(frame: Mainframe) -> None:
    frame.model.reset()
    frame.status.forget_complete()


def _wait(frame: Mainframe, answer: Answer) -> Work:
    frame.model.advance()
    while busy := frame.model.busy_seconds():
        yield min(busy, _LOOK_AGAIN_SECONDS)
        frame.model.advance()
    return answer


def _set_event_enable(frame: Mainframe, mask: int) -> None:
    frame.status.event_enable = mask


def _set_service_enable(frame: Mainframe, mask: int) -> None:
    frame.status.service_enable = mask


def _status_byte(frame: Mainframe) -> str:
    return str(frame.status.status_byte(message_available=frame.answering))


def _reference_result(frame: Mainframe, module: int, channel: int) -> str:
    taken = frame.model.reference(module, channel)
    if taken is None:
        return "0"
    return time.strftime("1,0,%Y%m%d,%H%M%S", time.gmtime(taken))


def _trace_y(frame: Mainframe, module: int, channel: int, kind: int, form: str, _: str) -> Work:
    trace = frame.model.trace(module, channel, kind)
    if form == "BIN":
        return (yield from trace.y_block())
    return (yield from trace.y_text())


def _trace_x(frame: Mainframe, module: int, channel: int, kind: int, _: str, unit: str) -> Work:
    return (yield from frame.model.trace(module, channel, kind).x_block(unit))


_REFERENCE = ":REFerence:SENSe#:CHANnel#"
_TRACE = ":TRACe:SENSe#:CHANnel#:TYPE#"

COMMANDS: Final[tuple[Command, ...]] = (
    Command("*IDN?", lambda _: IDENTITY),
    Command("*RST", _reset),
    Command("*CLS", lambda f: f.status.clear()),
    Command("*OPC", lambda f: f.status.request_complete()),
    Command("*OPC?", partial(_wait, answer="1")),
    Command("*WAI", partial(_wait, answer=None)),
    Command("*ESR?", lambda f: str(f.status.take_events())),
    Command("*STB?", _status_byte),
    Command("*ESE", _set_event_enable, (integer(0, 255),)),
    Command("*ESE?", lambda f: str(f.status.event_enable)),
    Command("*SRE", _set_service_enable, (integer(0, 255),)),
    Command("*SRE?", lambda f: str(f.status.service_enable)),
    Command("*TST?", lambda _: "0"),
    Command(":SYSTem:ERRor[:NEXT]?", lambda f: f.status.next_error()),
    Command(":STATus:OPERation:CONDition?", lambda f: str(int(f.model.condition()))),
    Command(f"{_REFERENCE}:INITiate", lambda f, m, c: f.model.start_reference(m, c)),
    Command(f"{_REFERENCE}:RESult?", _reference_result),
    Command(":INITiate[:IMMediate]", lambda f: f.model.start_sweep()),
    Command(":ABORt", lambda f: f.model.abort()),
    Command(f"{_TRACE}:DATA:LENGth?", lambda f, m, c, t: str(f.model.trace(m, c, t).points)),
    Command(
        f"{_TRACE}:DATA:SAMPling?",
        lambda f, m, c, t: scientific(f.model.trace(m, c, t).sampling_pm * 1e-12),
    ),
    Command(
        f"{_TRACE}:DATA:STARt?",
        lambda f, m, c, t: scientific(f.model.trace(m, c, t).start_nm * 1e-9),
    ),
    Command(f"{_TRACE}:DATA[:Y]?", _trace_y, (trace_format, word("DB"))),
    Command(f"{_TRACE}:DATA:X?", _trace_x, (word("BIN"), word("M", "HZ"))),
    Command(f"{_TRACE}:SAVE", lambda f, m, c, t: f.model.save(m, c, t)),
    *SETTINGS_COMMANDS,
)
