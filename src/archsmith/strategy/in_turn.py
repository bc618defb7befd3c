"""Two searches side by side in one study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.protocol import Strategy, fresh, recommended
from archsmith.trial import Proposal, Trial, order

__all__ = ["InTurn"]


@dataclass
class InTurn:
    """Asks two strategies in turn, and tells each only of what it proposed itself: a comparison at equal cost.

    Trials of even numbers are of ``strategy``, those of odd numbers of ``other``, so both have as many, whenever the
    study ends; it ends when one of them has nothing more to propose.
    """

    strategy: Strategy
    other: Strategy
    _both: tuple[Strategy, Strategy] = field(init=False, repr=False, compare=False)
    _told: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._both = (fresh(self.strategy), fresh(self.other))

    @property
    def abilities(self) -> Abilities:
        """What both can handle."""
        return _common(abilities_of(self.strategy), abilities_of(self.other))

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return proposals of both in turn, up to the first that one of them lacks."""
        first = self._told + len(running)
        asked: list[Sequence[Proposal]] = []
        for place, strategy in enumerate(self._both):
            own = [t for t in running if t.number % 2 == place]
            many = len(range(first + (first + place) % 2, first + n, 2))
            asked.append(strategy.ask(many, rng, own) if many else ())
        found: list[Proposal] = []
        queues = [iter(proposals) for proposals in asked]
        for number in range(first, first + n):
            proposal = next(queues[number % 2], None)
            if proposal is None:
                break
            found.append(proposal)
        return found

    def tell(self, trial: Trial) -> None:
        """Tell the strategy that proposed the trial."""
        self._told += 1
        self._both[trial.number % 2].tell(trial)

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the better one, as measured, of what the two recommend, each among its own trials."""
        found = (recommended(s, [t for t in trials if t.number % 2 == place]) for place, s in enumerate(self._both))
        return next(iter(order([t for t in found if t is not None])), None)


def _common(a: Abilities, b: Abilities) -> Abilities:
    return Abilities(
        a.many_objectives and b.many_objectives,
        a.ranges and b.ranges,
        a.conditionals and b.conditionals,
        a.limits and b.limits,
        a.fidelities or b.fidelities,
        a.deterministic and b.deterministic,
        a.cells or b.cells,
    )
