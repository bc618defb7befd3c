"""Begin with given architectures: how a search starts where feasible ones are rare, or from a known design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.space import Arch
from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.protocol import Strategy, fresh, recommended
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["First"]


@dataclass
class First:
    """Proposes the given architectures before it asks ``strategy``, which is told of all results."""

    strategy: Strategy
    archs: tuple[Arch, ...]
    _inner: Strategy = field(init=False, repr=False, compare=False)
    _told: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._inner = fresh(self.strategy)

    @property
    def abilities(self) -> Abilities:
        """Those of the strategy that goes on."""
        return abilities_of(self.strategy)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return what is left of the given architectures, then the strategy's proposals."""
        known = self._told | {t.arch.id for t in running}
        given = [Evaluate(a) for a in self.archs if a.id not in known][:n]
        return [*given, *self._inner.ask(n - len(given), rng, running)] if len(given) < n else given

    def tell(self, trial: Trial) -> None:
        """Pass the trial on."""
        self._told.add(trial.arch.id)
        self._inner.tell(trial)

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        """Return what the strategy that goes on recommends."""
        return recommended(self._inner, trials)
