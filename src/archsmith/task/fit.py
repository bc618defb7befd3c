"""Fit the preprocessing modules to the training samples."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archsmith.build.preprocess import PixelNormalize, TableNormalize
from archsmith.task.values import Column

__all__ = ["fit_pixels", "fit_table", "fit_weights"]

# Pieces per numeric column: many where columns are few, so that features stay few hundred; none beyond 128 columns. Nor
# may the features of all rows together take more than half a GiB, since a training keeps them in memory.
_MOST_PIECES, _ALL_PIECES, _ALL_FEATURES = 64, 512, 2**27


def fit_pixels(x: Tensor) -> PixelNormalize:
    """Return the module that gives each channel of uint8 images ``[N, C, H, W]`` mean 0 and deviation 1."""
    means, stds = [], []
    levels = torch.arange(256, dtype=torch.float64) / 255.0
    for channel in range(x.shape[1]):
        counts = torch.zeros(256, dtype=torch.float64)
        for piece in torch.split(x[:, channel], 8192):
            counts += torch.bincount(piece.reshape(-1).long(), minlength=256)
        share = counts / counts.sum()
        mean = float((share * levels).sum())
        stds.append(max(float((share * (levels - mean) ** 2).sum()) ** 0.5, 1.0 / 255.0))
        means.append(mean)
    return PixelNormalize([round(m, 6) for m in means], [round(s, 6) for s in stds])


def fit_table(x: Tensor, columns: Sequence[Column]) -> TableNormalize:
    """Return the module that scales the numbers of raw rows ``[N, columns]`` by their quantiles."""
    numeric = [i for i, c in enumerate(columns) if c.kind == "numeric"]
    most = min(_MOST_PIECES, min(_ALL_PIECES, _ALL_FEATURES // max(1, len(x))) // max(1, len(numeric)))
    means, stds, knots, levels = [], [], [], []
    for i in numeric:
        values = x[:, i].double().numpy()
        values = values[~np.isnan(values)]
        mean, std = (float(values.mean()), float(values.std())) if len(values) else (0.0, 1.0)
        means.append(mean)
        stds.append(std if std > 1e-9 * max(1.0, abs(mean)) else max(1.0, abs(mean)))
        k, v = _quantile_map(values, most if most >= 4 else _MOST_PIECES)
        knots.append(k)
        levels.append(v)
    return TableNormalize(
        numeric=numeric,
        categorical=[i for i, c in enumerate(columns) if c.kind == "categorical"],
        mean=means,
        std=stds,
        cardinalities=[len(c.categories) + 1 for c in columns if c.kind == "categorical"],
        indicators=[i for i in numeric if columns[i].missing],
        knots=knots,
        levels=levels,
        pieces=most >= 4,
    )


def _quantile_map(values: NDArray[np.float64], pieces: int) -> tuple[list[float], list[float]]:
    """Return knots and levels of a map to nearly normal values with mean 0 and deviation 1; empty for a constant.

    Equal values share the middle of their ranks. A value weighs no more than a fiftieth of all, so that a column which
    is mostly 0 still gets knots, and room, for its other values.
    """
    distinct, counts = np.unique(values.astype(np.float32).astype(np.float64), return_counts=True)
    if len(distinct) > 1 and np.diff(distinct).min() < 1e-30:  # too near for float32 arithmetic to tell apart
        distinct, counts = np.unique(np.rint(values * 1e25) / 1e25, return_counts=True)
    if len(distinct) < 2:
        return [], []
    weight = np.minimum(counts, max(1.0, counts.sum() / 50))
    rank = (np.cumsum(weight) - weight / 2) / weight.sum()
    if len(distinct) > pieces + 1:
        inner = np.searchsorted(rank, np.linspace(0, 1, pieces + 1)[1:-1])
        chosen = np.unique(np.concatenate([[0], np.minimum(inner, len(distinct) - 1), [len(distinct) - 1]]))
        distinct, rank = distinct[chosen], rank[chosen]
    normal = NormalDist()
    level = np.array([normal.inv_cdf(min(max(r, 1e-3), 1 - 1e-3)) for r in rank])
    mapped = np.interp(values, distinct, level)
    level = (level - mapped.mean()) / max(float(mapped.std()), 1e-6)
    return [float(d) for d in distinct], [round(float(v), 6) for v in level]


def fit_weights(y: Tensor, classes: int) -> Tensor | None:
    """Return weights that give each class the same say where classes are very unequal, at most 50; else None."""
    counts = torch.bincount(y, minlength=classes).double().clamp(min=1)
    if float(counts.max() / counts.min()) < 10:
        return None
    return (counts.sum() / (classes * counts)).clamp(max=50).float()
