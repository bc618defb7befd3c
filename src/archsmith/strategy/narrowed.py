"""Search with some decisions answered beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from archsmith.space import Answer, Arch, Space, completed
from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.protocol import Strategy, fresh, recommended
from archsmith.trial import Proposal, Trial

__all__ = ["Narrowed"]


@dataclass
class Narrowed:
    """Lets a strategy of ``narrow(space, answers)`` search in ``space``: what it proposes is completed by the answers.

    It is told of whatever was tried as if it had been tried with those answers.
    """

    space: Space
    strategy: Strategy
    answers: Mapping[str, Answer]
    _inner: Strategy = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._inner = fresh(self.strategy)

    @property
    def abilities(self) -> Abilities:
        """Those of the strategy inside."""
        return abilities_of(self.strategy)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return the proposals of the strategy inside, completed."""
        asked = self._inner.ask(n, rng, [self._narrowed(t) for t in running])
        return [replace(p, arch=completed(self.space, p.arch, self.answers)) for p in asked]

    def tell(self, trial: Trial) -> None:
        """Pass the trial on, without the answers that were given beforehand."""
        self._inner.tell(self._narrowed(trial))

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        """Return what the strategy inside recommends."""
        found = recommended(self._inner, [self._narrowed(t) for t in trials])
        return None if found is None else next(t for t in trials if t.number == found.number)

    def _narrowed(self, trial: Trial) -> Trial:
        left = Arch({key: answer for key, answer in trial.arch.items() if key not in self.answers})
        return replace(trial, proposal=replace(trial.proposal, arch=left))
