"""Architectures as vectors for predictors: one-hot and ordinal, and graphs and paths for cells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from archsmith.errors import SpaceError
from archsmith.space.arch import Answer, Arch
from archsmith.space.decision import Decision
from archsmith.space.space import Space

__all__ = ["Edge", "Vector", "cell_graph", "cell_paths", "feature_names", "one_hot", "ordinal"]

Vector = npt.NDArray[np.float64]
Edge = tuple[int, int, str]


def one_hot(space: Space, arch: Arch) -> Vector:
    """Return a vector with one place per option of every decision, zero where the decision is inactive.

    A range takes two places: whether it is active, and where the answer lies in it from 0 to 1.
    """
    return np.concatenate([np.zeros(0), *(_one_hot(d, arch) for d in space.decisions.values())])


def feature_names(space: Space) -> list[str]:
    """Return the name of each place of ``one_hot``: ``key=option``, or ``key`` and ``key:value`` for a range."""
    names: list[str] = []
    for d in space.decisions.values():
        names += [f"{d.key}={o}" for o in d.options] if d.options else [d.key, f"{d.key}:value"]
    return names


def _one_hot(decision: Decision, arch: Arch) -> Vector:
    if decision.kind in ("integer", "real"):
        return np.array([1.0, decision.unit(arch[decision.key])]) if decision.key in arch else np.zeros(2)
    if decision.key not in arch:
        return np.zeros(len(decision.options))
    answer = arch[decision.key]
    chosen = answer if decision.kind == "pick" and isinstance(answer, tuple) else (answer,)
    return np.array([float(any(_is(o, c) for c in chosen)) for o in decision.options])


def ordinal(space: Space, arch: Arch) -> Vector:
    """Return a vector with one place per decision: 0 where inactive, else the answer's rank, evenly in (0, 1]."""
    return np.array([_ordinal(d, arch) for d in space.decisions.values()], dtype=np.float64)


def _ordinal(decision: Decision, arch: Arch) -> float:
    if decision.key not in arch:
        return 0.0
    answer = arch[decision.key]
    if decision.kind == "real":
        return 0.001 + 0.999 * decision.unit(answer)
    if decision.kind == "integer" and isinstance(answer, int):
        return (answer - decision.low + 1) / decision.size
    answers = list(decision.options if decision.kind == "choice" else combinations(decision.options, decision.k))
    return (next(i for i, a in enumerate(answers) if _is(a, answer)) + 1) / len(answers)


def _is(a: Answer, b: Answer) -> bool:
    return type(a) is type(b) and a == b


def cell_graph(edges: Sequence[Edge], operations: Sequence[str]) -> tuple[npt.NDArray[np.int64], Vector]:
    """Return a cell as ``(adjacency, operations)`` with operations on its edges turned into vertices.

    ``edges`` are ``(from, to, operation)`` between the cell's nodes, node 0 its input and the last its output. Vertex
    0 is the input, the last the output, one vertex per edge between; there is an arc from one edge to every edge that
    starts where it ends. ``adjacency`` is ``(edges + 2, edges + 2)``; the second array one-hot codes the vertices over
    (input, *operations, output). The line-graph form in which NAS-Bench-201 cells are fed to graph networks.
    """
    size, last = len(edges) + 2, max(e[1] for e in edges)
    adjacency = np.zeros((size, size), dtype=np.int64)
    labels = np.zeros((size, len(operations) + 2))
    labels[0, 0] = labels[-1, -1] = 1
    for i, (source, target, operation) in enumerate(edges, 1):
        labels[i, 1 + _operation(operation, operations)] = 1
        adjacency[0, i] = source == 0
        adjacency[i, -1] = target == last
        for j, (other, _, _) in enumerate(edges, 1):
            adjacency[i, j] = other == target
    return adjacency, labels


def cell_paths(edges: Sequence[Edge], operations: Sequence[str], none: str | None = None) -> Vector:
    """Return the path encoding of a cell: which sequences of operations lead from its input to its output.

    One place per sequence of operations, from the shortest to the longest that the cell's nodes allow; ``none`` is
    the operation that breaks a path. White et al., BANANAS (2021).
    """
    last = max(e[1] for e in edges)
    alphabet = [o for o in operations if o != none]
    found: set[tuple[str, ...]] = set()

    def extend(node: int, path: tuple[str, ...]) -> None:
        if node == last:
            found.add(path)
            return
        for source, target, operation in edges:
            _operation(operation, operations)
            if source == node and operation != none:
                extend(target, (*path, operation))

    extend(0, ())
    places: list[Any] = [p for length in range(1, last + 1) for p in product(alphabet, repeat=length)]
    return np.array([float(p in found) for p in places])


def _operation(operation: str, operations: Sequence[str]) -> int:
    if operation not in operations:
        raise SpaceError(f"Unknown operation {operation!r} on an edge. Allowed: {', '.join(operations)}.")
    return list(operations).index(operation)
