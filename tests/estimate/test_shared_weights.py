"""Training a bank, measuring architectures on it, and searching its gates."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from archsmith.build import RELAXATIONS, Bank, Gates, expected_cost, partial_channels, recalibrate, relaxable
from archsmith.errors import SpaceError, StoreError, UsageError
from archsmith.estimate import (
    Machine,
    Settings,
    SharedEstimator,
    TrainEstimator,
    added,
    evaluate,
    fair,
    sandwich,
    search_by,
    search_gates,
    train_bank,
)
from archsmith.space import Arch, Space, call, choice, enumerate_archs
from archsmith.strategy import RandomSearch, Sharing, SuccessiveHalving
from archsmith.study import Study
from archsmith.task import Task
from archsmith.testing.estimator import ESTIMATOR_LAWS, EstimatorLaw
from archsmith.trial import Evaluate, maximize


class Blank(nn.Module):
    """An option that keeps nothing of the picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2, 3), keepdim=True).expand(-1, self.width, *x.shape[2:])


WIDTH = choice(4, 8, name="width")
SPACE = Space(
    model=call(
        nn.Sequential,
        call(nn.Conv2d, 1, WIDTH, choice(3, 5, name="kernel"), padding="same", bias=False),
        call(nn.BatchNorm2d, WIDTH),
        choice(relu=call(nn.ReLU), silu=call(nn.SiLU), name="act"),
        call(nn.AdaptiveAvgPool2d, 2),
        call(nn.Flatten),
        call(nn.Linear, WIDTH * 4, 4),
    )
)
BODY = choice(
    blank=call(Blank, 8),
    conv=call(nn.Conv2d, 1, 8, 3, padding=1),
    wide=call(nn.Conv2d, 1, 8, 9, padding=4),
    name="body",
)
RELAXED = Space(
    model=call(
        nn.Sequential, BODY, call(nn.ReLU), call(nn.AdaptiveAvgPool2d, 2), call(nn.Flatten), call(nn.Linear, 32, 4)
    )
)
BY_RUN = Space.from_function(lambda pick: nn.Sequential(nn.Flatten(), nn.Linear(144, pick("width", 4, 8))))
RECIPE = Settings(lr=0.1, batch_size=32, augment="none", warmup=5)
MACHINE = Machine(threads=1)


def trained(task: Task, **options: Any) -> Bank:
    bank = Bank(SPACE)
    train_bank(bank, task, RECIPE, machine=MACHINE, seed=0, **{"epochs": 6, **options})
    return bank


@pytest.fixture(scope="module")
def bank(images: Task) -> Bank:
    return trained(images)


def test_one_training_serves_every_architecture(bank: Bank, images: Task) -> None:
    estimator = SharedEstimator(images, bank, MACHINE)
    assert min(estimator.score(arch)["accuracy"] for arch in enumerate_archs(SPACE)) > 0.8


@pytest.mark.parametrize("law", ESTIMATOR_LAWS, ids=lambda law: law.__name__)
def test_measuring_on_a_bank_keeps_the_laws_of_estimators(law: EstimatorLaw, bank: Bank, images: Task) -> None:
    law(lambda: (SharedEstimator(images, bank, MACHINE), Evaluate(next(enumerate_archs(SPACE)))))


def test_any_strategy_searches_on_shared_weights(bank: Bank, images: Task) -> None:
    estimator = SharedEstimator(images, bank, MACHINE)
    study = Study(SPACE, RandomSearch(SPACE), estimator, objectives=[maximize("accuracy")]).run(trials=6)
    assert study.best.metrics == estimator.score(study.best.arch)


@pytest.mark.parametrize(
    "options", [{"sampler": fair}, {"sampler": sandwich, "distil": True}], ids=["fair", "sandwich"]
)
def test_several_networks_a_step_train_the_bank_as_well(options: Any, images: Task) -> None:
    estimator = SharedEstimator(images, trained(images, **options, epochs=4), MACHINE)
    assert min(estimator.score(arch)["accuracy"] for arch in enumerate_archs(SPACE)) > 0.8


def test_equal_seeds_train_equal_banks_and_leave_the_global_generators_alone(images: Task) -> None:
    before = torch.get_rng_state()
    first, second = (trained(images, epochs=1).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_interrupted_training_goes_on_exactly(images: Task, tmp_path: Path) -> None:
    stops = iter([False] * 9 + [True] * 1000)
    bank = Bank(SPACE)
    options: dict[str, Any] = {"machine": MACHINE, "seed": 0, "epochs": 2, "checkpoint": tmp_path}
    assert train_bank(bank, images, RECIPE, **options, interrupted=lambda: next(stops)).stopped
    again = Bank(SPACE, seed=5)
    assert train_bank(again, images, RECIPE, **options, resume=tmp_path).resumed
    whole = trained(images, epochs=2)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))


def test_a_bank_that_grows_while_it_trains_goes_on(images: Task) -> None:
    bank = Bank(SPACE, survey=False)
    smallest_first = iter(sorted(enumerate_archs(SPACE), key=lambda arch: (arch["width"], arch["kernel"])) * 20)
    train_bank(
        bank,
        images,
        RECIPE,
        machine=MACHINE,
        seed=0,
        epochs=2,
        sampler=lambda space, rng, progress: [next(smallest_first)],
    )
    assert SharedEstimator(images, bank, MACHINE).score(next(enumerate_archs(SPACE)))["accuracy"] > 0.5


