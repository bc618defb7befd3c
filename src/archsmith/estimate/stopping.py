"""Ending trainings that will not be among the best: rules over learning curves, around any evaluation."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from archsmith.run import DeadlineReached, Run
from archsmith.trial import Proposal

__all__ = ["Curve", "ExtrapolationRule", "MedianRule", "Stopping", "StoppingRule"]

_EXPONENTS = np.linspace(0.2, 2.0, 10)


@dataclass(frozen=True)
class Curve:
    """A learning curve: ``at`` is how far the training was at each point, ``losses`` what it had then, to minimise."""

    at: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]

    def best_until(self, place: float) -> float:
        """Return the least loss until then; infinite before the first point."""
        return float(self.losses[self.at <= place].min(initial=np.inf))

    def mean_until(self, place: float) -> float:
        """Return the mean of the losses until then; infinite before the first point."""
        until = self.losses[self.at <= place]
        return float(until.mean()) if len(until) else math.inf


StoppingRule = Callable[[Curve, Sequence[Curve]], bool]
"""Whether a training should end, by its own curve and those of all others, running ones too."""


@dataclass(frozen=True)
class MedianRule:
    """Ends a training whose best loss is worse than the median of others' running means then (Golovin et al., 2017).

    Its best is compared with means, as in Vizier: that is kinder than best against best, since a curve's mean lags
    behind it. Others count as far as they came at least as far. Nothing ends before ``others`` of them did, nor with
    fewer than ``points`` points of its own.
    """

    others: int = 5
    points: int = 2

    def __call__(self, curve: Curve, others: Sequence[Curve]) -> bool:
        """Return whether the training should end."""
        if len(curve.at) < self.points:
            return False
        now = curve.at[-1]
        then = [other.mean_until(now) for other in others if len(other.at) and other.at[-1] >= now]
        return len(then) >= self.others and curve.best_until(now) > float(np.median(then))


@dataclass(frozen=True)
class ExtrapolationRule:
    """Ends a training whose curve, drawn on to its ``end``, stays above the best of the others (Domhan et al., 2015).

    The curve is a power law ``a + b * at**-c``, fitted by least squares for each of ten exponents; the lowest of those
    that fit about as well as the best one is believed, less two of its residual deviations, so that a training ends
    only where even a kind reading of its curve is not enough. ``end`` is in the unit of the curve.
    """

    end: float
    points: int = 4

    def __call__(self, curve: Curve, others: Sequence[Curve]) -> bool:
        """Return whether the training should end."""
        kept = curve.at > 0
        at, losses = curve.at[kept], curve.losses[kept]
        best = min((float(other.losses.min(initial=np.inf)) for other in others), default=np.inf)
        if len(at) < max(self.points, 3) or not np.isfinite(best) or not np.isfinite(losses).all():
            return False
        fits = []
        for exponent in _EXPONENTS:
            features = np.column_stack([np.ones(len(at)), at**-exponent])
            (level, height), *_ = np.linalg.lstsq(features, losses, rcond=None)
            deviation = float(np.sqrt(((features @ [level, height] - losses) ** 2).sum() / (len(at) - 2)))
            fits.append((deviation, float(level + height * self.end**-exponent)))
        least = min(fits)[0]
        kind = min(final - 2 * deviation for deviation, final in fits if deviation <= 1.5 * least + 1e-12)
        return kind > best


@dataclass(frozen=True)
class Stopping:
    """An estimator around another: it lets ``rule`` end trainings by what they report with ``run.report``.

    The curve is column ``metric`` over column ``at`` of the ``metrics.csv`` that each trial writes into its own folder,
    beside those of all others, so this works the same in one process and in many. The training is told through
    ``run.interrupted()``, which trainings of this project look at after every step; your own evaluation may look at it
    too. The trial has then ended ``stopped``: it has no result, and its time was spent. Without a folder there are no
    curves, and nothing is ended.
    """

    evaluate: Callable[[Proposal, Run], Mapping[str, float]]
    rule: StoppingRule
    metric: str = "accuracy"
    direction: Literal["max", "min"] = "max"
    at: str = "epoch"

    def __call__(self, proposal: Proposal, run: Run) -> Mapping[str, float]:
        """Evaluate; raises ``DeadlineReached`` where the rule ended it."""
        if run.folder is None:
            return self.evaluate(proposal, run)
        watch = _Watch(self, run.folder)
        metrics = self.evaluate(proposal, replace(run, interrupted=lambda: run.interrupted() or watch()))
        if watch.ended:
            raise DeadlineReached(f"{type(self.rule).__name__}: its {self.metric} would not be among the best")
        return metrics


@dataclass
class _Watch:
    """Asks the rule whenever a trial has reported something new; a look that finds nothing new costs microseconds."""

    stopping: Stopping
    folder: Path
    ended: bool = False
    seen: int = -1
    read: dict[Path, tuple[int, Curve]] = field(default_factory=dict)

    def __call__(self) -> bool:
        size = _size(self.folder / "metrics.csv")
        if not self.ended and size > 0 and size != self.seen:
            self.seen = size
            beside = (path for path in self.folder.parent.glob("*/metrics.csv") if path.parent != self.folder)
            others = [self._curve(path) for path in beside]
            self.ended = self.stopping.rule(self._curve(self.folder / "metrics.csv"), others)
        return self.ended

    def _curve(self, path: Path) -> Curve:
        size = _size(path)
        if path not in self.read or self.read[path][0] != size:
            self.read[path] = size, _read(path, self.stopping)
        return self.read[path][1]


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _read(path: Path, stopping: Stopping) -> Curve:
    """Return the points of a curve that are complete; another process may be writing the last."""
    points = []
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            try:
                points.append((float(line[stopping.at]), float(line[stopping.metric])))
            except (KeyError, TypeError, ValueError):
                continue
    table = np.array(points, dtype=np.float64).reshape(-1, 2)
    return Curve(table[:, 0], -table[:, 1] if stopping.direction == "max" else table[:, 1])
