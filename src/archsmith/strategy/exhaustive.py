"""Exhaustive enumeration: every architecture once, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from archsmith.space import Arch, Space, enumerate_archs
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.registry import Named, require
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["NAMED", "Exhaustive"]


@dataclass
class Exhaustive:
    """Tries every architecture of a space, in the order in which ``enumerate_archs`` lists them.

    The right way to search where everything can be tried, and how benchmark tables were made (Ying et al., 2019).
    Stopped early it has seen one corner of the space: where not everything can be tried, random search is better. Real
    ranges cannot be listed; write a choice of values instead. There are no settings.
    """

    space: Space
    abilities: ClassVar[Abilities] = Abilities(ranges=False, deterministic=True)
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)
    _listed: list[Arch] = field(default_factory=list, init=False, repr=False, compare=False)
    _rest: Iterator[Arch] = field(init=False, repr=False, compare=False)
    _first: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require(self, self.space)
        self._rest = enumerate_archs(self.space)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return the next architectures of the list that were not tried."""
        found: list[Arch] = []
        busy, place = {t.arch for t in running}, self._first
        while len(found) < n and (arch := self._at(place)) is not None:
            if arch not in self._tried and arch not in busy:
                found.append(arch)
            place += 1
        return [Evaluate(arch) for arch in found]

    def tell(self, trial: Trial) -> None:
        """Remember what was tried, whatever came of it."""
        self._tried.add(trial.arch)
        while (arch := self._at(self._first)) is not None and arch in self._tried:
            self._first += 1

    def _at(self, place: int) -> Arch | None:
        """Return the architecture at a place of the list, which is written no further than it is read."""
        while len(self._listed) <= place:
            arch = next(self._rest, None)
            if arch is None:
                return None
            self._listed.append(arch)
        return self._listed[place]


NAMED = (Named("exhaustive", Exhaustive),)
