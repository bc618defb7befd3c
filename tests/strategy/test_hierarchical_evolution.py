"""A population that only grows, and sharper selection as it does."""

import math

import numpy as np
import pytest

from archsmith.errors import UsageError
from archsmith.space import Arch, Space, choice
from archsmith.strategy import RandomSearch
from archsmith.strategy.hierarchical_evolution import HierarchicalEvolution
from archsmith.testing.strategy import drive
from archsmith.trial import Evaluate, Proposal, State, Trial

SPACE = Space(**{f"x{i}": choice(*range(5), name=f"x{i}") for i in range(8)})


def separable(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    return "complete", (float(sum((int(v) - 3) ** 2 for v in proposal.arch.values())),), 0.0  # type: ignore[arg-type]


def test_the_oldest_stays_a_parent() -> None:
    strategy = HierarchicalEvolution(SPACE, initial=4, share=1.0)
    best = Arch({f"x{i}": 3 for i in range(8)})
    strategy.tell(Trial(0, Evaluate(best), "complete", losses=(0.0,)))
    for number, proposal in enumerate(RandomSearch(SPACE).ask(60, np.random.default_rng(0), ()), 1):
        strategy.tell(Trial(number, proposal, "complete", losses=(5.0,)))
    for seed in range(20):
        child = strategy.ask(1, np.random.default_rng(seed), ())[0].arch
        assert sum(child[k] != best[k] for k in best) == 1


def test_the_parent_is_the_best_of_a_share_drawn_without_replacement() -> None:
    strategy = HierarchicalEvolution(SPACE, initial=1, share=0.3)
    rng = np.random.default_rng(1)
    for number, proposal in enumerate(RandomSearch(SPACE).ask(10, np.random.default_rng(0), ())):
        broken = number in (2, 5)  # worse than all others, 5 less so
        losses, violation = ((0.0,), 3.0 - 0.1 * number) if broken else ((float(10 - number),), 0.0)
        strategy.tell(Trial(number, proposal, "complete", losses=losses, violation=violation))
    best = [9, 8, 7, 6, 4, 3, 1, 0, 5, 2]
    n = 4000
    parents = [strategy._parent(rng).number for _ in range(n)]
    for place, number in enumerate(best):
        p = math.comb(9 - place, 2) / math.comb(10, 3)  # it is drawn, and the two others are worse
        assert abs(parents.count(number) / n - p) <= 4 * math.sqrt(p * (1 - p) / n)


def test_it_beats_random_search() -> None:
    for seed in range(4):
        found, drawn = (
            min(t.losses[0] for t in drive(strategy, 200, separable, slots=3, seed=seed).told)
            for strategy in (HierarchicalEvolution(SPACE, initial=20), RandomSearch(SPACE))
        )
        assert found < drawn


def test_senseless_arguments_are_refused() -> None:
    for senseless in ({"initial": 0}, {"share": 0.0}, {"share": 1.5}):
        with pytest.raises(UsageError, match=next(iter(senseless))):
            HierarchicalEvolution(SPACE, **senseless)  # type: ignore[arg-type]
