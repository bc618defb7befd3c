"""A Gaussian process over cells with the Weisfeiler-Lehman subtree kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from archsmith.errors import SpaceError
from archsmith.predictors.protocol import Fitted
from archsmith.space import Arch, Space, Wiring, wirings
from archsmith.space.encode import Vector

__all__ = ["WeisfeilerLehman", "subtrees"]

_NOISES = tuple(10.0**power for power in np.arange(-3.0, 1.01, 0.25))
_REMEMBERED = 5000
_Depth = Counter[Any]


def subtrees(cell: Wiring, arch: Arch, rounds: int) -> tuple[_Depth, ...]:
    """Return how often each label occurs in a cell's graph, after 0 to ``rounds`` rounds of relabelling.

    Operations are vertices, as in ``cell_graph``; those that let nothing through, and those that are then on no way
    from the input to the output, are left out. A round gives each vertex its label and the sorted labels of those that
    lead to it (Shervashidze et al., 2011). Equal networks whose edges are named differently get equal counts.
    """
    last = max(target for _, target, _ in cell.edges)
    edges = [edge for edge in cell.cell(arch) if edge[2] != cell.none]
    ahead = _reached(0, [(source, target) for source, target, _ in edges])
    back = _reached(last, [(target, source) for source, target, _ in edges])
    edges = [edge for edge in edges if edge[0] in ahead and edge[1] in back]
    first, labels, end = "input", [operation for _, _, operation in edges], "output"
    counts = [Counter((first, *labels, end))]
    for _ in range(rounds):
        into: dict[int, list[str]] = {0: [first]}
        for (_, target, _), label in zip(edges, labels, strict=True):
            into.setdefault(target, []).append(label)
        led = {node: f"({','.join(sorted(found))})" for node, found in into.items()}
        first, end = f"{first}()", end + led.get(last, "()")
        labels = [label + led[source] for (source, _, _), label in zip(edges, labels, strict=True)]
        counts.append(Counter((first, *labels, end)))
    return tuple(counts)


def _reached(start: int, arcs: Sequence[tuple[int, int]]) -> set[int]:
    reached, before = {start}, 0
    while len(reached) > before:
        before = len(reached)
        reached.update(target for source, target in arcs if source in reached)
    return reached


@dataclass(frozen=True)
class WeisfeilerLehman:
    """Cells are alike as far as they share subtrees of operations (NAS-BOWL; Ru et al., 2021).

    The kernel is the normalised product of label counts, summed over 0 to ``h`` rounds; ``h``, at most ``rounds``, the
    variance and the noise are those of the greatest marginal likelihood. Raises ``SpaceError`` where the space has no
    cell. Decisions outside of cells are not seen.
    """

    space: Space
    rounds: int = 3
    _cells: tuple[Wiring, ...] = field(init=False, repr=False, compare=False)
    _known: dict[Arch, tuple[_Depth, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cells", wirings(self.space))
        if not self._cells:
            raise SpaceError(
                "The Weisfeiler-Lehman kernel compares cells, and this space has none. Use GaussianProcess."
            )

    def fit(self, archs: Sequence[Arch], losses: Sequence[float]) -> Fitted:
        """Choose the depth of subtrees and the noise, and condition on the results."""
        targets = np.asarray(losses, dtype=np.float64)
        centre, scale = float(targets.mean()), float(targets.std()) or 1.0
        known = [self.counted(arch) for arch in archs]
        tables = [_Labels(known, rounds) for rounds in range(self.rounds + 1)]
        found: list[tuple[float, int, float, float]] = []
        for rounds, labels in enumerate(tables):
            values, vectors = np.linalg.eigh(labels.table @ labels.table.T)
            turned = vectors.T @ ((targets - centre) / scale)
            for noise in _NOISES:
                spread = np.maximum(values, 0.0) + noise
                variance = max(float((turned**2 / spread).mean()), 1e-12)
                surprise = float(np.log(spread).sum()) + len(targets) * float(np.log(variance))
                found.append((surprise, rounds, noise, variance))
        _, rounds, noise, variance = min(found)
        labels = tables[rounds]
        covariance = labels.table @ labels.table.T + (noise + 1e-6) * np.eye(len(known))
        factor = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        weights = np.asarray(cho_solve((factor, True), (targets - centre) / scale))
        return _Fitted(self, labels, factor, weights, centre, scale, scale * variance**0.5)

    def counted(self, arch: Arch) -> tuple[_Depth, ...]:
        """Return how often each label occurs in the cells of an architecture, for each number of rounds."""
        if arch not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            parts = [subtrees(cell, arch, self.rounds) for cell in self._cells]
            self._known[arch] = tuple(
                Counter({(place, label): n for place, part in enumerate(parts) for label, n in part[h].items()})
                for h in range(self.rounds + 1)
            )
        return self._known[arch]


@dataclass(frozen=True, eq=False)
class _Labels:
    """The labels that some architectures have up to a depth, and their counts as rows of length 1."""

    known: Sequence[tuple[_Depth, ...]]
    rounds: int
    places: dict[tuple[int, Any], int] = field(default_factory=dict)
    table: Vector = field(init=False)

    def __post_init__(self) -> None:
        for counts in self.known:
            for h in range(self.rounds + 1):
                for label in counts[h]:
                    self.places.setdefault((h, label), len(self.places))
        object.__setattr__(self, "table", self.rows(self.known))

    def rows(self, side: Sequence[tuple[_Depth, ...]]) -> Vector:
        """Return the rows of others; what no known one has is in no column, and yet makes the others shorter."""
        table, lengths = np.zeros((len(side), len(self.places))), np.zeros((len(side), 1))
        for i, counts in enumerate(side):
            squares = 0
            for h in range(self.rounds + 1):
                for label, number in counts[h].items():
                    squares += number * number
                    place = self.places.get((h, label))
                    if place is not None:
                        table[i, place] = number
            lengths[i] = squares
        return np.asarray(table / np.sqrt(np.maximum(lengths, 1e-12)))


@dataclass(frozen=True, eq=False)
class _Fitted:
    process: WeisfeilerLehman
    labels: _Labels
    factor: Vector
    weights: Vector
    centre: float
    scale: float
    deviation: float

    def predict(self, archs: Sequence[Arch]) -> tuple[Vector, Vector]:
        across = self.labels.rows([self.process.counted(arch) for arch in archs]) @ self.labels.table.T
        solved = solve_triangular(self.factor, across.T, lower=True, check_finite=False)
        variance = np.maximum(1.0 - (solved * solved).sum(0), 1e-12)
        return self.centre + self.scale * (across @ self.weights), self.deviation * np.sqrt(variance)
