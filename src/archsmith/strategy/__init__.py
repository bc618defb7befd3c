"""Ways of searching: one file each, all fitting one socket."""

from archsmith.strategy.first import First
from archsmith.strategy.protocol import Recommends, Strategy, recommended
from archsmith.strategy.random_search import RandomSearch
from archsmith.strategy.regularized_evolution import RegularizedEvolution
from archsmith.strategy.successive_halving import SuccessiveHalving

__all__ = [
    "First",
    "RandomSearch",
    "Recommends",
    "RegularizedEvolution",
    "Strategy",
    "SuccessiveHalving",
    "recommended",
]
