"""Gaussian-process regression over an encoding of architectures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archsmith.predictors.encoding import Encoding
from archsmith.predictors.gaussian import Kernel, Posterior, learned
from archsmith.space import Arch
from archsmith.space.encode import Vector

__all__ = ["FittedProcess", "GaussianProcess"]


@dataclass(frozen=True)
class FittedProcess:
    """A Gaussian process conditioned on results; ``given`` conditions the same kernel on others, which is quick."""

    encoding: Encoding
    posterior: Posterior
    centre: float
    scale: float

    def predict(self, archs: Sequence[Arch]) -> tuple[Vector, Vector]:
        """Return the posterior mean and standard deviation of each architecture's loss, without measurement noise."""
        mean, std = self.posterior.mean_and_std(self.encoding.rows(archs))
        return self.centre + self.scale * mean, self.scale * std

    def given(self, archs: Sequence[Arch], losses: Sequence[float]) -> FittedProcess:
        """Return the process with the same kernel, conditioned on these results instead."""
        return _conditioned(self.encoding, self.posterior.kernel, archs, losses)


@dataclass(frozen=True)
class GaussianProcess:
    """Learns one weight per block of an encoding, and the noise of the measurements, by marginal likelihood.

    The kernel's settings are learned from the last ``most`` results at the utmost; the exact process is conditioned on
    all of them, at a cost of their number cubed.
    """

    encoding: Encoding
    most: int = 400

    def fit(self, archs: Sequence[Arch], losses: Sequence[float]) -> FittedProcess:
        """Learn the kernel from the results and condition on them."""
        targets = np.asarray(losses, dtype=np.float64)[-self.most :]
        rows = self.encoding.remembered(archs[-self.most :])
        terms = np.array(self.encoding.terms, dtype=np.int64)
        kernel = learned(rows, (targets - targets.mean()) / _scale(targets), self.encoding.groups, terms)
        return _conditioned(self.encoding, kernel, archs, losses)


def _scale(targets: Vector) -> float:
    return float(targets.std()) or 1.0


def _conditioned(encoding: Encoding, kernel: Kernel, archs: Sequence[Arch], losses: Sequence[float]) -> FittedProcess:
    targets = np.asarray(losses, dtype=np.float64)
    centre, scale = float(targets.mean()), _scale(targets)
    posterior = Posterior(kernel, encoding.remembered(archs), (targets - centre) / scale)
    return FittedProcess(encoding, posterior, centre, scale)