def test_a_score_is_that_of_the_extracted_network_with_statistics_of_its_own(bank: Bank, images: Task) -> None:
    estimator = SharedEstimator(images, bank, MACHINE)
    for arch in enumerate_archs(SPACE):
        network = bank.extract(arch)
        recalibrate(network, estimator._calibration)
        assert estimator.score(arch) == evaluate(network, images, images.valid, MACHINE)


def test_mixed_samples_cannot_be_taught_by_the_largest_network(images: Task) -> None:
    with pytest.raises(UsageError, match="set mixup to 0"):
        train_bank(
            Bank(SPACE), images, Settings(mixup=0.2), machine=MACHINE, seed=0, epochs=1, sampler=sandwich, distil=True
        )


def test_what_no_bank_can_lend_is_refused_when_the_study_is_made(images: Task, tmp_path: Path) -> None:
    kernel = choice(2, 3, name="kernel")
    space = Space(model=call(nn.Sequential, call(nn.Conv2d, 1, 4, kernel), call(nn.AdaptiveAvgPool2d, 1)))
    words = r"made at model/0\) cannot be shared.*must be odd, or all even"
    with pytest.raises(SpaceError, match=words):
        Bank(space)
    bank = Bank(space, survey=False)
    bank.reserve(Arch({"kernel": 3}))
    with pytest.raises(SpaceError, match=words):
        Study(space, RandomSearch(space), SharedEstimator(images, bank, MACHINE))
    bank.save(tmp_path)
    trained_alone = TrainEstimator(images, space, MACHINE, full_epochs=1)
    sharing = SuccessiveHalving(Sharing(RandomSearch(space), weights=str(tmp_path)))
    with pytest.raises(SpaceError, match=words):
        Study(space, sharing, trained_alone)
    with pytest.raises(StoreError, match="no usable bank"):
        Study(space, Sharing(RandomSearch(space), weights=str(tmp_path / "none")), trained_alone)
    Study(space, RandomSearch(space), trained_alone).close()
    with pytest.raises(SpaceError, match=r"made at model\) has no size before the first batch.*LazyLinear"):
        Bank(Space(model=call(nn.LazyLinear, choice(2, 3, name="width"))))


@pytest.mark.parametrize("method", ["gdas", "darts", "pcdarts"])
def test_options_that_cannot_be_added_up_are_refused_before_the_first_step(method: str, images: Task) -> None:
    options = {"same": call(nn.Conv2d, 4, 4, 3, padding=1), "smaller": call(nn.Conv2d, 4, 4, 3)}
    body = [call(nn.Conv2d, 1, 4, 1), choice(name="kind", **options), call(nn.AdaptiveAvgPool2d, 1)]
    space = Space(model=call(nn.Sequential, *body, call(nn.Flatten)))
    for gates in (
        Gates(relaxable(space).values(), RELAXATIONS[method]),
        Gates(relaxable(space).values(), RELAXATIONS[method], mix=partial_channels(4)),
    ):
        with pytest.raises(SpaceError, match=r"options at model/1 cannot be mixed.*projection of their own"):
            search_gates(Bank(space), gates, images, RECIPE, machine=MACHINE, seed=0, epochs=1)
        assert not gates.weights
    with pytest.raises(SpaceError, match="define-by-run space cannot be relaxed"):
        search_by(method, Bank(BY_RUN), images, RECIPE, machine=MACHINE, seed=0, epochs=1)


def searched(task: Task, method: str, **options: Any) -> str:
    bank = Bank(RELAXED)
    gates = Gates(relaxable(RELAXED).values(), RELAXATIONS[method])
    found = search_gates(
        bank, gates, task, RECIPE, machine=MACHINE, seed=0, **{"epochs": 5, "gate_rate": 0.1, **options}
    )
    assert len(found.curve) == options.get("epochs", 5)
    return str(found.answers["body"])


@pytest.mark.parametrize("method", RELAXATIONS)
def test_every_differentiable_method_avoids_the_option_that_cannot_work(method: str, images: Task) -> None:
    assert searched(images, method) != "blank"


def test_the_second_order_search_finds_what_the_first_does(images: Task) -> None:
    assert searched(images, "darts", second_order=True, epochs=3) != "blank"


def test_a_penalty_on_the_expected_cost_leads_to_the_cheap_option(images: Task) -> None:
    gates = Gates(relaxable(RELAXED).values(), RELAXATIONS["darts"])
    expected = expected_cost(RELAXED, gates, images.spec.input_shape)
    chosen = searched(images, "darts", goal=added(expected, 1e-3))
    assert chosen == "blank"


def test_a_differentiable_search_repeats_exactly(images: Task) -> None:
    def run() -> list[torch.Tensor]:
        gates = Gates(relaxable(RELAXED).values(), RELAXATIONS["gdas"])
        search_gates(Bank(RELAXED), gates, images, RECIPE, machine=MACHINE, seed=0, epochs=1)
        return [p.detach() for p in gates.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))
