"""The simulated EXFO CTP10: an instrument to talk to over TCP, not a mock of the code that talks.

What docs and recordings do not say, IEEE 488.2 and SCPI-1999 decide; then the more awkward way.
"""

from acquisitiond.simulator.runner import SimulatorOptions, run_simulator

__all__ = ["SimulatorOptions", "run_simulator"]
