"""Every strategy, through every law. A new strategy is one line here."""

import numpy as np
import pytest

from archsmith.predictors import Ensemble, decisions
from archsmith.space import Space, always_asked, call, choice, narrow, sample
from archsmith.strategy import (
    BANANAS,
    BOHB,
    PNAS,
    BayesianOptimization,
    First,
    GuidedEvolution,
    HyperBand,
    InTurn,
    KernelDensity,
    Narrowed,
    RandomSearch,
    RegularizedEvolution,
    Sharing,
    SuccessiveHalving,
    SynchronousHalving,
)
from archsmith.strategy.exhaustive import Exhaustive
from archsmith.strategy.hierarchical_evolution import HierarchicalEvolution
from archsmith.strategy.hurdles import Hurdles
from archsmith.strategy.lanas import LaNAS
from archsmith.strategy.local_search import LocalSearch
from archsmith.strategy.nsga2 import NSGA2
from archsmith.strategy.optuna_sampler import OptunaSampler
from archsmith.strategy.ppo import PPO
from archsmith.strategy.reinforce import Reinforce
from archsmith.strategy.tree_search import TreeSearch
from archsmith.testing.predictor import CELL, Wired
from archsmith.testing.spaces import EXAMPLES
from archsmith.testing.strategy import (
    STRATEGY_LAWS,
    MakeStrategy,
    StrategyLaw,
    batches_belong_to_the_space,
    objectives_and_limits_go_together,
    several_objectives_are_taken,
)


def _half(space: Space) -> Narrowed:
    """Search with one decision that every architecture answers given beforehand, where it is not the only one."""
    arch = sample(space, np.random.default_rng(0))
    given = {key: arch[key] for key in sorted(always_asked(space))[1:2] if not space.defined_by_run}
    return Narrowed(space, RegularizedEvolution(narrow(space, given), population=6, sample=3), given)


def _small(space: Space) -> Ensemble:
    return Ensemble(decisions(space), members=2, depth=1, steps=5)


STRATEGIES: dict[str, MakeStrategy] = {
    "random": RandomSearch,
    "evolution": lambda space: RegularizedEvolution(space, population=8, sample=3),
    "evolution_crossover": lambda space: RegularizedEvolution(space, population=6, sample=4, crossover=0.5),
    "halving_random": lambda space: SuccessiveHalving(RandomSearch(space)),
    "halving_evolution": lambda space: SuccessiveHalving(RegularizedEvolution(space, population=6, sample=3), eta=2),
    "exhaustive": Exhaustive,
    "local": lambda space: LocalSearch(space, initial=3),
    "local_patient": lambda space: LocalSearch(space, initial=2, eager=False),
    "hierarchical": lambda space: HierarchicalEvolution(space, initial=6),
    "nsga2": lambda space: NSGA2(space, population=6),
    "reinforce": lambda space: Reinforce(space, window=4, tries=5),
    "ppo": lambda space: PPO(space, "softmax", batch=5, epochs=2, window=2, tries=5),
    "mcts": TreeSearch,
    "lanas": lambda space: LaNAS(space, initial=6, least=2, tries=5),
    "hurdles": lambda space: Hurdles(RegularizedEvolution(space, population=6, sample=3), models=4),
    "guided": lambda space: GuidedEvolution(space, initial=4, candidates=6, relearn=3.0),
    "bayesian": lambda space: BayesianOptimization(space, _small(space), initial=4, candidates=6, refit=1.0),
    "bananas": lambda space: BANANAS(space, initial=4, candidates=6, members=2, steps=5),
    "hyper_band": lambda space: HyperBand(RandomSearch(space)),
    "synchronous": lambda space: SynchronousHalving(RandomSearch(space), number=5),
    "pnas": lambda space: PNAS(space, beam=4, expansions=12, members=2, steps=20),
    "kernel_density": lambda space: KernelDensity(space, samples=4),
    "bohb": lambda space: BOHB(space, samples=4),
    "alphax": lambda space: TreeSearch(space, value=_small(space), initial=4, rollouts=3),
    "reinforce_recurrent": lambda space: Reinforce(space, "recurrent", hidden=6, window=4, tries=5),
    "ppo_recurrent": lambda space: PPO(space, batch=5, epochs=2, hidden=6, window=2, tries=5),
    "optuna_gp": lambda space: OptunaSampler(space, "gp", {"n_startup_trials": 23}),
    "optuna_gp_late": lambda space: OptunaSampler(space, "gp", {"n_startup_trials": 39}),
    "optuna_cmaes": lambda space: OptunaSampler(space, "cmaes"),
    "optuna_nsga2": lambda space: OptunaSampler(space, "nsga2", {"population_size": 5}),
    "optuna_nsga3": lambda space: OptunaSampler(space, "nsga3", {"population_size": 5}),
    "optuna_qmc": lambda space: OptunaSampler(space, "qmc"),
    "optuna_tpe": lambda space: OptunaSampler(space, "tpe", {"n_startup_trials": 4}),
    "in_turn": lambda space: InTurn(RegularizedEvolution(space, population=6, sample=3), RandomSearch(space)),
    "narrowed": _half,
    "sharing": lambda space: Sharing(RegularizedEvolution(space, population=6, sample=3), inherit=True),
    "first": lambda space: First(RandomSearch(space), tuple(sample(space, np.random.default_rng(i)) for i in range(3))),
}

# Optuna's samplers share one adapter, which NSGA-II, the quickest of them, takes through every space.
_FEW = ("flat", "branches", "everything", "tiny")
FEWER = {
    "optuna_tpe": (*_FEW, "constrained"),
    "optuna_nsga3": _FEW,
    "optuna_cmaes": _FEW,
    "optuna_qmc": _FEW,
    "optuna_gp": ("flat",),
}
# Optuna's process takes seconds for a proposal of several objectives: in laws of many trials it begins late.
LONG = (batches_belong_to_the_space, several_objectives_are_taken, objectives_and_limits_go_together)

# The laws on spaces with cells, with one that has none, for those that need one.
_BRANCH = call(Wired, *(choice("none", "conv", "pool", name=f"inner{i}") for i in range(6)))
CELLS = {"flat": CELL, "branches": Space(model=choice(_BRANCH, 0, name="kind")), "none": EXAMPLES["flat"]}
ON_CELLS: dict[str, MakeStrategy] = {
    "gp_paths": lambda space: BayesianOptimization(space, "paths", initial=4, candidates=6, refit=1.0),
    "gp_subtrees": lambda space: BayesianOptimization(space, "subtrees", initial=4, candidates=6, refit=1.0),
    "bananas_paths": lambda space: BANANAS(space, "paths", initial=4, candidates=6, members=2, steps=5),
}


@pytest.mark.parametrize("law", STRATEGY_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("make", ON_CELLS.values(), ids=ON_CELLS.keys())
def test_law_on_cells(make: MakeStrategy, law: StrategyLaw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsmith.testing.strategy.EXAMPLES", CELLS)
    law(make)


@pytest.mark.parametrize("law", STRATEGY_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "optuna_gp_late"])
def test_law(name: str, law: StrategyLaw, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in FEWER:
        fewer = {space: EXAMPLES[space] for space in FEWER[name]}
        monkeypatch.setattr("archsmith.testing.strategy.EXAMPLES", fewer)
    law(STRATEGIES["optuna_gp_late" if name == "optuna_gp" and law in LONG else name])
