"""Losses as a model should see them: by rank, so that no outlier drowns what tells good from better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from archsmith.space.encode import Vector

__all__ = ["normal_scores"]


def normal_scores(values: Sequence[Any] | Vector) -> Vector:
    """Return the quantile of the normal distribution at the rank of each value; equal values share theirs.

    Scores are about standard normal whatever the losses are, and a network that learned nothing is merely the worst
    (the copula transformation; Salinas et al., 2020). Values only need an order: numbers, or tuples of such.
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    scores = np.empty(len(values))
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        scores[order[start:end]] = ((start + end) / 2) / len(values)
        start = end
    return np.asarray(ndtri(scores))
