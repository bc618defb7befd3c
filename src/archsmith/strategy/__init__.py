"""Ways of searching: one file each, all fitting one socket, found by name without a central list."""

from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.bananas import BANANAS
from archsmith.strategy.bayesian_optimization import BayesianOptimization
from archsmith.strategy.bohb import BOHB
from archsmith.strategy.exhaustive import Exhaustive
from archsmith.strategy.first import First
from archsmith.strategy.guided_evolution import GuidedEvolution
from archsmith.strategy.hierarchical_evolution import HierarchicalEvolution
from archsmith.strategy.hurdles import Hurdles
from archsmith.strategy.hyper_band import HyperBand, SynchronousHalving
from archsmith.strategy.in_turn import InTurn
from archsmith.strategy.kernel_density import KernelDensity
from archsmith.strategy.lanas import LaNAS
from archsmith.strategy.local_search import LocalSearch
from archsmith.strategy.narrowed import Narrowed
from archsmith.strategy.nsga2 import NSGA2
from archsmith.strategy.pnas import PNAS
from archsmith.strategy.ppo import PPO
from archsmith.strategy.protocol import Recommends, Strategy, recommended
from archsmith.strategy.random_search import RandomSearch
from archsmith.strategy.registry import Named, everything, find, make, names, require
from archsmith.strategy.regularized_evolution import RegularizedEvolution
from archsmith.strategy.reinforce import Reinforce
from archsmith.strategy.sharing import Sharing
from archsmith.strategy.successive_halving import SuccessiveHalving
from archsmith.strategy.tree_search import TreeSearch
from archsmith.strategy.untried import distinct, untried

__all__ = [
    "BANANAS",
    "BOHB",
    "NSGA2",
    "PNAS",
    "PPO",
    "Abilities",
    "BayesianOptimization",
    "Exhaustive",
    "First",
    "GuidedEvolution",
    "HierarchicalEvolution",
    "Hurdles",
    "HyperBand",
    "InTurn",
    "KernelDensity",
    "LaNAS",
    "LocalSearch",
    "Named",
    "Narrowed",
    "RandomSearch",
    "Recommends",
    "RegularizedEvolution",
    "Reinforce",
    "Sharing",
    "Strategy",
    "SuccessiveHalving",
    "SynchronousHalving",
    "TreeSearch",
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
