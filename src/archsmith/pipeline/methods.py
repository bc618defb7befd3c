"""The ways of searching on shared weights, by name: what trains the bank, and which strategy searches on it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from archsmith.build import Bank, Gates, expected_cost, relaxable, require_mixable
from archsmith.errors import SpaceError, UsageError, nearest
from archsmith.estimate import GATE_METHODS, SAMPLERS, gates_by
from archsmith.space import Decision, Space
from archsmith.spaces import default_name, names, resolve
from archsmith.spec import Spec

__all__ = ["FAMILY", "Method", "find_method", "method_names", "relaxed_decisions", "require_method", "usual_space"]

FAMILY = "bignas"
"""The method that serves several limits at once where none is named: it trains small and large networks alike."""


@dataclass(frozen=True)
class Method:
    """A way of searching on shared weights.

    ``kind`` says how the bank is trained: ``"paths"``, on networks that the sampler of this name draws (``SAMPLERS``),
    or ``"gates"``, all options of each choice of modules mixed, in the way of this name (``GATE_METHODS``); then what
    the gates prefer in the end comes first. ``strategy`` is the one that searches on the bank.
    """

    name: str
    kind: str
    paper: str = ""
    strategy: str = "evolution"


_PAPERS: Mapping[str, str] = {
    "spos": "Single Path One-Shot, Guo et al., 2020",
    "fairnas": "FairNAS, Chu et al., 2021",
    "bignas": "BigNAS, Yu et al., 2020",
    "ofa": "Once-for-All, Cai et al., 2020",
    "attentive": "AttentiveNAS, Wang et al., 2021",
    "enas": "ENAS, Pham et al., 2018",
    "darts": "DARTS, Liu et al., 2019",
    "darts2": "DARTS of second order, Liu et al., 2019",
    "gdas": "GDAS, Dong and Yang, 2019",
    "snas": "SNAS, Xie et al., 2019",
    "drnas": "DrNAS, Chen et al., 2021",
    "proxyless": "ProxylessNAS, Cai et al., 2019",
    "fbnet": "FBNet, Wu et al., 2019",
    "pcdarts": "PC-DARTS, Xu et al., 2020",
    "pdarts": "P-DARTS's guard, Chen et al., 2019",
    "robustdarts": "RobustDARTS, Zela et al., 2020",
}
_STRATEGIES: Mapping[str, str] = {"fairnas": "nsga2", "enas": "reinforce"}


def _every() -> Mapping[str, Method]:
    """Return a method for each sampler and each differentiable method there is; two names for one thing are one."""
    found: dict[str, Method] = {}
    seen: set[int] = set()
    for kind, offered in (("paths", SAMPLERS), ("gates", GATE_METHODS)):
        for name, value in offered.items():
            if id(value) not in seen:
                seen.add(id(value))
                found[name] = Method(name, kind, _PAPERS.get(name, ""), _STRATEGIES.get(name, "evolution"))
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


def relaxed_decisions(method: Method, space: Space) -> dict[str, Decision]:
    """Return the decisions that a method's gates decide. Raises ``SpaceError`` where they cannot, or there are none."""
    others = ", ".join(name for name, other in _every().items() if other.kind == "paths")
    try:
        found = relaxable(space)
    except SpaceError as error:
        raise SpaceError(f"The method {method.name!r} cannot serve this space. {error} These can: {others}.") from error
    if not found:
        raise SpaceError(
            f"The method {method.name!r} weighs modules against each other, and this space has no decision that only "
            f"chooses between modules: its decisions are {', '.join(space.decisions)}. Use one of {others}; or write "
            "the choice as one of modules, such as choice(conv=call(...), skip=call(...))."
        )
    return found


def require_method(method: Method, space: Space, input_shape: tuple[int, ...]) -> None:
    """Raise ``SpaceError`` where the method cannot serve the space, with the path in the expression and the remedy.

    Every option is made and cut, and the mixture runs once, on tensors without data: what cannot be shared or added up
    is found before anything is trained.
    """
    if method.kind == "gates":
        expected_cost(space, _mixed(method, space, input_shape), input_shape, "macs")
    Bank(space)


def usual_space(method: Method | None, spec: Spec) -> str:
    """Return the name of the space to search where none is named: the usual one, or the first that the method can mix.

    Partial channels, for one, are for modules that keep the number of channels, which those of ``mobile`` do not.
    """
    usual = default_name(spec)
    if method is None or method.kind != "gates":
        return usual
    for name in dict.fromkeys((usual, *names())):
        with contextlib.suppress(SpaceError):
            _mixed(method, resolve(name, spec), spec.input_shape)
            return name
    return usual


def _mixed(method: Method, space: Space, input_shape: tuple[int, ...]) -> Gates:
    relaxed_decisions(method, space)
    gates = gates_by(method.name, space)
    require_mixable(space, gates, input_shape)
    return gates
