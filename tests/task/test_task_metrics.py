"""Losses and metrics agree with their definitions, and the metric to choose by with the data."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.task import Task, baseline, load, loss, main_objective, metrics

RNG = np.random.default_rng(0)


def classes(shares: tuple[int, ...] = (50, 50, 50)) -> Task:
    y = np.repeat(np.arange(len(shares)), shares)
    return load((RNG.normal(size=(len(y), 2)), y))


def numbers() -> Task:
    return load((RNG.normal(size=(200, 2)), 100 + 10 * RNG.normal(size=200)))


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_classification_metrics_by_definition(pairs: list[tuple[int, int]]) -> None:
    task = TASK
    y, guess = (torch.tensor(v) for v in zip(*pairs, strict=True))
    found = metrics(task, 9.0 * torch.nn.functional.one_hot(guess, 3), y)
    recalls, scores = [], []
    for k in range(3):
        true, said = (y == k), (guess == k)
        both = int((true & said).sum())
        if true.any():
            recalls.append(both / int(true.sum()))
        if true.any() or said.any():
            scores.append(2 * both / int(true.sum() + said.sum()))
    assert found["accuracy"] == pytest.approx(float((y == guess).float().mean()), abs=1e-6)
    assert found["balanced_accuracy"] == pytest.approx(sum(recalls) / len(recalls))
    assert found["macro_f1"] == pytest.approx(sum(scores) / len(scores))


def test_regression_metrics_are_in_the_unit_of_the_target() -> None:
    task = numbers()
    y = task.valid.y
    perfect = ((y - task.center) / task.scale)[:, None]
    assert metrics(task, perfect, y) == pytest.approx({"rmse": 0, "mae": 0, "r2": 1}, abs=1e-5)
    off = metrics(task, perfect + 2 / task.scale, y)
    assert off["rmse"] == pytest.approx(2, rel=1e-4)
    assert off["mae"] == pytest.approx(2, rel=1e-4)
    torch.testing.assert_close(task.postprocess(perfect)[:, 0], y)


def test_outputs_that_are_not_finite_give_nan_not_a_score() -> None:
    bad = torch.zeros(3, 3)
    bad[1, 2] = math.nan
    assert all(math.isnan(v) for v in metrics(TASK, bad, torch.tensor([0, 1, 2])).values())
    task = numbers()
    assert math.isnan(metrics(task, torch.full((3, 1), math.inf), torch.ones(3))["r2"])


def test_losses() -> None:
    y = torch.tensor([0, 1, 2])
    outputs = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = -outputs.log_softmax(1)[torch.arange(3), y]
    torch.testing.assert_close(loss(TASK, outputs, y), expected.mean())
    weights = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(loss(TASK, outputs, y, weights=weights), (expected * weights).sum() / 6)
    smooth = 0.9 * expected.mean() + 0.1 * -outputs.log_softmax(1).mean()
    torch.testing.assert_close(loss(TASK, outputs, y, label_smoothing=0.1), smooth)
    task = numbers()
    assert float(loss(task, torch.zeros(len(task.train), 1), task.train.y)) == pytest.approx(1, rel=0.02)


def test_the_metric_to_choose_by_follows_the_data() -> None:
    assert main_objective(TASK).metric == "accuracy"
    assert TASK.class_weights is None
    rare = classes((200, 12))
    assert rare.unbalanced
    assert main_objective(rare).metric == "balanced_accuracy"
    assert rare.class_weights is not None
    counts = torch.bincount(rare.train.y)
    assert (rare.class_weights * counts).tolist() == pytest.approx([len(rare.train) / 2] * 2)
    assert any("very unequal" in note for note in rare.notes)
    objective = main_objective(numbers())
    assert (objective.metric, objective.direction) == ("rmse", "min")


def test_the_baseline_is_the_best_constant() -> None:
    task = classes((100, 50))
    found = baseline(task)
    assert found["accuracy"] == pytest.approx(float((task.valid.y == 0).float().mean()))
    assert found["balanced_accuracy"] == 0.5
    assert baseline(numbers())["r2"] == pytest.approx(0, abs=0.1)


TASK = classes()
