"""Regularized evolution: the oldest dies, not the worst."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Space, crossover, mutate, sample
from archsmith.strategy.registry import Named
from archsmith.trial import Evaluate, Proposal, Trial, order

__all__ = ["NAMED", "RegularizedEvolution"]


@dataclass
class RegularizedEvolution:
    """Mutates the best of a random sample of the youngest trials (Real et al., 2019).

    The first ``population`` architectures are random. Then each proposal draws ``sample`` members of the population
    uniformly, with replacement, and changes one decision of the best of them; with probability ``crossover`` the best
    of a second sample is crossed in before. A result joins the population and the oldest member leaves, so that
    nothing survives by luck. Running trials count towards the first ``population``, so many can run at once.

    "Best" is ``archsmith.trial.order``: one objective or several, and a trial that breaks a limit is a parent only
    where its whole sample does. Trials without a result never join. The same architecture may be proposed again, as
    in the paper; a study answers it from its log.
    """

    space: Space
    population: int = 100
    sample: int = 25
    crossover: float = 0.0
    _members: deque[Trial] = field(default_factory=deque, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.population < 1 or self.sample < 1 or not 0 <= self.crossover <= 1:
            raise UsageError(
                f"RegularizedEvolution needs population >= 1, sample >= 1 and crossover in 0..1, not population="
                f"{self.population}, sample={self.sample}, crossover={self.crossover}."
            )

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return ``n`` architectures: random ones until the population is full, then children."""
        missing = self.population - len(self._members) - len(running)
        return [Evaluate(sample(self.space, rng)) if i < missing else self._child(rng) for i in range(n)]

    def tell(self, trial: Trial) -> None:
        """Let a trial that has a result, or a measured violation, join; the oldest leaves."""
        if trial.usable or trial.broken:
            self._members.append(trial)
            if len(self._members) > self.population:
                self._members.popleft()

    def _child(self, rng: np.random.Generator) -> Proposal:
        if not self._members:  # everything so far is still running, or failed
            return Evaluate(sample(self.space, rng))
        parent = self._parent(rng)
        child = parent.arch
        if self.crossover > 0 and rng.random() < self.crossover:
            child = crossover(self.space, child, self._parent(rng).arch, rng)
        return Evaluate(mutate(self.space, child, rng), parent=parent.number)

    def _parent(self, rng: np.random.Generator) -> Trial:
        drawn = [self._members[i] for i in rng.integers(len(self._members), size=self.sample).tolist()]
        best = order(list({t.number: t for t in drawn}.values()))[0]
        # Of equals the first drawn, as in the paper: neutral changes may drift.
        return next(t for t in drawn if t.violation == best.violation and t.losses == best.losses)


NAMED = (Named("evolution", RegularizedEvolution),)
