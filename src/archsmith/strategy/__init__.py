"""Ways of searching: one file each, all fitting one socket, found by name without a central list."""

from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.bananas import Bananas
from archsmith.strategy.bayesian_optimization import BayesianOptimization
from archsmith.strategy.bohb import Bohb
from archsmith.strategy.first import First
from archsmith.strategy.guided_evolution import GuidedEvolution
from archsmith.strategy.hyper_band import HyperBand, SynchronousHalving
from archsmith.strategy.in_turn import InTurn
from archsmith.strategy.kernel_density import KernelDensity
from archsmith.strategy.narrowed import Narrowed
from archsmith.strategy.pnas import Pnas
from archsmith.strategy.protocol import Recommends, Strategy, recommended
from archsmith.strategy.random_search import RandomSearch
from archsmith.strategy.registry import Named, everything, find, make, names, require
from archsmith.strategy.regularized_evolution import RegularizedEvolution
from archsmith.strategy.sharing import Sharing
from archsmith.strategy.successive_halving import SuccessiveHalving
from archsmith.strategy.untried import distinct, untried

__all__ = [
    "Abilities",
    "Bananas",
    "BayesianOptimization",
    "Bohb",
    "First",
    "GuidedEvolution",
    "HyperBand",
    "InTurn",
    "KernelDensity",
    "Named",
    "Narrowed",
    "Pnas",
    "RandomSearch",
    "Recommends",
    "RegularizedEvolution",
    "Sharing",
    "Strategy",
    "SuccessiveHalving",
    "SynchronousHalving",
    "abilities_of",
    "distinct",
    "everything",
    "find",
    "make",
    "names",
    "recommended",
    "require",
    "untried",
]
