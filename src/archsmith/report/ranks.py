"""How well one score orders what another one orders: rank correlations, and the pairs to compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsmith.report.record import RunRecord, number_in, rows_in, spent
from archsmith.trial import Trial

__all__ = ["Pair", "fidelity_pairs", "kendall", "spearman"]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """The scores of one architecture: cheap, and after its full training. ``trial`` is the cheap one's number."""

    trial: int
    cheap: float
    full: float
    kind: str


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the rank correlation of ``x`` and ``y``, from -1 to 1; NaN for fewer than two pairs or no variation.

    Ties share their mean rank (Spearman, 1904).
    """
    if len(x) < 2:
        return math.nan
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else math.nan


def kendall(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Kendall's tau-b, from -1 to 1; NaN for fewer than two pairs or no variation (Kendall, 1945)."""
    if len(x) < 2:
        return math.nan
    upper = np.triu_indices(len(x), 1)
    a, b = np.asarray(x, float), np.asarray(y, float)
    s, t = np.sign(a[:, None] - a[None, :])[upper], np.sign(b[:, None] - b[None, :])[upper]
    scale = math.sqrt(float(s @ s) * float(t @ t))
    return float(s @ t) / scale if scale > 0 else math.nan


def fidelity_pairs(record: RunRecord) -> list[Pair]:
    """Return the architectures that have both a cheap score and a full training, by the main metric.

    Within the search: the lowest against the highest fidelity of the run. Beyond it: a finalist's best score of the
    search against the mean of its trainings from scratch; these pairs come last, with kind ``"finalist"``.
    """
    name = record.main.metric
    usable = [t for t in record.trials if t.state in ("complete", "cached") and name in t.metrics]
    by_arch: dict[str, list[Trial]] = {}
    for trial in usable:
        by_arch.setdefault(trial.arch.id, []).append(trial)
    highest = max((spent(t) for t in usable), default=0.0)
    pairs = []
    for trials in by_arch.values():
        low, high = min(trials, key=spent), max(trials, key=spent)
        if spent(low) < spent(high) == highest:
            pairs.append(Pair(low.number, low.metrics[name], high.metrics[name], "search"))
    searched = {t.number: t.metrics[name] for t in usable}
    for row in rows_in(record.result, "finalists"):
        number, full = number_in(row, "trial"), number_in(row, "mean")
        if number is not None and full is not None and int(number) in searched:
            pairs.append(Pair(int(number), searched[int(number)], full, "finalist"))
    return pairs


def _ranks(values: Sequence[float]) -> _Floats:
    array = np.asarray(values, float)
    ordered = np.sort(array)
    low, high = np.searchsorted(ordered, array, "left"), np.searchsorted(ordered, array, "right")
    return np.asarray((low + high + 1) / 2, dtype=np.float64)
