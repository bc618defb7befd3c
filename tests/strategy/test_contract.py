"""Every strategy, through every law. A new strategy is one line here."""

import numpy as np
import pytest

from archsmith.space import sample
from archsmith.strategy import First, RandomSearch, RegularizedEvolution, SuccessiveHalving
from archsmith.testing.strategy import STRATEGY_LAWS, MakeStrategy, StrategyLaw

STRATEGIES: dict[str, MakeStrategy] = {
    "random": RandomSearch,
    "evolution": lambda space: RegularizedEvolution(space, population=8, sample=3),
    "evolution_crossover": lambda space: RegularizedEvolution(space, population=6, sample=4, crossover=0.5),
    "halving_random": lambda space: SuccessiveHalving(RandomSearch(space)),
    "halving_evolution": lambda space: SuccessiveHalving(RegularizedEvolution(space, population=6, sample=3), eta=2),
    "first": lambda space: First(RandomSearch(space), tuple(sample(space, np.random.default_rng(i)) for i in range(3))),
}


@pytest.mark.parametrize("law", STRATEGY_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("make", STRATEGIES.values(), ids=STRATEGIES.keys())
def test_law(make: MakeStrategy, law: StrategyLaw) -> None:
    law(make)
