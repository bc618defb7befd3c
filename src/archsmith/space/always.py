"""Which decisions every architecture answers: what is left is conditional."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsmith.space.nodes import Choice, Pick, Program, Range, Repeat, Switch, bounds, children
from archsmith.space.space import Space
from archsmith.space.walk import sample

__all__ = ["always_asked"]

_RUNS = 200


def always_asked(space: Space) -> frozenset[str]:
    """Return the keys of the decisions that are active in every architecture.

    A define-by-run function cannot be read, so for a space that has one this is what 200 random architectures have in
    common.
    """
    if space.defined_by_run:
        rng = np.random.default_rng(0)
        return frozenset(space.decisions).intersection(*(sample(space, rng) for _ in range(_RUNS)))
    memo: dict[int, frozenset[str]] = {}
    return frozenset[str]().union(*(_asked(space, root, memo) for root in space.roots.values()))


def _asked(space: Space, expression: Any, memo: dict[int, frozenset[str]]) -> frozenset[str]:
    """Return the keys that are asked whenever this part of the expression is visited."""
    if id(expression) in memo:
        return memo[id(expression)]
    below = [_asked(space, part, memo) for part in children(expression)]
    found = frozenset[str]()
    match expression:
        case Choice():
            found = _own(space, expression) | frozenset.intersection(*below)
        case Switch(on=on):
            found = _own(space, on) | frozenset.intersection(*below[1:])
        case Pick(k=k, options=options):
            join = frozenset.union if k == len(options) else frozenset.intersection
            found = _own(space, expression) | join(*below)
        case Repeat(count=count):
            found = below[0].union(*below[1 : 1 + int(bounds(count)[0])])
        case Range():
            found = _own(space, expression)
        case _ if below and not isinstance(expression, Program):
            found = frozenset[str]().union(*below)
    memo[id(expression)] = found
    return found


def _own(space: Space, node: Choice | Pick | Range) -> frozenset[str]:
    decision = space._table[id(node)]
    return frozenset({decision.key}) if decision.size > 1 else frozenset()
