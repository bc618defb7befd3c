"""What fails again and again is left alone, whoever proposes it."""

from collections import Counter
from typing import Any

import pytest

from archsmith.space import Space, choice
from archsmith.strategy import RandomSearch, RegularizedEvolution, SuccessiveHalving
from archsmith.strategy.local_search import LocalSearch
from archsmith.strategy.nsga2 import NSGA2
from archsmith.strategy.reinforce import Reinforce
from archsmith.strategy.tree_search import TreeSearch
from archsmith.study import Study

SPACE = Space(model=choice("a", "b", "broken", name="block"), width=choice(8, 16, 32, name="width"))
STRATEGIES = {
    "random": RandomSearch,
    "evolution": lambda space: RegularizedEvolution(space, population=6, sample=3),
    "halving": lambda space: SuccessiveHalving(RegularizedEvolution(space, population=6, sample=3)),
    "local": lambda space: LocalSearch(space, initial=3),
    "nsga2": lambda space: NSGA2(space, population=6),
    "reinforce": lambda space: Reinforce(space, window=4, tries=5),
    "tree": TreeSearch,
}


@pytest.mark.parametrize("make", STRATEGIES.values(), ids=STRATEGIES.keys())
def test_an_architecture_that_fails_runs_twice_at_most_under_any_strategy(make: Any) -> None:
    ran: Counter[Any] = Counter()

    def evaluate(proposal: Any, run: Any) -> dict[str, float]:
        ran[proposal.arch.id, tuple(proposal.fidelity.items())] += 1
        if proposal.arch["block"] == "broken":
            raise ValueError("this block cannot be built")
        return {"accuracy": proposal.arch["width"] / 64}

    study = Study(SPACE, make(SPACE), evaluate, max_failures=100, patience=60)
    study.run(trials=40)
    assert ran and max(ran.values()) <= 2
    assert any(t.state == "failed" for t in study.trials) and study.best is not None
