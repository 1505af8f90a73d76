"""The physics: repeatable noise, floor, drift; and the words of its two vocabularies."""

import math
import statistics

import pytest

from acquisitiond.simulator import dut
from acquisitiond.simulator.commands import COMMANDS
from acquisitiond.simulator.errors import TEXTS
from acquisitiond.simulator.model import Model
from acquisitiond.simulator.noise import gaussian, uniform
from acquisitiond.simulator.units import LIGHT_NM_GHZ


def readings(seed: int, moments: list[float], channel: int = 1) -> list[float]:
    now = [1000.0]
    model = Model(seed=seed, clock=lambda: now[0])
    values = []
    for moment in moments:
        now[0] = 1000.0 + moment
        values.append(model.read_mw(4, channel))
    return values


MOMENTS = [i * 0.05 for i in range(400)]


def test_a_reading_depends_on_seed_and_time_and_not_on_how_often_one_asks() -> None:
    values = readings(1, MOMENTS)
    assert readings(1, MOMENTS) == values
    assert readings(1, MOMENTS[::2]) == values[::2]
    assert readings(2, MOMENTS) != values
    assert len(set(values)) == len(values)


def test_noise_is_relative_in_the_light_and_absolute_near_the_floor() -> None:
    light = readings(1, MOMENTS, channel=3)
    assert statistics.stdev(light) / statistics.mean(light) == pytest.approx(1.5e-3, rel=0.3)
    back = readings(1, MOMENTS, channel=4)
    assert statistics.stdev(back) == pytest.approx(1e-8, rel=0.3)


def test_readings_drift_slowly_and_little() -> None:
    seconds = range(0, 1200, 10)
    means = [
        statistics.mean(readings(1, [s + i * 0.01 for i in range(20)], channel=3)) for s in seconds
    ]
    assert 10.0 * math.log10(max(means) / min(means)) == pytest.approx(0.04, abs=0.02)


def test_the_noise_is_normal_and_the_draw_is_uniform() -> None:
    normal = [gaussian(7, i) for i in range(20_000)]
    assert statistics.mean(normal) == pytest.approx(0.0, abs=0.03)
    assert statistics.stdev(normal) == pytest.approx(1.0, abs=0.03)
    flat = [uniform(7, i) for i in range(20_000)]
    assert 0.0 <= min(flat) < 0.01
    assert 0.99 < max(flat) < 1.0


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_seed_the_device_is_passive_and_deep_but_finite(seed: int) -> None:
    for channel in range(1, 7):
        transmission = dut.transmission(seed, 4, channel)
        values = [transmission(1240.0 + i * 0.01) for i in range(0, 44_000, 7)]
        assert max(values) <= 0.0
        assert min(values) > -100.0
        assert transmission(1310.0) == pytest.approx(
            {1: -24, 2: -27.3, 3: 0, 4: -66.6, 5: -25.5, 6: -26.5}[channel], abs=1.0
        )


def test_rings_have_the_free_spectral_range_they_are_made_with() -> None:
    _, _, _, turns, phase = dut._ring(1, 4, 1, 0, 250.0)
    here, there = (LIGHT_NM_GHZ / ghz for ghz in (193_500.0, 193_750.0))
    assert (turns / there - phase) - (turns / here - phase) == pytest.approx(math.tau, abs=1e-6)


def test_every_error_text_is_plain_ascii_and_every_row_has_its_own_header() -> None:
    assert all(text.isascii() and ";" not in text for text in TEXTS.values())
    assert len({command.header for command in COMMANDS}) == len(COMMANDS)
