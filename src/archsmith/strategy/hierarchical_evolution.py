"""Tournaments in a population that only grows: the evolution of hierarchical representations."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Arch, Space, mutate, sample
from archsmith.strategy.registry import Named
from archsmith.trial import Evaluate, Proposal, Trial, order, rank

__all__ = ["NAMED", "HierarchicalEvolution"]


@dataclass
class HierarchicalEvolution:
    """Mutates the best of a random twentieth of everything so far (Liu et al., 2018).

    The first ``initial`` architectures are random (the authors: 200, each a trivial one mutated 1,000 times, which
    comes to the same). Then each proposal draws a ``share`` of the population (0.05), at least two, and changes one
    decision of the best of them. Nobody is ever removed, and nobody waits. Made for the space of motifs of motifs,
    ``archsmith.spaces.hierarchical``, where a change to one motif changes every place that uses it; it works on any.
    Selection grows sharper with the population, so it exploits more than ``RegularizedEvolution`` does: use it where
    measurements carry little noise. As in the paper an architecture may come again; a study answers from its log.
    """

    space: Space
    initial: int = 200
    share: float = 0.05
    _members: list[Trial] = field(default_factory=list, init=False, repr=False, compare=False)
    _ranked: list[tuple[tuple[int, tuple[float, ...], int], int]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.initial < 1 or not 0 < self.share <= 1:
            raise UsageError(
                "HierarchicalEvolution needs initial >= 1 and share above 0 and up to 1, not "
                f"initial={self.initial}, share={self.share}."
            )

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return ``n`` architectures: random ones at first, then children."""
        missing = self.initial - len(self._members) - len(running)
        return [Evaluate(sample(self.space, rng) if i < missing else self._child(rng)) for i in range(n)]

    def tell(self, trial: Trial) -> None:
        """Let a trial that has a result, or a measured violation, join."""
        if trial.usable or trial.broken:
            insort(self._ranked, (rank(trial), len(self._members)))
            self._members.append(trial)

    def _child(self, rng: np.random.Generator) -> Arch:
        if not self._members:
            return sample(self.space, rng)
        return mutate(self.space, self._parent(rng).arch, rng)

    def _parent(self, rng: np.random.Generator) -> Trial:
        """Return the best of a random share of the members."""
        number = len(self._members)
        size = min(max(2, round(self.share * number)), number)
        if len(self._members[self._ranked[0][1]].losses) > 1:
            drawn = rng.choice(number, size=size, replace=False).tolist()
            return order([self._members[i] for i in drawn])[0]
        # From the best on, each is in the share by chance, by what is left of both: nobody else need be drawn.
        place = next(p for p in range(number) if rng.random() * (number - p) < size)
        return self._members[self._ranked[place][1]]


NAMED = (Named("hierarchical", HierarchicalEvolution),)
