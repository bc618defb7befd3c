"""Rules that tell from learning curves which training will not be among the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Curve", "ExtrapolationRule", "MedianRule", "StoppingRule"]

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
    behind it. Others count that have a mean by then and came at least as far: a resumed training's curve begins late.
    Nothing ends before ``others`` of them did, nor with fewer than ``points`` points of its own.
    """

    others: int = 5
    points: int = 2

    def __call__(self, curve: Curve, others: Sequence[Curve]) -> bool:
        """Return whether the training should end."""
        if len(curve.at) < self.points:
            return False
        now = curve.at[-1]
        then = [other.mean_until(now) for other in others if len(other.at) and other.at[0] <= now <= other.at[-1]]
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
