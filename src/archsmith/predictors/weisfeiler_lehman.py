"""A Gaussian process over cells with the Weisfeiler-Lehman subtree kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from archsmith.errors import SpaceError
from archsmith.predictors.protocol import Fitted
from archsmith.space import Arch, Space, Wiring, cell_graph, wirings
from archsmith.space.encode import Vector

__all__ = ["WeisfeilerLehman", "subtrees"]

_NOISES = tuple(10.0**power for power in np.arange(-3.0, 1.01, 0.25))
_Depth = Counter[Any]


def subtrees(cell: Wiring, arch: Arch, rounds: int) -> tuple[_Depth, ...]:
    """Return how often each label occurs in a cell's graph, after 0 to ``rounds`` rounds of relabelling.

    Operations are vertices, as in ``cell_graph``; those that let nothing through, and those that are then on no way
    from the input to the output, are left out. A round gives each vertex its label and the sorted labels of those that
    lead to it (Shervashidze et al., 2011). Equal networks whose edges are named differently get equal counts.
    """
    edges = cell.cell(arch)
    adjacency = cell_graph(edges, cell.operations)[0]
    last = len(adjacency) - 1
    for vertex, (_, _, operation) in enumerate(edges, 1):
        if operation == cell.none:
            adjacency[vertex, :] = adjacency[:, vertex] = 0
    ways = np.linalg.matrix_power(adjacency + np.eye(last + 1, dtype=np.int64), last) > 0
    kept = [v for v in range(last + 1) if v in (0, last) or (ways[0, v] and ways[v, last])]
    labels = {v: "input" if v == 0 else "output" if v == last else edges[v - 1][2] for v in kept}
    counts = [Counter(labels.values())]
    for _ in range(rounds):
        before = {v: sorted(labels[u] for u in kept if adjacency[u, v]) for v in kept}
        labels = {v: f"{labels[v]}({','.join(before[v])})" for v in kept}
        counts.append(Counter(labels.values()))
    return tuple(counts)


@dataclass(frozen=True)
class WeisfeilerLehman:
    """Cells are alike as far as they share subtrees of operations (NAS-BOWL; Ru et al., 2021).

    The kernel is the normalised product of label counts, summed over 0 to ``h`` rounds; ``h``, at most ``rounds``, the
    variance and the noise are those of the greatest marginal likelihood. Raises ``SpaceError`` where the space has no
    cell. Decisions outside of cells are not seen.
    """

    space: Space
    rounds: int = 3

    def __post_init__(self) -> None:
        if not wirings(self.space):
            raise SpaceError(
                "The Weisfeiler-Lehman kernel compares cells, and this space has none. Use GaussianProcess."
            )

    def fit(self, archs: Sequence[Arch], losses: Sequence[float]) -> Fitted:
        """Choose the depth of subtrees and the noise, and condition on the results."""
        targets = np.asarray(losses, dtype=np.float64)
        centre, scale = float(targets.mean()), float(targets.std()) or 1.0
        known = [self._counted(arch) for arch in archs]
        found: list[tuple[float, int, float, float]] = []
        for rounds in range(self.rounds + 1):
            values, vectors = np.linalg.eigh(_products(known, known, rounds))
            turned = vectors.T @ ((targets - centre) / scale)
            for noise in _NOISES:
                spread = np.maximum(values, 0.0) + noise
                variance = max(float((turned**2 / spread).mean()), 1e-12)
                surprise = float(np.log(spread).sum()) + len(targets) * float(np.log(variance))
                found.append((surprise, rounds, noise, variance))
        _, rounds, noise, variance = min(found)
        covariance = _products(known, known, rounds) + (noise + 1e-6) * np.eye(len(known))
        factor = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        weights = np.asarray(cho_solve((factor, True), (targets - centre) / scale))
        return _Fitted(self, tuple(known), rounds, factor, weights, centre, scale, scale * variance**0.5)

    def _counted(self, arch: Arch) -> tuple[_Depth, ...]:
        parts = [subtrees(cell, arch, self.rounds) for cell in wirings(self.space)]
        return tuple(
            Counter({(place, label): n for place, part in enumerate(parts) for label, n in part[h].items()})
            for h in range(self.rounds + 1)
        )


@dataclass(frozen=True, eq=False)
class _Fitted:
    process: WeisfeilerLehman
    known: tuple[tuple[_Depth, ...], ...]
    rounds: int
    factor: Vector
    weights: Vector
    centre: float
    scale: float
    deviation: float

    def predict(self, archs: Sequence[Arch]) -> tuple[Vector, Vector]:
        across = _products([self.process._counted(arch) for arch in archs], self.known, self.rounds)
        solved = solve_triangular(self.factor, across.T, lower=True, check_finite=False)
        variance = np.maximum(1.0 - (solved * solved).sum(0), 1e-12)
        return self.centre + self.scale * (across @ self.weights), self.deviation * np.sqrt(variance)


def _products(a: Sequence[tuple[_Depth, ...]], b: Sequence[tuple[_Depth, ...]], rounds: int) -> Vector:
    """Return the kernel of each of ``a`` with each of ``b``: 1 where all labels up to this depth agree."""
    places: dict[tuple[int, Any], int] = {}
    for counts in (*a, *b):
        for h in range(rounds + 1):
            for label in counts[h]:
                places.setdefault((h, label), len(places))
    left, right = (_table(side, places, rounds) for side in (a, b))
    return np.asarray(left @ right.T)


def _table(side: Sequence[tuple[_Depth, ...]], places: dict[tuple[int, Any], int], rounds: int) -> Vector:
    table = np.zeros((len(side), len(places)))
    for row, counts in zip(table, side, strict=True):
        for h in range(rounds + 1):
            for label, number in counts[h].items():
                row[places[h, label]] = number
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12))
