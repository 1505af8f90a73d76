"""Owns one trace of a finished sweep: its grid, and values computed when first asked for.

Works in small portions and hands control back between them, so that a trace of a million points
never keeps another session waiting. Refuses nothing: whether there is a trace, the model says.
"""

import struct
from array import array
from collections.abc import Callable, Generator, Iterator
from typing import Final

from acquisitiond.simulator.sweep import Plan
from acquisitiond.simulator.units import LIGHT_NM_GHZ

PORTION: Final = 500  # points; about half a millisecond


class Trace:
    """The points `at_nm(0)` … `at_nm(points - 1)` of a function of the wavelength."""

    def __init__(self, plan: Plan, value: Callable[[float], float]) -> None:
        self.points = plan.points
        self.start_nm = plan.start_nm
        self.sampling_pm = plan.sampling_pm
        self._value = value
        self._values = array("f")

    def y_block(self) -> Generator[float, None, bytes]:
        """Compute what is still missing, then give the values in dB as a float32 block."""
        yield from self._compute()
        data = array("f", self._values)
        return block(_big_endian(data))

    def y_text(self) -> Generator[float, None, str]:
        """Compute what is still missing, then give the values in dB, comma-separated."""
        yield from self._compute()
        fields: list[str] = []
        for portion in self._portions():
            fields.extend(scientific(self._values[i]) for i in portion)
            yield 0.0
        return ",".join(fields)

    def x_block(self, unit: str) -> Generator[float, None, bytes]:
        """Give the grid as a float64 block, in metres (`M`) or hertz (`HZ`)."""
        data = array("d")
        for portion in self._portions():
            if unit == "HZ":
                data.extend(LIGHT_NM_GHZ * 1e9 / self.at_nm(i) for i in portion)
            else:
                data.extend(self.at_nm(i) * 1e-9 for i in portion)
            yield 0.0
        return block(_big_endian(data))

    def at_nm(self, index: int) -> float:
        """Give the wavelength of a point."""
        return self.start_nm + index * self.sampling_pm * 1e-3

    def _compute(self) -> Iterator[float]:
        # Several sessions may take turns at this: each goes on where the last one stopped.
        while len(self._values) < self.points:
            done = len(self._values)
            portion = range(done, min(done + PORTION, self.points))
            self._values.extend(map(self._value, map(self.at_nm, portion)))
            yield 0.0

    def _portions(self) -> Iterator[range]:
        for start in range(0, self.points, PORTION):
            yield range(start, min(start + PORTION, self.points))


def block(data: bytes) -> bytes:
    """Frame bytes as an IEEE 488.2 definite-length block: `#<digits><length><data>`."""
    length = str(len(data)).encode()
    return b"#%d%b%b" % (len(length), length, data)


def scientific(value: float) -> str:
    """Write a number as the instrument does, `1.55000000E-006`: three digits of exponent."""
    mantissa, exponent = f"{value:.8E}".split("E")
    return f"{mantissa}E{exponent[0]}{exponent[1:]:0>3}"


def _big_endian(data: "array[float]") -> bytes:
    if struct.pack("=H", 1) != struct.pack(">H", 1):
        data.byteswap()
    return data.tobytes()
