"""Samplers that look at the bank: attentive ones, and those that a strategy drives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.build import Bank
from archsmith.errors import UsageError
from archsmith.estimate import (
    SAMPLERS,
    Driven,
    Machine,
    Settings,
    attentive,
    make_sampler,
    shrinking_phases,
    train_bank,
    validation_score,
)
from archsmith.space import Arch, Space, call, choice, enumerate_archs, largest, repeat, smallest
from archsmith.strategy import RandomSearch, RegularizedEvolution, Strategy
from archsmith.strategy.reinforce import Reinforce
from archsmith.task import Task
from archsmith.testing.sampler import SAMPLER_LAWS, SamplerLaw

MACHINE = Machine(threads=1)
RECIPE = Settings(lr=0.1, batch_size=32, augment="none", warmup=5)
WIDTH = choice(4, 8, name="width")
SPACE = Space(
    model=call(
        nn.Sequential,
        call(nn.Conv2d, 1, WIDTH, choice(3, 5, name="kernel"), padding="same", bias=False),
        call(nn.BatchNorm2d, WIDTH),
        choice(relu=call(nn.ReLU), silu=call(nn.SiLU), name="act"),
        repeat([call(nn.ReLU)] * 3, choice(1, 2, 3, name="depth")),
        call(nn.AdaptiveAvgPool2d, 2),
        call(nn.Flatten),
        call(nn.Linear, WIDTH * 4, 4),
    )
)


def width_and_kernel(arch: Arch, rng: np.random.Generator) -> float:
    return float(arch["width"] * 10 + arch["kernel"])  # type: ignore[operator]


@pytest.mark.parametrize("best", [True, False])
def test_attentive_paths_are_the_best_or_worst_of_the_candidates_between_the_extremes(best: bool) -> None:
    rng = np.random.default_rng(0)
    means = []
    for candidates in (1, 8):
        drawn = [attentive(width_and_kernel, candidates, best)(SPACE, rng, 0.0) for _ in range(50)]
        assert all((archs[0], len(archs)) == (largest(SPACE), 4) for archs in drawn)
        assert all(archs[-1] == Arch({**smallest(SPACE), "act": archs[-1]["act"]}) for archs in drawn)
        means.append(np.mean([width_and_kernel(arch, rng) for archs in drawn for arch in archs[1:-1]]))
    assert (means[1] > means[0] + 10) if best else (means[1] < means[0] - 10)


@pytest.mark.parametrize("law", SAMPLER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_by_name_keeps_the_laws(name: str, law: SamplerLaw) -> None:
    law(lambda: make_sampler(name, SPACE, width_and_kernel, Reinforce(SPACE, again=True, entropy=100.0)), SPACE)


def test_what_a_sampler_needs_is_asked_for_by_name() -> None:
    with pytest.raises(UsageError, match="no path sampler called 'spots'"):
        make_sampler("spots", SPACE)
    with pytest.raises(UsageError, match="'attentive' needs a score"):
        make_sampler("attentive", SPACE)
    with pytest.raises(UsageError, match="'enas' needs a strategy"):
        make_sampler("enas", SPACE, width_and_kernel)


def test_candidates_of_attentive_paths_are_alike() -> None:
    seen: list[Arch] = []

    def noted(arch: Arch, rng: np.random.Generator) -> float:
        seen.append(arch)
        return 0.0

    wide = Space(**{f"x{i}": choice(1, 2, 3, name=f"x{i}") for i in range(8)})
    attentive(noted, 5)(wide, np.random.default_rng(0), 0.0)
    assert len(seen) == 10
    assert all(sum(a[key] != seen[0][key] for key in wide.decisions) in (0, 2) for a in seen[:5])


def test_shrinking_opens_kernels_then_depths_then_widths() -> None:
    sampler, rng = shrinking_phases(SPACE), np.random.default_rng(0)
    most = largest(SPACE)
    closings = ({"kernel", "depth", "width"}, {"depth", "width"}, {"width"}, set(), set())
    for progress, closed in zip((0.0, 0.3, 0.6, 0.8, 1.0), closings, strict=True):
        drawn = [arch for _ in range(40) for arch in sampler(SPACE, rng, progress)]
        assert drawn[0] == most, "it teaches the others"
        varying = {key for key in most if len({arch[key] for arch in drawn}) > 1}
        assert varying == {"kernel", "act", "depth", "width"} - closed
        assert all(arch[key] == most[key] for arch in drawn for key in closed)


@pytest.mark.parametrize("name", [None, "k1"])
def test_a_kernel_is_told_by_what_the_layer_takes_it_for(name: str | None) -> None:
    width = choice(4, 8, name="w1")
    space = Space(
        model=call(nn.Sequential, call(nn.Conv2d, 1, width, choice(3, 5, name=name)), call(nn.Conv2d, width, 4, 1))
    )
    [key] = [key for key, decision in space.decisions.items() if decision.options == (3, 5)]
    drawn = [a for seed in range(40) for a in shrinking_phases(space)(space, np.random.default_rng(seed), 0.3)]
    assert {arch[key] for arch in drawn} == {3, 5}


def test_a_controller_learns_to_draw_what_scores_well() -> None:
    sampler, rng = Driven(Reinforce(SPACE, again=True), width_and_kernel), np.random.default_rng(0)
    scores = [width_and_kernel(sampler(SPACE, rng)[0], rng) for _ in range(120)]
    evenly = np.mean([width_and_kernel(arch, rng) for arch in enumerate_archs(SPACE)])
    assert np.mean(scores[-20:]) > evenly + 15


@pytest.mark.parametrize("strategy", [RandomSearch(SPACE), RegularizedEvolution(SPACE, population=6, sample=2)])
def test_any_strategy_drives_the_paths_until_it_has_no_more(strategy: Strategy) -> None:
    sampler, rng = Driven(strategy, width_and_kernel, every=2), np.random.default_rng(0)
    drawn = [sampler(SPACE, rng)[0] for _ in range(30)]
    assert len(sampler.log) == 15
    assert set(drawn) <= set(enumerate_archs(SPACE))


def test_a_driven_training_repeats_and_an_interrupted_one_goes_on_exactly(images: Task, tmp_path: Path) -> None:
    def run(**options: Any) -> tuple[Bank, Driven]:
        bank = Bank(SPACE)
        sampler = Driven(Reinforce(SPACE, again=True), validation_score(bank, images, MACHINE, 32))
        train_bank(bank, images, RECIPE, machine=MACHINE, seed=0, epochs=2, sampler=sampler, **options)
        return bank, sampler

    whole, sampler = run()
    assert 0 < len(sampler.log) == sampler.calls and all(0 <= score <= 1 for _, score in sampler.log)
    stops = iter([False] * 9 + [True] * 1000)
    run(checkpoint=tmp_path, interrupted=lambda: next(stops))
    again, resumed = run(checkpoint=tmp_path, resume=tmp_path)
    assert resumed.log == sampler.log
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
