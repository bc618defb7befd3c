"""An ensemble of small feed-forward networks, trained together in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from archsmith.predictors.encoding import Encoding
from archsmith.predictors.protocol import Fitted
from archsmith.space import Arch
from archsmith.space.encode import Vector

__all__ = ["Ensemble"]

_Layers = list[tuple[Vector, Vector]]


@dataclass(frozen=True)
class Ensemble:
    """Several networks from different initial weights; their mean and their disagreement (BANANAS; White et al., 2021).

    Each of the ``members`` has ``depth`` hidden layers of ``width`` rectified units, and is trained with Adam on the
    mean absolute error for ``epochs`` passes in batches of ``batch``, or ``steps`` steps where that is less. Initial
    weights and batches come from ``seed``, so a fit is a function of its results.
    """

    encoding: Encoding
    members: int = 5
    depth: int = 10
    width: int = 20
    epochs: int = 150
    batch: int = 32
    rate: float = 0.01
    steps: int = 1500
    seed: int = 0

    def fit(self, archs: Sequence[Arch], losses: Sequence[float]) -> Fitted:
        """Train every member on the results."""
        targets = np.asarray(losses, dtype=np.float64)
        centre, scale = float(targets.mean()), float(targets.std()) or 1.0
        rows, wanted = self.encoding.remembered(archs), (targets - centre) / scale
        rng = np.random.default_rng([self.seed, len(targets)])
        sizes = [rows.shape[1], *[self.width] * self.depth, 1]
        flat = np.concatenate([self._initial(a, b, rng) for a, b in pairwise(sizes)], axis=1)
        layers = _views(flat, sizes)
        first, second = np.zeros_like(flat), np.zeros_like(flat)
        per_epoch = -(-len(targets) // self.batch)
        order = np.zeros((self.members, 0), dtype=np.int64)
        for step in range(1, min(self.epochs * per_epoch, self.steps) + 1):
            if not order.shape[1]:
                order = rng.permuted(np.tile(np.arange(len(targets)), (self.members, 1)), axis=1)
            batch, order = order[:, : self.batch], order[:, self.batch :]
            slope = _slope(layers, rows[batch], wanted[batch], sizes)
            first += 0.1 * (slope - first)
            second += 0.001 * (slope * slope - second)
            flat -= self.rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        return _Fitted(self.encoding, tuple(layers), centre, scale)

    def _initial(self, inputs: int, outputs: int, rng: np.random.Generator) -> Vector:
        """Return weights as large as keeps the size of what passes through rectified units, and no biases."""
        weights = rng.standard_normal((self.members, inputs * outputs)) * (2.0 / max(inputs, 1)) ** 0.5
        return np.concatenate([weights, np.zeros((self.members, outputs))], axis=1)


@dataclass(frozen=True, eq=False)
class _Fitted:
    encoding: Encoding
    layers: tuple[tuple[Vector, Vector], ...]
    centre: float
    scale: float

    def predict(self, archs: Sequence[Arch]) -> tuple[Vector, Vector]:
        rows = self.encoding.rows(archs)
        members = len(self.layers[0][0])
        out = _forward(list(self.layers), np.broadcast_to(rows, (members, *rows.shape)))[-1][:, :, 0]
        return self.centre + self.scale * out.mean(0), self.scale * out.std(0)


def _views(flat: Vector, sizes: list[int]) -> _Layers:
    """Return the weights ``[members, inputs, outputs]`` and biases of each layer as views of one array."""
    layers, start = [], 0
    for inputs, outputs in pairwise(sizes):
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        weights = flat[:, start:middle].reshape(len(flat), inputs, outputs)
        layers.append((weights, flat[:, middle:end].reshape(len(flat), 1, outputs)))
        start = end
    return layers


def _forward(layers: _Layers, rows: Vector) -> list[Vector]:
    """Return what goes into each layer, and at last what comes out, ``[members, rows, units]`` each."""
    through = [rows]
    for number, (weights, biases) in enumerate(layers, 1):
        out = through[-1] @ weights + biases
        through.append(np.maximum(out, 0.0) if number < len(layers) else out)
    return through


def _slope(layers: _Layers, rows: Vector, wanted: Vector, sizes: list[int]) -> Vector:
    """Return the gradient of the mean absolute error, laid out as the flat weights are."""
    through = _forward(layers, rows)
    back = np.sign(through[-1] - wanted[:, :, None]) / rows.shape[1]
    slope = np.empty((len(rows), sum((a + 1) * b for a, b in pairwise(sizes))))
    views = _views(slope, sizes)
    for number in reversed(range(len(layers))):
        weights, biases = views[number]
        weights[:] = through[number].transpose(0, 2, 1) @ back
        biases[:] = back.sum(1, keepdims=True)
        if number:
            back = (back @ layers[number][0].transpose(0, 2, 1)) * (through[number] > 0)
    return slope
