"""Ways of searching: one file each, all fitting one socket, found by name without a central list."""

from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.first import First
from archsmith.strategy.protocol import Recommends, Strategy, recommended
from archsmith.strategy.random_search import RandomSearch
from archsmith.strategy.registry import Named, everything, find, make, names, require
from archsmith.strategy.regularized_evolution import RegularizedEvolution
from archsmith.strategy.successive_halving import SuccessiveHalving
from archsmith.strategy.untried import distinct, untried

__all__ = [
    "Abilities",
    "First",
    "Named",
    "RandomSearch",
    "Recommends",
    "RegularizedEvolution",
    "Strategy",
    "SuccessiveHalving",
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
