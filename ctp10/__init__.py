"""What people outside type and import: the client, the wire contract and the command line.

Needs pyzmq and orjson only; DataFrames and recordings need what their extras install.
"""

from ctp10.client import Subscription, subscribe
from ctp10.collecting import collect
from ctp10.errors import GapError, GapWarning, InstrumentError
from ctp10.reading_back import read
from ctp10.wire import Gap, Reading

__all__ = [
    "Gap",
    "GapError",
    "GapWarning",
    "InstrumentError",
    "Reading",
    "Subscription",
    "__version__",
    "collect",
    "read",
    "subscribe",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415  takes longer than all the rest

        return version("ctp10")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
