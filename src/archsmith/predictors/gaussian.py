"""Exact Gaussian processes over rows of numbers, with kernel settings by marginal likelihood."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

from archsmith.space.encode import Vector

__all__ = ["Kernel", "Posterior", "Together", "learned"]

_JITTER = 1e-6
_STEPS = 40
_NOISE = 0.15
_SPREAD = 1.5
_SPREAD_OF_WEIGHTS = 1.0


@dataclass(frozen=True, eq=False)
class Kernel:
    """A sum over terms of ``variance * exp(-sum of weight * squared distance)`` over blocks of columns, and noise.

    ``groups`` is the block of each column, ``[columns]``; ``weights`` has one entry per block, ``terms`` says which
    term each block is in, and ``variances`` has one entry per term. On one-hot blocks a term is a product over the
    decisions of "the same, or how different": the losses of two architectures agree the more, the more of their
    weighty decisions agree (Rasmussen and Williams, 2006, chapters 2 and 5).
    """

    groups: np.ndarray
    terms: np.ndarray
    weights: Vector
    variances: Vector
    noise: float = 0.1

    @property
    def variance(self) -> float:
        """The variance before anything is observed."""
        return float(self.variances.sum())

    def scaled(self, rows: Vector) -> list[Vector]:
        """Return, per term, rows whose plain squared distance is the weighted one."""
        factors = np.sqrt(self.weights)[self.groups]
        of = self.terms[self.groups]
        return [rows[:, of == term] * factors[of == term] for term in range(len(self.variances))]

    def signals(self, a: list[Vector], b: list[Vector]) -> list[Vector]:
        """Return, per term, the covariance of each row of ``a`` with each of ``b``, both ``scaled``."""
        found = []
        for left, right, variance in zip(a, b, self.variances.tolist(), strict=True):
            squares = (left * left).sum(1)[:, None] + (right * right).sum(1)[None]
            found.append(variance * np.exp(-np.maximum(squares - 2 * left @ right.T, 0.0)))
        return found

    def between(self, a: list[Vector], b: list[Vector]) -> Vector:
        """Return the covariance of each row of ``a`` with each of ``b``, both ``scaled``: ``[len(a), len(b)]``."""
        return np.asarray(sum(self.signals(a, b)))


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is known after ``targets`` were observed at ``rows``, under a kernel; targets are centred by the caller."""

    kernel: Kernel
    rows: Vector
    targets: Vector

    @cached_property
    def _scaled(self) -> list[Vector]:
        return self.kernel.scaled(self.rows)

    @cached_property
    def _factor(self) -> Vector:
        covariance = self.kernel.between(self._scaled, self._scaled)
        covariance[np.diag_indices_from(covariance)] = self.kernel.variance + self.kernel.noise + _JITTER
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)

    @cached_property
    def _weights(self) -> Vector:
        return np.asarray(cho_solve((self._factor, True), self.targets))

    def mean(self, rows: Vector) -> Vector:
        """Return the expected value at each row, without noise: ``[len(rows)]``."""
        return self.kernel.between(self.kernel.scaled(rows), self._scaled) @ self._weights

    def mean_and_std(self, rows: Vector) -> tuple[Vector, Vector]:
        """Return the expected value at each row and its standard deviation, without noise."""
        across = self.kernel.between(self.kernel.scaled(rows), self._scaled)
        known = solve_triangular(self._factor, across.T, lower=True, check_finite=False)
        variance = self.kernel.variance - (known * known).sum(0)
        return across @ self._weights, np.sqrt(np.maximum(variance, 1e-12))


