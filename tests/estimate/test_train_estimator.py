"""A proposal in, metrics out: through the space, the fidelity, the folder of the trial."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.errors import UsageError
from archsmith.estimate import CHECKPOINT, Machine, Settings, TrainEstimator, load_weights
from archsmith.run import Diverged, Run
from archsmith.space import Arch, Space, call, choice, real, sample
from archsmith.task import Task
from archsmith.trial import Evaluate

WIDTH = choice(4, 8, name="width")
SPACE = Space(
    model=call(
        nn.Sequential,
        call(nn.Conv2d, 1, WIDTH, 3, bias=False),
        call(nn.BatchNorm2d, WIDTH),
        call(nn.ReLU),
        call(nn.AdaptiveAvgPool2d, 2),
        call(nn.Flatten),
        call(nn.Linear, WIDTH * 4, 4),
    ),
    lr=real(0.05, 0.2, log=True, name="lr"),
    augment="none",
    batch_size=32,
)


@pytest.fixture
def estimator(images: Task) -> TrainEstimator:
    return TrainEstimator(images, SPACE, Machine(threads=1), full_epochs=4)


def arch() -> Arch:
    return sample(SPACE, np.random.default_rng(0))


def test_the_metrics_are_those_of_the_task_and_of_the_cost(estimator: TrainEstimator, tmp_path: Path) -> None:
    metrics = estimator(Evaluate(arch()), Run(trial=0, seed=5, folder=tmp_path))
    assert {"accuracy", "log_loss", "train_loss", "epochs", "seconds", "seconds_per_epoch"} <= set(metrics)
    assert metrics["epochs"] == 4.0
    assert (tmp_path / "metrics.csv").read_text().startswith("epoch,seconds,train_loss,accuracy")
    assert load_weights(tmp_path / CHECKPOINT)


def test_settings_come_from_the_space_and_the_rest_from_the_defaults(estimator: TrainEstimator) -> None:
    proposal = Evaluate(arch())
    chosen = estimator.settings(proposal)
    assert chosen.lr == arch()["lr"] and chosen.batch_size == 32
    assert chosen.optimizer == Settings().optimizer
    assert 0 < chosen.warmup < 4 * 6


def test_a_promotion_is_the_training_that_had_the_epochs_from_the_start(
    estimator: TrainEstimator, tmp_path: Path
) -> None:
    straight = estimator.train(Evaluate(arch(), {"epochs": 4}), Run(0, seed=1))
    estimator(Evaluate(arch(), {"epochs": 1}), Run(1, seed=1, folder=tmp_path / "1"))
    promoted = estimator.train(
        Evaluate(arch(), {"epochs": 4}, resume=1), Run(2, seed=2, folder=tmp_path / "2", resume_folder=tmp_path / "1")
    )
    assert promoted.resumed
    for a, b in zip(straight.network.parameters(), promoted.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_fidelity_is_understood_and_others_get_the_nearest(estimator: TrainEstimator) -> None:
    fidelity = {"epochs": 0.5, "data_fraction": 0.5, "resolution": 8.0}
    assert estimator(Evaluate(arch(), fidelity), Run(0, seed=0))["epochs"] == pytest.approx(0.5, abs=0.2)
    with pytest.raises(UsageError, match="Did you mean 'epochs'"):
        estimator(Evaluate(arch(), {"epoch": 1}), Run(0, seed=0))


def test_divergence_is_an_error_with_the_step(images: Task) -> None:
    wild = Settings(clip=0.0, weight_decay=10.0, batch_size=32)
    space = Space(model=SPACE.roots["model"], lr=1e6)
    estimator = TrainEstimator(images, space, Machine(threads=1), full_epochs=60, defaults=wild)
    with pytest.raises(Diverged, match=r"trial 7 diverged: .* at step \d+ with learning rate"):
        estimator(Evaluate(sample(space, np.random.default_rng(0))), Run(7, seed=0))
