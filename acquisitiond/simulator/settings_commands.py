"""Owns the part of the command table that sets things and asks them back, and reads power.

Refuses nothing on its own account: ranges are the parameters', conflicts are the model's.
"""

from typing import Final

from acquisitiond.simulator.detector import to_dbm
from acquisitiond.simulator.errors import ScpiError
from acquisitiond.simulator.headers import Command
from acquisitiond.simulator.mainframe import Mainframe
from acquisitiond.simulator.parameters import (
    boolean,
    integer,
    number,
    power,
    sampling,
    wavelength,
    word,
)
from acquisitiond.simulator.sweep import SweepSettings, Tls
from acquisitiond.simulator.trace import scientific

# Detectors


def _power(frame: Mainframe, module: int, channel: int) -> str:
    milliwatts = frame.model.read_mw(module, channel)
    in_milliwatts = frame.model.detector(module, channel).settings.milliwatts
    value = milliwatts if in_milliwatts else to_dbm(milliwatts)
    # dBm with two decimals, as recorded; a milliwatt figure needs its exponent.
    answer = scientific(value) if in_milliwatts or value > 1e3 else f"{value:.2f}"
    frame.on_reading(module, channel, float(answer), "mW" if in_milliwatts else "dBm")
    return answer


def _set_unit_y(frame: Mainframe, module: int, channel: int, unit: str) -> None:
    frame.model.detector(module, channel).settings.milliwatts = unit == "MW"


def _unit_y(frame: Mainframe, module: int, channel: int) -> str:
    return str(int(frame.model.detector(module, channel).settings.milliwatts))


def _set_unit_x(frame: Mainframe, module: int, channel: int, unit: str) -> None:
    frame.model.detector(module, channel).settings.terahertz = unit == "FREQ"


def _unit_x(frame: Mainframe, module: int, channel: int) -> str:
    return str(int(frame.model.detector(module, channel).settings.terahertz))


def _set_wavelength(frame: Mainframe, module: int, channel: int, nm: float) -> None:
    frame.model.set_wavelength(module, channel, nm)


def _wavelength(frame: Mainframe, module: int, channel: int) -> str:
    return _metres(frame.model.detector(module, channel).settings.wavelength_nm)


def _set_trigger(frame: Mainframe, module: int, channel: int, port: int) -> None:
    frame.model.detector(module, channel).settings.trigger = port


def _trigger(frame: Mainframe, module: int, channel: int) -> str:
    return str(frame.model.detector(module, channel).settings.trigger)


# Reference lasers


def _set_laser_power(frame: Mainframe, number_: int, dbm: float) -> None:
    frame.model.laser_to_set(number_).set_power(dbm)
    frame.model.expose()


def _set_laser_state(frame: Mainframe, number_: int, on: bool) -> None:
    frame.model.laser_to_set(number_).switch(on=on, now=frame.model.now)


def _set_laser_wavelength(frame: Mainframe, number_: int, nm: float) -> None:
    frame.model.laser_to_set(number_).wavelength_nm = nm


# Sweep


def _settings(frame: Mainframe) -> SweepSettings:
    """The sweep's settings, for changing: not while one runs."""
    frame.model.refuse_while_scanning()
    return frame.model.sweep


def _tls(frame: Mainframe, index: int) -> Tls:
    return frame.model.sweep.tls[index - 1]


def _choose_laser(frame: Mainframe, index: int, laser: int) -> None:
    _settings(frame).choose_laser(_tls(frame, index), laser, frame.model.lasers)


def _set_tls_start(frame: Mainframe, index: int, nm: float) -> None:
    _settings(frame).set_tls_span(_tls(frame, index), start_nm=nm, stop_nm=None)


def _set_tls_stop(frame: Mainframe, index: int, nm: float) -> None:
    _settings(frame).set_tls_span(_tls(frame, index), start_nm=None, stop_nm=nm)


def _set_tls_speed(frame: Mainframe, index: int, speed: float) -> None:
    _settings(frame).set_speed(_tls(frame, index), speed, frame.model.lasers)


def _set_tls_power(frame: Mainframe, index: int, dbm: float) -> None:
    if not -10.0 <= dbm <= 10.0:
        raise ScpiError(-222)
    _settings(frame).tls[index - 1].power_dbm = dbm


def _set_tls_trigger(frame: Mainframe, index: int, port: int) -> None:
    _settings(frame).tls[index - 1].trigger = port


