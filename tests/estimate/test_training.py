"""What a training promises whatever the task: it learns, it ends, it says what happened, it leaves no trace."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from archsmith.errors import UsageError
from archsmith.estimate import Machine, Settings, evaluate, train
from archsmith.estimate.feed import make_feed, subset
from archsmith.task import Task

FAST = Settings(batch_size=32, warmup=5, augment="none")
Make = Callable[..., nn.Module]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_images_are_learned(images: Task, network: Make, machine: Machine, optimizer: str) -> None:
    settings = replace(FAST, optimizer=optimizer, augment="shift", ema=0.9)
    trained = train(network(), images, settings, machine=machine, seed=0, epochs=8)
    assert trained.metrics["accuracy"] > 0.9
    assert trained.metrics["epochs"] == 8.0 and trained.metrics["seconds_per_epoch"] > 0.0
    assert evaluate(trained.network, images, images.valid, machine)["accuracy"] == trained.metrics["accuracy"]


def test_numbers_are_learned(numbers: Task, regressor: Make, machine: Machine) -> None:
    trained = train(regressor(), numbers, replace(FAST, lr=0.05), machine=machine, seed=0, epochs=15)
    assert trained.metrics["r2"] > 0.95


def test_a_seed_says_everything(images: Task, network: Make, machine: Machine) -> None:
    settings = replace(FAST, augment="shift_cutout")
    a, b, c = (train(network(), images, settings, machine=machine, seed=s, epochs=2) for s in (3, 3, 4))
    weights = [torch.cat([p.flatten() for p in t.network.parameters()]) for t in (a, b, c)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_nothing_global_is_changed(images: Task, network: Make) -> None:
    generator, threads = torch.get_rng_state(), torch.get_num_threads()
    before = [p.clone() for p in images.preprocess.buffers()]
    train(network(), images, FAST, machine=Machine(threads=threads + 1), seed=0, epochs=1)
    assert torch.equal(generator, torch.get_rng_state()) and torch.get_num_threads() == threads
    assert all(torch.equal(a, b) for a, b in zip(before, images.preprocess.buffers(), strict=True))


def test_the_memory_format_does_not_change_what_is_learned(images: Task, network: Make) -> None:
    plain, last = (
        train(network(), images, replace(FAST, lr=0.01), machine=Machine(threads=1, channels_last=c), seed=0, epochs=1)
        for c in (False, True)
    )
    for a, b in zip(plain.network.parameters(), last.network.parameters(), strict=True):
        assert b.is_contiguous()
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_low_precision_still_learns(images: Task, network: Make) -> None:
    machine = Machine(threads=1, precision="bfloat16", channels_last=True)
    trained = train(network(), images, FAST, machine=machine, seed=0, epochs=6)
    assert trained.metrics["accuracy"] > 0.8
    assert {p.dtype for p in trained.network.parameters()} == {torch.float32}


def test_a_loss_that_leaves_the_numbers_ends_it_with_the_place(images: Task, network: Make, machine: Machine) -> None:
    wild = replace(FAST, lr=1e6, clip=0.0, weight_decay=10.0, warmup=0)
    trained = train(network(), images, wild, machine=machine, seed=0, epochs=50)
    assert trained.diverged is not None and trained.epochs < 50 and "accuracy" not in trained.metrics
    assert trained.diverged.lr > 0.0 and math.isfinite(trained.diverged.last_finite_loss)
    assert f"at step {trained.diverged.step}" in str(trained.diverged)


def test_a_fraction_of_an_epoch_is_that_many_steps(images: Task, network: Make, machine: Machine) -> None:
    trained = train(network(), images, FAST, machine=machine, seed=0, epochs=0.5)
    assert trained.epochs == pytest.approx(0.5) and math.isfinite(trained.metrics["train_loss"])


def test_seconds_end_it_before_they_are_over(images: Task, network: Make, machine: Machine) -> None:
    trained = train(network(), images, FAST, machine=machine, seed=0, seconds=1.0)
    assert trained.epochs > 1.0 and not trained.stopped
    assert trained.metrics["accuracy"] > 0.5
    assert trained.curve[-1]["epoch"] == trained.epochs


def test_every_row_of_the_curve_is_reported(images: Task, network: Make, machine: Machine) -> None:
    rows: list[dict[str, float]] = []
    trained = train(
        network(), images, FAST, machine=machine, seed=0, epochs=3, report=lambda row: rows.append(dict(row))
    )
    assert rows == [dict(row) for row in trained.curve]
    assert list(rows[-1])[:4] == ["epoch", "seconds", "train_loss", "accuracy"]
    assert rows[-1]["epoch"] == 3.0


def test_lower_resolution_trains_and_measures_smaller_pictures(images: Task, machine: Machine) -> None:
    seen: set[tuple[int, ...]] = set()
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))
    model.register_forward_pre_hook(lambda _, args: seen.add(tuple(args[0].shape[1:])))
    train(model, images, FAST, machine=machine, seed=0, epochs=1, resolution=8)
    assert seen == {(1, 8, 8)}


def test_parts_of_the_data_are_nested_and_keep_the_classes() -> None:
    y = torch.tensor([0] * 90 + [1] * 9 + [2])
    parts = [set(subset(y, f, True).tolist()) for f in (0.01, 0.1, 0.5, 1.0)]
    assert all(a < b for a, b in itertools.pairwise(parts))
    assert [len(p) for p in parts] == [3, 9 + 1 + 1, 45 + 5 + 1, 100]
    assert set(subset(y.float(), 0.1, False).tolist()) < set(subset(y.float(), 0.3, False).tolist())


def test_batches_leave_hardly_a_sample_out(images: Task, machine: Machine) -> None:
    for size in (7, 50, 100, 150, 1000):
        feed = make_feed(images, replace(FAST, batch_size=size), machine, 1.0, None)
        assert feed.steps * feed.batch > 0.9 * len(images.train)
        assert feed.steps * feed.batch <= len(images.train)
    assert sorted(feed.order(0, 1).tolist()) == list(range(len(images.train)))
    assert not torch.equal(feed.order(0, 1), feed.order(1, 1))


def test_the_dropout_of_the_recipe_overrides_the_network(images: Task, network: Make, machine: Machine) -> None:
    trained = train(network(), images, replace(FAST, dropout=0.6), machine=machine, seed=0, epochs=0.2)
    assert [m.p for m in trained.network.modules() if isinstance(m, nn.Dropout)] == [0.6]


def test_given_weights_are_where_it_starts(images: Task, network: Make, machine: Machine) -> None:
    gentle = replace(FAST, lr=1e-9, weight_decay=0.0)
    first = train(network(0), images, FAST, machine=machine, seed=0, epochs=6)
    start = {name: value.clone() for name, value in first.network.state_dict().items()}
    second = train(network(1), images, gentle, machine=machine, seed=0, epochs=0.2, start=start)
    for name, value in second.network.named_parameters():
        torch.testing.assert_close(value, start[name])


@pytest.mark.parametrize("budget", [{}, {"epochs": 1, "seconds": 1}, {"epochs": 0}, {"seconds": -1.0}])
def test_the_budget_is_one_number_above_nothing(
    images: Task, network: Make, machine: Machine, budget: dict[str, float]
) -> None:
    with pytest.raises(UsageError, match="either epochs or seconds"):
        train(network(), images, FAST, machine=machine, seed=0, **budget)
