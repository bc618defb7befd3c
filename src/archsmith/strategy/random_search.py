"""Random search: the baseline that every other strategy must beat at equal cost."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.space import Arch, Space, count, enumerate_archs, sample
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["RandomSearch"]

_LISTABLE = 4096


@dataclass
class RandomSearch:
    """Draws architectures independently, and none of them twice (Li and Talwalkar, 2019).

    After ``tries`` draws that were all tried before, a space of at most 4,096 architectures is listed and one of the
    rest is drawn; when nothing is left, or in a larger space, nothing is proposed.
    """

    space: Space
    tries: int = 100
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures that were never tried."""
        taken = {t.arch for t in running}
        proposed: list[Arch] = []
        for _ in range(n):
            arch = self._new(rng, taken)
            if arch is None:
                break
            proposed.append(arch)
            taken.add(arch)
        return [Evaluate(arch) for arch in proposed]

    def tell(self, trial: Trial) -> None:
        """Remember what was tried, whatever came of it."""
        self._tried.add(trial.arch)

    def _new(self, rng: np.random.Generator, taken: Collection[Arch]) -> Arch | None:
        for _ in range(self.tries):
            arch = sample(self.space, rng)
            if arch not in self._tried and arch not in taken:
                return arch
        if _most(self.space) > _LISTABLE:
            return None
        rest = [arch for arch in enumerate_archs(self.space) if arch not in self._tried and arch not in taken]
        return rest[int(rng.integers(len(rest)))] if rest else None


def _most(space: Space) -> float:
    """Return an upper bound on the number of architectures, quickly: constraints are left out."""
    if space.defined_by_run:
        return math.prod(decision.size for decision in space.decisions.values())
    return count(Space(**space.roots)) if space.valid else count(space)