def _set_stabilization(frame: Mainframe, stays_on: bool, seconds: float | None = None) -> None:
    settings = _settings(frame)
    if seconds is not None:
        if not 0.0 <= seconds <= 60.0:
            raise ScpiError(-222)
        settings.settling = seconds
    settings.stays_on = stays_on


def _stabilization(frame: Mainframe) -> str:
    return f"{int(frame.model.sweep.stays_on)},{frame.model.sweep.settling:.6g}"


def _metres(nm: float) -> str:
    return scientific(nm * 1e-9)


_CHANNEL = ":CTP:SENSe#:CHANnel#"
_LASER = ":CTP:RLASer#"
_TLS = ":INITiate:TLS#"
_SPAN = ":INITiate:WAVelength"

SETTINGS_COMMANDS: Final[tuple[Command, ...]] = (
    Command(f"{_CHANNEL}:POWer?", _power),
    Command(f"{_CHANNEL}:UNIT:Y", _set_unit_y, (word("DBM", "MW"),)),
    Command(f"{_CHANNEL}:UNIT:Y?", _unit_y),
    Command(f"{_CHANNEL}:UNIT:X", _set_unit_x, (word("WAV", "FREQ"),)),
    Command(f"{_CHANNEL}:UNIT:X?", _unit_x),
    Command(
        f"{_CHANNEL}:WAVelength",
        lambda f, m, c, nm: f.model.set_wavelength(m, c, nm),
        (wavelength,),
    ),
    Command(f"{_CHANNEL}:WAVelength?", _wavelength),
    Command(f"{_CHANNEL}:FUNCtion:TRIGger", _set_trigger, (integer(0, 8),)),
    Command(f"{_CHANNEL}:FUNCtion:TRIGger?", _trigger),
    Command(f"{_LASER}:IDN?", lambda f, n: f.model.laser(n).identity),
    Command(f"{_LASER}:POWer", _set_laser_power, (power,)),
    Command(f"{_LASER}:POWer?", lambda f, n: scientific(f.model.laser(n).power_dbm)),
    Command(f"{_LASER}:POWer:STATe", _set_laser_state, (boolean,)),
    Command(f"{_LASER}:POWer:STATe?", lambda f, n: str(int(f.model.laser(n).on))),
    Command(f"{_LASER}:WAVelength", _set_laser_wavelength, (wavelength,)),
    Command(f"{_LASER}:WAVelength?", lambda f, n: _metres(f.model.laser(n).wavelength_nm)),
    Command(f"{_SPAN}:STARt", lambda f, nm: _settings(f).set_start(nm), (wavelength,)),
    Command(f"{_SPAN}:STARt?", lambda f: _metres(f.model.sweep.start_nm)),
    Command(f"{_SPAN}:STOP", lambda f, nm: _settings(f).set_stop(nm), (wavelength,)),
    Command(f"{_SPAN}:STOP?", lambda f: _metres(f.model.sweep.stop_nm)),
    Command(f"{_SPAN}:SAMPling", lambda f, pm: _settings(f).set_sampling(pm), (sampling,)),
    Command(f"{_SPAN}:SAMPling?", lambda f: scientific(f.model.sweep.sampling_pm * 1e-12)),
    Command(f"{_TLS}:IDentifier", _choose_laser, (integer(0, 10),)),
    Command(f"{_TLS}:IDentifier?", lambda f, n: str(_tls(f, n).laser)),
    Command(f"{_TLS}:WAVelength:STARt", _set_tls_start, (wavelength,)),
    Command(f"{_TLS}:WAVelength:STARt?", lambda f, n: _metres(_tls(f, n).start_nm)),
    Command(f"{_TLS}:WAVelength:STOP", _set_tls_stop, (wavelength,)),
    Command(f"{_TLS}:WAVelength:STOP?", lambda f, n: _metres(_tls(f, n).stop_nm)),
    Command(f"{_TLS}:SPEed", _set_tls_speed, (number,)),
    Command(f"{_TLS}:SPEed?", lambda f, n: str(_tls(f, n).speed)),
    Command(f"{_TLS}:POWer", _set_tls_power, (power,)),
    Command(f"{_TLS}:POWer?", lambda f, n: scientific(_tls(f, n).power_dbm)),
    Command(f"{_TLS}:TRIGin", _set_tls_trigger, (integer(0, 8),)),
    Command(f"{_TLS}:TRIGin?", lambda f, n: str(_tls(f, n).trigger)),
    Command(":INITiate:STABilization", _set_stabilization, (boolean, number), optional=1),
    Command(":INITiate:STABilization?", _stabilization),
)
