"""Several readings as one: their mean, or the envelope that shows what happened between. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from ctp10 import wire
from ctp10.units import Unit, from_milliwatts, to_milliwatts

_KEYS: Final = tuple(f"ch{channel}_power" for channel in wire.CHANNELS)

Document = dict[str, Any]


class Window:
    """Readings since the last message of one bucket. `take` the summary, and it is empty again."""

    def __init__(self, mode: Literal["mean", "envelope"]) -> None:
        self._mode = mode
        self._clear()

    def _clear(self) -> None:
        self._newest: Document | None = None
        self._count = 0
        self._valid = True
        self._sums = [0.0] * len(_KEYS)
        self._numbers = [0] * len(_KEYS)
        self._least: list[float | None] = [None] * len(_KEYS)
        self._greatest: list[float | None] = [None] * len(_KEYS)

    def add(self, reading: Document) -> None:
        """Take in one decoded reading."""
        self._newest = reading
        self._count += 1
        self._valid = self._valid and reading["quality"] == "VALID"
        for index, key in enumerate(_KEYS):
            value = reading.get(key)
            power_mw = None if value is None else to_milliwatts(value, reading["unit"])
            if power_mw is None:
                continue
            self._sums[index] += power_mw
            self._numbers[index] += 1
            least, greatest = self._least[index], self._greatest[index]
            self._least[index] = power_mw if least is None else min(least, power_mw)
            self._greatest[index] = power_mw if greatest is None else max(greatest, power_mw)

    def take(self) -> wire.Summary:
        """The summary of what was added, in the unit of the newest reading; then start anew."""
        newest = self._newest
        assert newest is not None
        channels = sum(key in newest for key in _KEYS)
        unit: Unit = newest["unit"]
        envelope = self._mode == "envelope"
        powers = [newest.get(key) for key in _KEYS] if envelope else self._means(unit)
        summary = wire.Summary(
            timestamp=newest["timestamp"],
            module=newest["module"],
            wavelength_nm=newest["wavelength_nm"],
            unit=unit,
            ch1_power=powers[0],
            ch2_power=powers[1],
            ch3_power=powers[2],
            ch4_power=powers[3],
            ch5_power=powers[4],
            ch6_power=powers[5],
            mode=self._mode,
            count=self._count,
            min=_all_in_unit(self._least[:channels], unit) if envelope else None,
            max=_all_in_unit(self._greatest[:channels], unit) if envelope else None,
            quality="VALID" if self._valid else "INVALID",
            epoch=newest["epoch"],
            seq=newest["seq"],
        )
        self._clear()
        return summary

    def _means(self, unit: Unit) -> list[float | None]:
        means = [
            total / number if number else None
            for total, number in zip(self._sums, self._numbers, strict=True)
        ]
        return _all_in_unit(means, unit)


def _all_in_unit(powers_mw: Sequence[float | None], unit: Unit) -> list[float | None]:
    # Ten digits are far beyond any detector, and drop what the way through milliwatts added.
    values = [None if power is None else from_milliwatts(power, unit) for power in powers_mw]
    return [None if value is None else float(f"{value:.10g}") for value in values]
