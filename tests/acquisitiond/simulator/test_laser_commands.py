"""Reference lasers: each row of the manual's page, and what light does to detectors."""

import pytest

TLS_IN = ":CTP:SENS4:CHAN3:POW?"


def test_identities(bench) -> None:
    assert bench.ask(":CTP:RLASer1:IDN?") == "EXFO,T100S-HP,0,6.06"
    assert bench.ask(":CTP:RLAS10:IDN?") == "EXFO,T500S,0,6.06"


def test_power_is_dbm_however_it_was_set(bench) -> None:
    assert bench.ask(":CTP:RLAS2:POW 1.5DBM;POW?") == "1.50000000E+000"
    assert bench.ask(":CTP:RLAS2:POW 2.5MW;POW?") == "3.97940009E+000"
    assert bench.ask(":CTP:RLAS2:POW -3;POW?") == "-3.00000000E+000"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("RLAS10:POW 13.1DBM", -222),  # a T500S
        ("RLAS10:POW 20MW", -222),
        ("RLAS1:POW 15.1DBM", -222),
        ("RLAS1:POW -10.1DBM", -222),
        ("RLAS1:POW 0MW", -222),
        ("RLAS1:POW 1NM", -131),
        ("RLAS1:POW ON", -104),
        ("RLAS1:POW", -109),
        ("RLAS1:POW:STAT 2", -224),
        ("RLAS1:POW:STAT YES", -224),
        ("RLAS1:POW:STAT '1'", -104),
        ("RLAS1:WAV 1000NM", -222),
    ],
)
def test_what_a_laser_refuses(bench, message: str, code: int) -> None:
    assert bench.fails(f":CTP:{message}") == [code]


def test_a_t500s_gives_13_dbm(bench) -> None:
    assert bench.ask(":CTP:RLAS10:POW 13DBM;POW?") == "1.30000000E+001"


@pytest.mark.parametrize("on", ["ON", "1", "on"])
def test_switching_takes_a_moment(bench, on: str) -> None:
    assert bench.ask(f":CTP:RLAS2:POW:STAT?;STAT {on};STAT?") == "0;0"
    bench.now += 0.6
    assert bench.ask(":CTP:RLAS2:POW:STAT?") == "1"
    assert bench.ask(":CTP:RLAS2:POW:STAT OFF;STAT?;*OPC?;STAT?") == "1;1;0"


def test_in_the_dark_detectors_read_their_floor(bench) -> None:
    bench.ask(":CTP:RLAS1:POW:STAT OFF;*OPC?")
    powers = []
    for _ in range(50):
        bench.now += 0.01
        powers.append(float(bench.ask(TLS_IN)))
    assert min(powers) >= -100.0
    assert max(powers) < -74.0


def test_power_follows_the_laser(bench) -> None:
    before = float(bench.ask(TLS_IN))
    bench.ask(":CTP:RLAS1:POW 2DBM")
    assert float(bench.ask(TLS_IN)) == pytest.approx(before - 5.0, abs=0.2)
    bench.ask(":CTP:RLAS2:WAV 1310NM;POW 2DBM;POW:STAT ON;*OPC?")
    assert float(bench.ask(TLS_IN)) == pytest.approx(before - 2.0, abs=0.2)


def test_a_reading_is_off_while_the_detector_is_set_to_another_wavelength(bench) -> None:
    right = float(bench.ask(TLS_IN))
    bench.ask(":CTP:SENS4:CHAN3:WAV 1550NM")
    assert float(bench.ask(TLS_IN)) == pytest.approx(right - 0.44, abs=0.05)


def test_too_much_light_saturates_a_detector_and_damages_it_for_good(bench) -> None:
    healthy = float(bench.ask(TLS_IN))
    bench.ask(":CTP:RLAS1:POW 15DBM")
    assert bench.ask(TLS_IN) == "9.90000000E+037"
    assert float(bench.ask(":CTP:SENS4:CHAN1:POW?")) < 0.0  # past the device there is less
    bench.ask("*RST")
    assert float(bench.ask(TLS_IN)) == pytest.approx(healthy - 3.0, abs=0.1)
