"""What is known of each module: read it, look for it, or leave it alone. Pure.

A module that is not there is remembered, so that no number of viewers makes the daemon ask again;
a configured one is looked for now and then, since somebody expects it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from acquisitiond.instrument import Profile

ABSENT_FOR: Final = 60.0
"""Seconds before a module that was not there is looked for again, while somebody wants it."""
SILENT_FOR: Final = 2.0
"""The same for a configured module that was only silent: the instrument may have been busy."""
SUSPECT_AFTER: Final = 2
"""Links lost in a row while reading one module, before it is looked for on a link of its own."""
MISREAD_AFTER: Final = 5
"""Answers of another shape in a row, before it is looked at anew how the module is read."""


@dataclass(slots=True)
class _Module:
    profile: Profile | None = None
    configured: bool = False
    probing: bool = False
    look_again: float = 0.0
    lost_links: int = 0
    misreads: int = 0


class Inventory:
    """The modules that are wanted. Times in seconds of one monotonic clock."""

    def __init__(self, configured: Iterable[int]) -> None:
        self._modules = {number: _Module(configured=True) for number in configured}
        for module in self._modules.values():
            module.profile = Profile()  # taken on trust: its first reading is its probe

    def profile(self, number: int) -> Profile | None:
        """How to read a module, None if it is not known to be there."""
        module = self._modules.get(number)
        return module.profile if module else None

    def to_probe(self, wanted: Iterable[int], now: float) -> int | None:
        """A wanted module that has to be looked for now; it counts as being looked for."""
        for number in wanted:
            module = self._modules.setdefault(number, _Module())
            if module.probing or module.profile is not None:
                continue
            if now >= module.look_again:
                module.probing = True
                return number
        return None

    def found(self, number: int, profile: Profile, now: float) -> None:
        """The probe found the module."""
        configured = self._modules[number].configured
        self._modules[number] = _Module(profile, configured, look_again=now + SILENT_FOR)

    def absent(self, number: int, definite: bool, now: float) -> None:
        """The probe found nothing; `definite` unless it was mere silence."""
        module = self._modules[number]
        module.probing, module.profile = False, None
        retry_soon = module.configured and not definite
        module.look_again = now + (SILENT_FOR if retry_soon else ABSENT_FOR)

    def read(self, number: int) -> None:
        """A reading succeeded."""
        module = self._modules[number]
        module.lost_links = module.misreads = 0

    def misread(self, number: int, now: float) -> None:
        """The answer did not have the profile's shape."""
        module = self._modules[number]
        module.misreads += 1
        # Not more often than a silent module is looked for: the probe may find what misled us.
        if module.misreads >= MISREAD_AFTER and now >= module.look_again:
            module.misreads, module.profile = 0, None

    def lost_link(self, number: int) -> None:
        """The link was lost while reading the module: its silence, or the instrument's?"""
        module = self._modules[number]
        module.lost_links += 1
        if module.lost_links >= SUSPECT_AFTER:
            module.lost_links, module.profile = 0, None

    def new_instrument(self) -> None:
        """Another instrument answers: forget what the old one had."""
        for module in self._modules.values():
            module.look_again, module.lost_links = 0.0, 0
            module.profile = Profile() if module.configured else None
