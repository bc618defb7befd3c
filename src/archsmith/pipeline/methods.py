"""The ways of searching on shared weights, by name: what trains the bank, and which strategy searches on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archsmith.build.relaxations import RELAXATIONS
from archsmith.errors import UsageError, nearest
from archsmith.estimate import Sampler, fair, sandwich, uniform

__all__ = ["FAMILY", "Method", "find_method", "method_names"]


@dataclass(frozen=True)
class Method:
    """A way of searching on shared weights.

    Either a ``sampler`` draws the paths that the bank is trained on, with ``distil`` taught by the first of each step;
    or ``relaxation`` names the function that mixes the options of each choice of modules, and what the gates prefer in
    the end comes first. ``strategy`` is the one that searches on the bank.
    """

    name: str
    paper: str
    sampler: Sampler | None = None
    relaxation: str = ""
    distil: bool = False
    second_order: bool = False
    strategy: str = "evolution"


FAMILY = "bignas"
"""The method that serves several limits at once where none is named: it trains small and large networks alike."""

_METHODS = (
    Method("spos", "Single Path One-Shot, Guo et al., 2020", uniform),
    Method("fairnas", "FairNAS, Chu et al., 2021", fair, strategy="nsga2"),
    Method("bignas", "BigNAS, Yu et al., 2020", sandwich, distil=True),
    Method("darts", "DARTS, Liu et al., 2019", relaxation="darts"),
    Method("darts2", "DARTS of second order, Liu et al., 2019", relaxation="darts", second_order=True),
    Method("gdas", "GDAS, Dong and Yang, 2019", relaxation="gdas"),
    Method("snas", "SNAS, Xie et al., 2019", relaxation="snas"),
    Method("drnas", "DrNAS, Chen et al., 2021", relaxation="drnas"),
    Method("proxyless", "ProxylessNAS, Cai et al., 2019", relaxation="proxyless"),
)


def _every() -> Mapping[str, Method]:
    """Return those above, and one for each relaxation that none of them uses."""
    found = {method.name: method for method in _METHODS}
    for name, function in RELAXATIONS.items():
        about = (function.__doc__ or name).strip().splitlines()[0]
        found.setdefault(name, Method(name, about, relaxation=name))
    return found


def method_names() -> tuple[str, ...]:
    """Return the names of all methods."""
    return tuple(_every())


def find_method(name: str) -> Method:
    """Return the method of this name; raises ``UsageError`` with the nearest one where there is none."""
    found = _every().get(name.strip().lower())
    if found is None:
        raise UsageError(f"There is no method called {name!r}. {nearest(name, method_names())}")
    return found