@dataclass
class Together:
    """The joint posterior of some rows; ``observe`` takes note that one of them will be known.

    What is not measured yet is believed to be as expected, so that means stay and deviations shrink: several proposals
    of one batch, and what is running, do not crowd in one place (kriging believer; Ginsbourger et al., 2010).
    """

    posterior: Posterior
    rows: Vector
    mean: Vector = field(init=False)
    variance: Vector = field(init=False)
    _scaled: list[Vector] = field(init=False, repr=False)
    _known: Vector = field(init=False, repr=False)

    def __post_init__(self) -> None:
        kernel = self.posterior.kernel
        self._scaled = kernel.scaled(self.rows)
        across = kernel.between(self._scaled, self.posterior._scaled)
        self.mean = across @ self.posterior._weights
        self._known = solve_triangular(self.posterior._factor, across.T, lower=True, check_finite=False)
        self.variance = kernel.variance - (self._known * self._known).sum(0)

    @property
    def std(self) -> Vector:
        """The standard deviation at each row, given what was observed."""
        return np.sqrt(np.maximum(self.variance, 1e-12))

    def observe(self, place: int) -> None:
        """Take note that the row at this place will be measured."""
        kernel = self.posterior.kernel
        across = kernel.between(self._scaled, [part[place : place + 1] for part in self._scaled])[:, 0]
        left = across - self._known.T @ self._known[:, place]
        gained = left / np.sqrt(max(float(self.variance[place]), 1e-12) + kernel.noise)
        self._known = np.vstack([self._known, gained])
        self.variance = self.variance - gained * gained


def learned(rows: Vector, targets: Vector, groups: np.ndarray, terms: np.ndarray, noise: float = _NOISE) -> Kernel:
    """Return the kernel under which the targets are most likely, given what is plausible before: a MAP estimate.

    The logarithms of all settings have normal priors: a block's weight around an even share of 2 within its term, the
    terms' variances around an even share of 1, the noise around ``noise``. Targets should have about zero mean and
    unit variance.
    """
    number = max(int(terms.max(initial=0)) + 1, 1)
    share = np.log(2.0 / np.maximum(np.bincount(terms, minlength=number), 1))[terms]
    middle = np.array([*[-np.log(number)] * number, *share, np.log(noise)])
    spread = np.array([*[_SPREAD] * number, *[_SPREAD_OF_WEIGHTS] * len(terms), _SPREAD])

    def loss(settings: Vector) -> tuple[float, Vector]:
        value, slope = _surprise(_kernel(settings, groups, terms), rows, targets)
        apart = (settings - middle) / spread
        return value + 0.5 * float(apart @ apart), slope + apart / spread

    bounds = [(-8.0, 6.0)] * len(middle)
    found = minimize(loss, middle, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}).x
    return _kernel(found, groups, terms)


def _kernel(settings: Vector, groups: np.ndarray, terms: np.ndarray) -> Kernel:
    values = np.exp(settings)
    number = len(settings) - len(terms) - 1
    return Kernel(groups, terms, values[number:-1], values[:number], float(values[-1]))


def _surprise(kernel: Kernel, rows: Vector, targets: Vector) -> tuple[float, Vector]:
    """Return the negative log marginal likelihood, less a constant, and its gradient by the settings' logarithms."""
    scaled = kernel.scaled(rows)
    signals = kernel.signals(scaled, scaled)
    covariance = np.asarray(sum(signals))
    covariance[np.diag_indices_from(covariance)] += kernel.noise + _JITTER
    factor, failed = lapack.dpotrf(covariance, lower=1, clean=1)
    if failed:
        return 1e10, np.zeros(len(signals) + len(kernel.weights) + 1)
    solved = cho_solve((factor, True), targets, check_finite=False)
    lower, _ = lapack.dpotri(factor, lower=1)
    pull = 0.5 * (lower + np.tril(lower, -1).T - np.outer(solved, solved))
    value = 0.5 * float(targets @ solved) + float(np.log(np.diag(factor)).sum())
    variances, weights = [], np.zeros(len(kernel.weights))
    for term, (signal, columns) in enumerate(zip(signals, scaled, strict=True)):
        against = pull * signal
        variances.append(against.sum())
        # The derivative of a squared distance, column by column, without a matrix for each.
        slopes = 2.0 * (against.sum(1) @ (columns * columns) - (columns * (against @ columns)).sum(0))
        of = kernel.groups[kernel.terms[kernel.groups] == term]
        weights -= np.bincount(of, slopes, minlength=len(weights))
    return value, np.array([*variances, *weights, kernel.noise * np.trace(pull)])
