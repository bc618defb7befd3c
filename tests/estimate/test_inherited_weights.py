"""A proposal says where its weights come from: a parent, a bank, or nowhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.build import RELAXATIONS, Bank, Gates, Layout, relaxable
from archsmith.errors import SpaceError, StoreError, UsageError
from archsmith.estimate import (
    CHECKPOINT,
    Machine,
    Settings,
    SharedEstimator,
    TrainEstimator,
    load_checkpoint,
    load_weights,
    search_gates,
    train_bank,
)
from archsmith.estimate.gate_state import GATES
from archsmith.execute import Inline
from archsmith.run import Run
from archsmith.space import Arch, Space, call, choice
from archsmith.strategy import RandomSearch, RegularizedEvolution, Sharing, SuccessiveHalving
from archsmith.study import Study
from archsmith.task import Task
from archsmith.trial import Evaluate, Trial, leaders, maximize

WIDTH = choice(2, 4, name="width")
BODY = choice(conv=call(nn.Conv2d, WIDTH, WIDTH, 3, padding=1), none=call(nn.Identity), name="body")
LAYERS = [call(nn.Conv2d, 1, WIDTH, 3), call(nn.ReLU), BODY, call(nn.AdaptiveAvgPool2d, 2), call(nn.Flatten)]
SPACE = Space(model=call(nn.Sequential, *LAYERS, call(nn.Linear, WIDTH * 4, 4)))
RECIPE = Settings(lr=0.1, batch_size=64, augment="none", warmup=5)
MACHINE = Machine(threads=1)


@pytest.fixture
def estimator(images: Task) -> TrainEstimator:
    return TrainEstimator(images, SPACE, MACHINE, 1.0, defaults=RECIPE)


def test_a_child_begins_with_what_it_shares_with_its_parent(estimator: TrainEstimator, tmp_path: Path) -> None:
    parent, child = Arch({"width": 4, "body": "none"}), Arch({"width": 2, "body": "conv"})
    executor = Inline(estimator, tmp_path, seed=3)
    executor.submit(Trial(0, Evaluate(parent)))
    executor.poll(0.0)
    run = Run(1, 5, tmp_path / "trials" / "1", parent_folder=tmp_path / "trials" / "0")
    begun = estimator._begun(Evaluate(child, parent=0, inherit=True), run)
    trained = load_weights(tmp_path / "trials" / "0" / CHECKPOINT)["0.weight"]
    assert torch.equal(begun[0].weight, trained[:2])
    assert not torch.equal(estimator._begun(Evaluate(child, parent=0), run)[0].weight, trained[:2])


def test_where_the_parent_left_nothing_a_child_begins_anew_and_says_so(
    estimator: TrainEstimator, tmp_path: Path
) -> None:
    run = Run(1, 5, tmp_path / "1", parent_folder=tmp_path / "0")
    (tmp_path / "1").mkdir()
    proposal = Evaluate(Arch({"width": 2, "body": "none"}), parent=0, inherit=True)
    found, plain = estimator(proposal, run), estimator(replace(proposal, inherit=False), Run(1, 5))
    assert [found[k] for k in ("log_loss", "train_loss")] == [plain[k] for k in ("log_loss", "train_loss")]
    assert "nothing could be inherited from trial 0" in (tmp_path / "1" / "log.txt").read_text()


def test_a_study_that_keeps_nothing_does_not_pretend_to_inherit(estimator: TrainEstimator) -> None:
    evolution = RegularizedEvolution(SPACE, population=2, sample=2)
    with pytest.raises(UsageError, match="only where they are kept: give the study a folder"):
        Study(SPACE, SuccessiveHalving(Sharing(evolution, inherit=True)), estimator)
    child = Evaluate(Arch({"width": 2, "body": "none"}), parent=0, inherit=True)
    with pytest.raises(UsageError, match="weights of trial 0, and nothing was kept"):
        estimator(child, Run(1, 5))
    # One without a parent has nothing to inherit in any study.
    first = Evaluate(Arch({"width": 2, "body": "none"}), inherit=True)
    assert (
        estimator(first, Run(0, 5))["train_loss"] == estimator(replace(first, inherit=False), Run(0, 5))["train_loss"]
    )


def test_evolution_names_the_parent_and_its_children_inherit(estimator: TrainEstimator, tmp_path: Path) -> None:
    evolution = RegularizedEvolution(SPACE, population=2, sample=2)
    study = Study(SPACE, Sharing(evolution, inherit=True), estimator, folder=tmp_path / "study").run(trials=4)
    assert all(t.state in ("complete", "cached") for t in study.trials), [t.reason for t in study.trials]
    asked = [t.proposal for t in study.trials]
    assert [p.parent is None for p in asked[:2]] == [True, True] and not asked[0].inherit
    assert all(p.inherit and p.parent is not None and p.parent < n for n, p in enumerate(asked[2:], 2))
    assert all(Evaluate.from_json(p.to_json()) == p for p in asked)


def test_any_strategy_is_measured_on_a_saved_bank(estimator: TrainEstimator, images: Task, tmp_path: Path) -> None:
    bank = Bank(SPACE, seed=1)
    bank.save(tmp_path)
    study = Study(SPACE, Sharing(RandomSearch(SPACE), weights=str(tmp_path)), estimator).run(trials=3)
    score = SharedEstimator(images, bank, MACHINE)
    assert all(t.metrics == score.score(t.arch) for t in study.trials)


def dense(*widths: int) -> Space:
    size = choice(*widths, name="size")
    return Space(model=call(nn.Sequential, call(nn.Flatten), call(nn.Linear, 144, size), call(nn.Linear, size, 4)))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (Space(model=call(nn.Sequential, call(nn.Flatten), call(nn.Linear, 144, 4))), "none of the 4 tensors"),
        (Space(model=call(nn.Sequential, call(nn.Flatten), call(nn.Linear, 144, 8))), "only 2 of the 4 tensors"),
        (dense(4, 6), "only 1 of the 4 tensors"),  # what is too small begins anew in part
    ],
)
def test_a_bank_that_lacks_weights_of_the_space_is_refused(
    other: Space, told: str, images: Task, tmp_path: Path
) -> None:
    Bank(other).save(tmp_path)
    trained = TrainEstimator(images, dense(4, 8), MACHINE, 1.0)
    with pytest.raises(SpaceError, match=f"{tmp_path} holds {told}.*lacks.*model/2:weight.*carry_over"):
        Study(trained.space, Sharing(RandomSearch(trained.space), weights=str(tmp_path)), trained)
    with pytest.raises(SpaceError, match=told):  # also of a strategy that says it proposal by proposal
        trained(Evaluate(Arch({"size": 8}), weights=str(tmp_path)), Run(0, 1))


def test_a_bank_of_a_larger_space_measures_the_smaller_one(images: Task, tmp_path: Path) -> None:
    bank = Bank(dense(4, 8, 16))
    bank.save(tmp_path)
    small = TrainEstimator(images, dense(4, 8), MACHINE, 1.0)
    study = Study(small.space, Sharing(RandomSearch(small.space), weights=str(tmp_path)), small).run(trials=2)
    assert all(t.metrics == SharedEstimator(images, bank, MACHINE).score(t.arch) for t in study.trials)


class Theirs(nn.Linear):
    """A layer of three stacked parts, of a class that cannot be changed."""


def in_three(module: nn.Module, name: str, shape: tuple[int, ...]) -> Layout:
    return Layout((3, shape[0] // 3, *shape[1:]))


def test_slice_rules_are_given_to_the_estimator(images: Task, tmp_path: Path) -> None:
    size = choice(2, 4, name="size")
    parts = [call(nn.Flatten), call(Theirs, 144, size * 3), call(nn.ReLU), call(nn.Linear, size * 3, 4)]
    space, rules = Space(model=call(nn.Sequential, *parts)), {Theirs: in_three}
    bank = Bank(space, rules=rules)
    bank.save(tmp_path / "bank")
    sharing = Sharing(RandomSearch(space), weights=str(tmp_path / "bank"))
    plain = TrainEstimator(images, space, MACHINE, 1.0, defaults=RECIPE)
    with pytest.raises(StoreError, match="made with slice rules for Theirs"):
        Study(space, sharing, plain)
    ruled = replace(plain, rules=rules)
    study = Study(space, sharing, ruled).run(trials=2)
    assert all(t.metrics == SharedEstimator(images, bank, MACHINE).score(t.arch) for t in study.trials)
    executor = Inline(ruled, tmp_path, seed=3)
    executor.submit(Trial(0, Evaluate(Arch({"size": 4}))))
    executor.poll(0.0)
    run = Run(1, 5, tmp_path / "trials" / "1", parent_folder=tmp_path / "trials" / "0")
    child = ruled._begun(Evaluate(Arch({"size": 2}), parent=0, inherit=True), run)
    parent = load_weights(tmp_path / "trials" / "0" / CHECKPOINT)["1.weight"]
    assert torch.equal(child[1].weight.view(3, 2, 144), parent.view(3, 4, 144)[:, :2])


def test_a_score_on_shared_weights_ranks_below_any_training(tmp_path: Path) -> None:
    arch = Arch({"width": 2, "body": "none"})
    shared = Trial(0, Evaluate(arch, weights="bank"), "complete", {"accuracy": 1.0}, (-1.0,))
    short = Trial(1, Evaluate(arch, {"epochs": 0.1}), "complete", {"accuracy": 0.5}, (-0.5,))
    assert leaders([shared, short]) == [short] and leaders([shared]) == [shared]
    calls: list[str] = []

    def evaluate(proposal: Evaluate, run: Run) -> dict[str, float]:
        calls.append(proposal.weights)
        return {"accuracy": 0.5}

    class Both:
        """Proposes one architecture on shared weights, and then trained."""

        def ask(self, n: int, rng: np.random.Generator, running: object) -> list[Evaluate]:
            return [Evaluate(arch, weights="bank"), Evaluate(arch)][len(calls) : len(calls) + n]

        def tell(self, trial: Trial) -> None:
            """Nothing is learned."""

    Study(SPACE, Both(), evaluate, objectives=[maximize("accuracy")]).run(trials=2)
    assert calls == ["bank", ""]  # they are not the same measurement


def test_a_search_of_gates_that_was_stopped_goes_on_exactly(images: Task, tmp_path: Path) -> None:
    def search(folder: Path | None, stop_after: int = 10**6) -> tuple[list[torch.Tensor], int]:
        bank, gates = Bank(SPACE), Gates(relaxable(SPACE).values(), RELAXATIONS["gdas"])
        asked = iter(range(10**6))
        found = search_gates(
            bank, gates, images, RECIPE, machine=MACHINE, seed=0, epochs=4, checkpoint=folder,
            interrupted=lambda: next(asked) > stop_after,
        )  # fmt: skip
        return [p.detach() for p in (*gates.parameters(), *bank.parameters())], len(found.curve)

    whole, epochs = search(None)
    assert epochs == 4
    assert search(tmp_path, stop_after=7)[1] < 4
    assert load_checkpoint(tmp_path / GATES)[1]["step"] > 0, "what was done of the epoch under way is lost"
    again, epochs = search(tmp_path)
    assert epochs == 4 and all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))


def test_a_bank_of_grouped_convolutions_trains_in_any_memory_format(images: Task) -> None:
    width = choice(4, 8, name="width")
    layers = [call(nn.Conv2d, 1, width, 3), call(nn.Conv2d, width, width, 3, groups=width), call(nn.Flatten)]
    grouped = Space(
        model=call(nn.Sequential, *layers[:2], call(nn.AdaptiveAvgPool2d, 1), layers[2], call(nn.Linear, width, 4))
    )
    for channels_last in (False, True):
        machine = replace(MACHINE, channels_last=channels_last)
        assert train_bank(Bank(grouped), images, RECIPE, machine=machine, seed=0, epochs=0.2).diverged is None
