"""Random search: the baseline that every other strategy must beat at equal cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Arch, Space
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["NAMED", "RandomSearch"]


@dataclass
class RandomSearch:
    """Draws architectures independently, and none of them twice (Li and Talwalkar, 2019).

    After ``tries`` draws that were all tried before, a space of at most 4,096 architectures is listed and one of the
    rest is drawn; when nothing is left, or in a larger space, nothing is proposed.
    """

    space: Space
    tries: int = 100
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise UsageError(f"RandomSearch needs tries >= 1, not {self.tries}.")

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures that were never tried."""
        taken = (self._tried, {t.arch for t in running})
        return [Evaluate(arch) for arch in distinct(n, self.space, rng, taken, tries=self.tries)]

    def tell(self, trial: Trial) -> None:
        """Remember what was tried, whatever came of it."""
        self._tried.add(trial.arch)


NAMED = (Named("random", RandomSearch),)
