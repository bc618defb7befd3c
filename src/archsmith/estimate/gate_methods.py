"""The differentiable methods by name: what each does otherwise than the others, over the one loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from archsmith.build.bank import Bank
from archsmith.build.partial import partial_channels
from archsmith.build.relax import Gates, relaxable
from archsmith.build.relaxations import RELAXATIONS
from archsmith.errors import SpaceError, UsageError, nearest
from archsmith.estimate.differentiable import Derived, search_gates
from archsmith.estimate.goals import Goal, added, limited, multiplied
from archsmith.estimate.guards import Guard, dominance, eigenvalue
from archsmith.estimate.machine import Machine
from archsmith.estimate.settings import Settings
from archsmith.space import Space, wirings
from archsmith.task import Task

__all__ = ["GATE_METHODS", "GateMethod", "gates_by", "search_by"]

_Cost = Callable[[Mapping[str, Tensor]], Tensor | float]


def _weighed(cost: _Cost, first: float, limit: float | None) -> Goal:
    return added(cost, 0.1, first) if limit is None else limited(cost, limit)


@dataclass(frozen=True)
class GateMethod:
    """A differentiable method: a relaxation by name, and what else it needs of ``search_gates`` and ``Gates``.

    ``parts`` above 1 are partial channels; then the decisions of one node compete. ``joint`` gates learn with the
    weights, from the same samples. ``goal`` makes, from an expected cost, what it is at the beginning, and a limit on
    it or None, what the gates minimise; ``priced`` methods weigh a cost where nothing is limited as well.
    """

    relaxation: str
    second_order: bool = False
    joint: bool = False
    parts: int = 1
    weights_first: float = 0.0
    guard: Guard | None = None
    goal: Callable[[_Cost, float, float | None], Goal] = _weighed
    priced: bool = False


def gates_by(name: str, space: Space, seed: int = 0, device: str = "cpu", nodes: Sequence[Sequence[str]] = ()) -> Gates:
    """Return the gates of the method of that name, over all choices of modules in a space; see ``search_by``.

    Raises ``SpaceError`` where the space has none.
    """
    if name not in GATE_METHODS:
        raise UsageError(f"There is no differentiable method called {name!r}. {nearest(name, GATE_METHODS)}")
    method = GATE_METHODS[name]
    decisions = relaxable(space)
    if not decisions:
        raise SpaceError(
            f"{name} weighs modules against each other, and this space has no decision that only chooses between "
            "modules. Write the choice as one of modules, such as choice(conv=call(...), skip=call(...))."
        )
    partial = method.parts > 1
    return Gates(
        decisions.values(),
        RELAXATIONS[method.relaxation],
        seed,
        device,
        partial_channels(method.parts) if partial else None,
        (nodes or _nodes(space, decisions)) if partial else (),
    )


def _nodes(space: Space, decisions: Collection[str]) -> list[list[str]]:
    """Return, for each node of a space's cells that several edges lead to, the decisions on these edges.

    A decision that stands on several edges cannot be scaled on each by itself, so its nodes are left out.
    """
    edges = [edge for cell in wirings(space) for edge in cell.edges]
    used = Counter(key for _, _, key in edges)
    found: list[list[str]] = []
    for cell in wirings(space):
        for node in sorted({target for _, target, _ in cell.edges}):
            keys = [key for _, target, key in cell.edges if target == node]
            if len(keys) > 1 and all(used[key] == 1 and key in decisions for key in keys):
                found.append(keys)
    return found


def search_by(
    name: str,
    bank: Bank,
    task: Task,
    settings: Settings,
    *,
    machine: Machine,
    seed: int,
    epochs: int | None = None,
    cost: Callable[[Gates], _Cost] | None = None,
    limit: float | None = None,
    nodes: Sequence[Sequence[str]] = (),
    **options: Any,
) -> tuple[Gates, Derived]:
    """Search with the method of that name, and return its gates and what they prefer.

    ``cost`` makes an expected cost for the gates, as ``expected_cost`` does; it is then weighed in as the method does,
    beside its ``limit`` or else beside what it is at the beginning. ``nodes`` are those of ``Gates``, for methods that
    make edges compete: those of the space's cells by default. ``options`` go to ``search_gates`` as they are. Raises
    ``UsageError`` for a name that is not in ``GATE_METHODS``.
    """
    gates = gates_by(name, bank.space, seed, machine.device, nodes)
    method = GATE_METHODS[name]
    options = {
        "second_order": method.second_order,
        "joint": method.joint,
        "weights_first": method.weights_first,
        "guard": method.guard,
        **options,
    }
    if cost is not None:
        gates.draw()
        expected = cost(gates)
        first = float(torch.as_tensor(expected(gates.weights)).detach()) or 1.0  # nothing costs anything
        options.setdefault("goal", method.goal(expected, first, limit))
    return gates, search_gates(bank, gates, task, settings, machine=machine, seed=seed, epochs=epochs, **options)


def _relative(cost: _Cost, first: float, limit: float | None) -> Goal:
    return multiplied(cost, 1.0, 0.3, limit or first)


def _logarithmic(cost: _Cost, first: float, limit: float | None) -> Goal:
    return multiplied(cost, 0.2, 0.6, limit or first)


GATE_METHODS: Mapping[str, GateMethod] = MappingProxyType(
    {
        "darts": GateMethod("darts"),
        "darts2": GateMethod("darts", second_order=True),
        "gdas": GateMethod("gdas"),
        "snas": GateMethod("snas", joint=True),
        "drnas": GateMethod("drnas"),
        "proxyless": GateMethod("proxyless", goal=_relative),
        "fbnet": GateMethod("fbnet", goal=_logarithmic, priced=True),
        "pcdarts": GateMethod("pcdarts", parts=4, weights_first=0.3),
        "robustdarts": GateMethod("darts", guard=eigenvalue()),
        "pdarts": GateMethod("darts", guard=dominance()),
    }
)
"""The methods: DARTS of first and second order, GDAS, SNAS, DrNAS, ProxylessNAS, FBNet, PC-DARTS (channels in four
parts, weights alone for the first three tenths), and DARTS with a guard: of RobustDARTS (eigenvalue), of P-DARTS
(skips)."""
