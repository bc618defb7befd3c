"""The differentiable methods by name: what each does otherwise than the others, over the one loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from archsmith.build.bank import Bank
from archsmith.build.partial import partial_channels
from archsmith.build.relax import Gates, relaxable
from archsmith.build.relaxations import RELAXATIONS
from archsmith.errors import UsageError, nearest
from archsmith.estimate.differentiable import Derived, search_gates
from archsmith.estimate.goals import Goal, added, multiplied
from archsmith.estimate.guards import Guard, dominance, eigenvalue
from archsmith.estimate.machine import Machine
from archsmith.estimate.settings import Settings
from archsmith.space import Space
from archsmith.task import Task

__all__ = ["GATE_METHODS", "GateMethod", "gates_by", "search_by"]

_Cost = Callable[[Mapping[str, Tensor]], Tensor | float]


@dataclass(frozen=True)
class GateMethod:
    """A differentiable method: a relaxation by name, and what else it needs of ``search_gates`` and ``Gates``.

    ``parts`` above 1 are partial channels; then decisions of one node compete, where nodes are given. ``goal`` makes,
    from an expected cost and its value at the beginning, what the gates minimise.
    """

    relaxation: str
    second_order: bool = False
    parts: int = 1
    weights_first: float = 0.0
    guard: Guard | None = None
    goal: Callable[[_Cost, float], Goal] = lambda cost, first: added(cost, 0.1, first)


def gates_by(name: str, space: Space, seed: int = 0, device: str = "cpu", nodes: Sequence[Sequence[str]] = ()) -> Gates:
    """Return the gates of the method of that name, over all choices of modules in a space; see ``search_by``."""
    if name not in GATE_METHODS:
        raise UsageError(f"There is no differentiable method called {name!r}. {nearest(name, GATE_METHODS)}")
    method = GATE_METHODS[name]
    partial = method.parts > 1
    return Gates(
        relaxable(space).values(),
        RELAXATIONS[method.relaxation],
        seed,
        device,
        partial_channels(method.parts) if partial else None,
        nodes if partial else (),
    )


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
    nodes: Sequence[Sequence[str]] = (),
    **options: Any,
) -> tuple[Gates, Derived]:
    """Search with the method of that name, and return its gates and what they prefer.

    ``cost`` makes an expected cost for the gates, as ``expected_cost`` does; it is then weighed in as the method does.
    ``nodes`` are those of ``Gates``, for methods that make edges compete. ``options`` go to ``search_gates`` as they
    are. Raises ``UsageError`` for a name that is not in ``GATE_METHODS``.
    """
    gates = gates_by(name, bank.space, seed, machine.device, nodes)
    method = GATE_METHODS[name]
    options = {
        "second_order": method.second_order,
        "weights_first": method.weights_first,
        "guard": method.guard,
        **options,
    }
    if cost is not None:
        gates.draw()
        expected = cost(gates)
        first = float(torch.as_tensor(expected(gates.weights)).detach()) or 1.0  # nothing costs anything
        options.setdefault("goal", method.goal(expected, first))
    return gates, search_gates(bank, gates, task, settings, machine=machine, seed=seed, epochs=epochs, **options)


GATE_METHODS: Mapping[str, GateMethod] = MappingProxyType(
    {
        "darts": GateMethod("darts"),
        "darts2": GateMethod("darts", second_order=True),
        "gdas": GateMethod("gdas"),
        "snas": GateMethod("snas"),
        "drnas": GateMethod("drnas"),
        "proxyless": GateMethod("proxyless", goal=lambda cost, first: multiplied(cost, 1.0, 0.3, first)),
        "fbnet": GateMethod("fbnet", goal=lambda cost, first: multiplied(cost, 0.2, 0.6, first)),
        "pcdarts": GateMethod("pcdarts", parts=4, weights_first=0.3),
        "robustdarts": GateMethod("darts", guard=eigenvalue()),
        "pdarts": GateMethod("darts", guard=dominance()),
    }
)
"""The methods: DARTS of first and second order, GDAS, SNAS, DrNAS, ProxylessNAS, FBNet, PC-DARTS (channels in four
parts, weights alone for the first three tenths), and DARTS with a guard: of RobustDARTS (eigenvalue), of P-DARTS
(skips)."""
