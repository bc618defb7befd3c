"""Gaussian processes: the mathematics, and what the kernel learns."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from archsmith.predictors import GaussianProcess, decisions
from archsmith.predictors.gaussian import Posterior, _kernel, _surprise, learned
from archsmith.space import Space, choice, sample
from archsmith.testing.predictor import CELL

GROUPS, TERMS = np.array([0, 0, 1, 2, 2]), np.array([0, 0, 1])


def some(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.random((n, 5))
    return rows, np.sin(5 * rows[:, 0]) + 0.1 * rng.standard_normal(n)


def test_the_gradient_of_the_likelihood_is_that_of_its_values() -> None:
    rows, targets = some(12)
    settings = np.array([0.1, -0.5, 0.3, 1.0, -0.2, -1.0])
    apart = check_grad(
        lambda s: _surprise(_kernel(s, GROUPS, TERMS), rows, targets)[0],
        lambda s: _surprise(_kernel(s, GROUPS, TERMS), rows, targets)[1],
        settings,
    )
    assert apart < 1e-4


def test_the_posterior_is_that_of_the_joint_normal_distribution() -> None:
    rows, targets = some(9)
    new, _ = some(4, seed=1)
    kernel = _kernel(np.array([0.1, -0.5, 0.3, 1.0, -0.2, -1.0]), GROUPS, TERMS)
    mean, std = Posterior(kernel, rows, targets).mean_and_std(new)
    everything = kernel.scaled(np.concatenate([rows, new]))
    joint = kernel.between(everything, everything)
    known = joint[:9, :9] + (kernel.noise + 1e-6) * np.eye(9)
    expected = joint[9:, :9] @ np.linalg.solve(known, targets)
    left = joint[9:, 9:] - joint[9:, :9] @ np.linalg.solve(known, joint[:9, 9:])
    assert np.allclose(mean, expected) and np.allclose(std, np.sqrt(np.diag(left)), atol=1e-5)


def test_a_block_that_matters_gets_a_greater_weight_and_noise_is_found() -> None:
    rows, targets = some(80)
    kernel = learned(rows[:, [0, 2]], (targets - targets.mean()) / targets.std(), np.array([0, 1]), np.array([0, 0]))
    assert kernel.weights[0] > 5 * kernel.weights[1]
    assert 0.003 < kernel.noise < 0.1  # 0.1 beside a deviation of about 0.7


def test_measurements_of_one_architecture_are_averaged() -> None:
    space = Space(a=choice("x", "y", name="a"))
    x, y = (
        next(a for a in map(lambda i: sample(space, np.random.default_rng(i)), range(9)) if a["a"] == v) for v in "xy"
    )
    fitted = GaussianProcess(decisions(space)).fit([x] * 20 + [y] * 20, [0.0, 1.0] * 10 + [2.0, 3.0] * 10)
    mean, std = fitted.predict([x, y])
    assert mean == pytest.approx([0.5, 2.5], abs=0.1)
    assert (std < 0.4).all()


def test_the_same_kernel_takes_other_results() -> None:
    rng = np.random.default_rng(0)
    archs = [sample(CELL, rng) for _ in range(40)]
    losses = [sum(o == "large" for o in arch.values()) * -1.0 for arch in archs]
    fitted = GaussianProcess(decisions(CELL)).fit(archs[:30], losses[:30])
    more = fitted.given(archs, losses)
    assert more.posterior.kernel is fitted.posterior.kernel
    apart = [np.abs(f.predict(archs[30:])[0] - losses[30:]).mean() for f in (fitted, more)]
    assert apart[1] < apart[0]
