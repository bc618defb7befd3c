"""The differentiable methods by name, and the guards that stop them."""

import math
import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from archsmith.build import RELAXATIONS, Bank, Gates, expected_cost, relax, relaxable, superkernel
from archsmith.build.relaxations import softmax
from archsmith.build.superkernel import Thresholds
from archsmith.errors import SpaceError, UsageError
from archsmith.estimate import (
    GATE_METHODS,
    Derived,
    Guard,
    Machine,
    Settings,
    Watched,
    added,
    dominance,
    eigenvalue,
    gates_by,
    limited,
    multiplied,
    search_by,
    search_gates,
)
from archsmith.space import Space, call, choice
from archsmith.spaces import resolve
from archsmith.spec import Spec
from archsmith.task import Task

MACHINE = Machine(threads=1)
RECIPE = Settings(lr=0.1, batch_size=32, augment="none", warmup=5)


class Nothing(nn.Module):
    """An option that keeps nothing of the picture."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2, 3), keepdim=True).expand_as(x)


BODY = choice(
    nothing=call(Nothing),
    conv=call(nn.Conv2d, 8, 8, 3, padding=1),
    wide=call(nn.Conv2d, 8, 8, 7, padding=3),
    name="body",
)
SPACE = Space(
    model=call(
        nn.Sequential,
        call(nn.Conv2d, 1, 8, 3, 2, 1),
        BODY,
        call(nn.ReLU),
        call(nn.AdaptiveAvgPool2d, 2),
        call(nn.Flatten),
        call(nn.Linear, 32, 4),
    )
)


@pytest.mark.parametrize("name", GATE_METHODS)
def test_every_method_runs_by_name_over_the_one_loop_and_repeats(name: str, images: Task) -> None:
    def run() -> list[torch.Tensor]:
        gates, found = search_by(
            name,
            Bank(SPACE),
            images,
            RECIPE,
            machine=MACHINE,
            seed=0,
            epochs=2,
            cost=lambda gates: expected_cost(SPACE, gates, (1, 12, 12)),
            nodes=[["body"]],
        )
        assert found.answers.keys() == found.shares.keys() == {"body"} and found.answers["body"] in BODY.labels
        return [p.detach() for p in gates.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


def found_by(name: str, images: Task, **options: Any) -> torch.Tensor:
    gates, _ = search_by(name, Bank(SPACE), images, RECIPE, machine=MACHINE, seed=0, epochs=2, gate_rate=0.1, **options)
    return gates.logits["body"].detach()


def test_gates_that_learn_jointly_see_the_samples_of_the_weights_and_the_others_do_not(images: Task) -> None:
    seen: list[Any] = []

    def noted(space: Any, gates: Any, base: Any) -> nn.Module:
        network = relax(space, gates, base)
        network.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(1)))
        return network

    for joint, passes in ((True, 1), (False, 2)):
        seen.clear()
        gates = Gates(relaxable(SPACE).values(), softmax)
        before = gates.logits["body"].detach().clone()
        options: dict[str, Any] = {"machine": MACHINE, "seed": 0, "epochs": 1, "joint": joint, "reading": noted}
        search_gates(Bank(SPACE), gates, images, RECIPE, **options)
        whole, half = len(images.train.y), len(images.train.y) // 2
        assert len(seen) == (whole // 32 if joint else passes * (half // 32))
        assert not torch.equal(before, gates.logits["body"])


def test_a_limit_is_kept_by_the_gates_of_every_method_and_fbnet_weighs_a_cost_without(images: Task) -> None:
    cost = {"cost": lambda gates: expected_cost(SPACE, gates, (1, 12, 12), "params")}
    for name in ("darts", "snas", "proxyless", "fbnet"):
        free, bound = found_by(name, images), found_by(name, images, **cost, limit=400.0)
        assert (bound.softmax(-1)[2] < free.softmax(-1)[2]).item(), name  # the widest option breaks it
    assert {name for name, method in GATE_METHODS.items() if method.priced} == {"fbnet"}
    assert not torch.equal(found_by("fbnet", images), found_by("fbnet", images, **cost))


def test_weights_of_an_option_that_was_not_drawn_stay_as_they_are(images: Task) -> None:
    gates = Gates(relaxable(SPACE).values(), RELAXATIONS["proxyless"])
    gates.logits["body"].data = torch.tensor([30.0, 0.0, 0.0])  # always the first
    bank = Bank(SPACE)
    before = {name: value.detach().clone() for name, value in bank.named_parameters()}
    search_gates(bank, gates, images, RECIPE, machine=MACHINE, seed=0, epochs=1, gate_rate=0.0)
    moved = {n for n, v in bank.named_parameters() if n in before and v.shape == before[n].shape
             and not torch.equal(v, before[n])}  # fmt: skip
    assert moved and not any("conv" in name or "wide" in name for name in moved)


def test_edges_of_a_cells_nodes_compete_by_partial_channels() -> None:
    space = resolve("cell", Spec("image", "classification", (1, 12, 12), 4, 100))
    gates = gates_by("pcdarts", space)
    assert gates.nodes == [("edge02", "edge12"), ("edge03", "edge13", "edge23")]
    assert gates_by("darts", space).nodes == []


def test_a_space_without_a_choice_of_modules_has_no_gates() -> None:
    with pytest.raises(SpaceError, match="no decision that only chooses between modules"):
        gates_by("darts", Space(model=call(nn.Linear, 3, choice(4, 8, name="width"))))


def test_a_relaxation_gives_one_weight_for_each_option() -> None:
    gates = Gates(relaxable(SPACE).values(), lambda logits, *_: logits[:2])
    with pytest.raises(SpaceError, match=r"\[2\] weights for 'body', which has 3 options"):
        gates.draw()


def test_an_unknown_method_is_answered_with_the_nearest(images: Task) -> None:
    with pytest.raises(UsageError, match=r"no differentiable method called 'dart'.*darts"):
        search_by("dart", Bank(SPACE), images, RECIPE, machine=MACHINE, seed=0, epochs=1)


def test_weights_go_first_where_they_shall(images: Task) -> None:
    gates = Gates(relaxable(SPACE).values(), softmax)
    before = [p.detach().clone() for p in gates.parameters()]
    search_gates(Bank(SPACE), gates, images, RECIPE, machine=MACHINE, seed=0, epochs=1, weights_first=1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, gates.parameters(), strict=True))


def test_a_guard_ends_the_search_with_the_gates_of_an_earlier_epoch(images: Task) -> None:
    def run(epochs: int, guard: Guard | None = None) -> tuple[list[torch.Tensor], str, int]:
        gates = Gates(relaxable(SPACE).values(), softmax)
        found = search_gates(
            Bank(SPACE), gates, images, RECIPE, machine=MACHINE, seed=0, epochs=epochs, guard=guard, gate_rate=0.1
        )
        return [p.detach() for p in gates.parameters()], found.stopped, len(found.curve)

    seen: list[list[torch.Tensor]] = []

    def remember(watched: Watched) -> float:
        seen.append([p.detach().clone() for p in watched.gates.parameters()])
        return float(len(seen))

    def third(values: Sequence[float]) -> int | None:
        return 1 if len(values) == 3 else None

    ended, why, epochs = run(4, Guard("count", remember, third))
    assert (why, epochs) == ("count reached 3 in epoch 3; the gates are those of epoch 2", 3)
    assert all(torch.equal(a, b) for a, b in zip(ended, seen[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(ended, seen[2], strict=True))


def test_the_eigenvalue_that_rises_too_fast_goes_back_a_window() -> None:
    back = eigenvalue(0.75, window=2).back
    assert back([1.0, 1.0, 1.0]) is None  # too early to tell
    assert back([1.0, 1.0, 1.2, 1.3]) is None
    assert back([1.0, 1.0, -2.0, -2.0]) == 2


def test_the_eigenvalue_is_that_of_the_loss_in_the_gates() -> None:
    gates = Gates(relaxable(SPACE).values(), lambda logits, *_: logits)
    curvature = torch.tensor([3.0, 1.0, 2.0])

    def loss() -> torch.Tensor:
        gates.draw(1.0)
        return 0.5 * (curvature * gates.weights["body"].square()).sum()

    watched = Watched(gates, nn.Identity(), loss, torch.Generator().manual_seed(0))
    assert eigenvalue(iterations=40).measure(watched) == pytest.approx(3.0, rel=1e-3)


def test_dominance_counts_the_decisions_that_prefer_an_option_without_weights() -> None:
    skip = call(nn.Identity)
    space = Space(
        model=call(nn.Sequential, *(choice(skip=skip, fc=call(nn.Linear, 8, 8), name=f"edge{i}") for i in range(4)))
    )
    gates = Gates(relaxable(space).values(), softmax)
    network = relax(Bank(space), gates)
    for i, logits in enumerate(gates.logits.values()):
        logits.data = torch.tensor([1.0, 0.0]) if i < 3 else torch.tensor([0.0, 1.0])
    guard = dominance(0.5)
    watched = Watched(gates, network, lambda: torch.zeros(()), torch.Generator())
    assert guard.measure(watched) == 0.75
    assert guard.back([0.5, 0.75]) == 1 and guard.back([0.75, 0.5]) is None


def test_goals_weigh_the_cost_as_they_say() -> None:
    loss, weights = torch.tensor(2.0), {"a": torch.tensor([0.25, 0.75], requires_grad=True)}

    def cost(weights: object) -> torch.Tensor:
        return weights["a"] @ torch.tensor([4.0, 12.0])  # type: ignore[index]

    assert added(cost, 0.1, 5.0)(loss, weights).item() == pytest.approx(2.2)
    assert multiplied(cost, 0.2, 0.6)(loss, weights).item() == pytest.approx(0.4 * 2.302585**0.6)
    assert multiplied(cost, 1.0, 0.3, 10.0)(loss, weights).item() == pytest.approx(2.0)
    assert limited(cost, 8.0)(loss, weights).item() == pytest.approx(2.25)
    assert limited(cost, 10.0)(loss, weights).item() == 2.0
    multiplied(cost)(loss, weights).backward()
    assert weights["a"].grad is not None and weights["a"].grad[1] > weights["a"].grad[0] > 0


@pytest.mark.parametrize("cost", [0.001, 0.4, 0.99, 1.0, 1.01, 3.0, 500.0])
def test_a_goal_rises_with_the_cost_and_says_the_same_in_any_unit(cost: float) -> None:
    for scale, power in ((0.2, 0.6), (1.0, 0.3)):
        values, slopes = [], []
        for unit in (1e-6, 1.0, 1e6):
            weights = {"a": torch.ones((), requires_grad=True)}
            goal = multiplied(lambda w, unit=unit: cost * unit * w["a"], scale, power, unit)
            value = goal(torch.tensor(2.0), weights)
            values.append(value.item())
            slopes.append(torch.autograd.grad(value, weights["a"])[0].item())
        assert values == pytest.approx([values[1]] * 3, rel=1e-5) and slopes == pytest.approx([slopes[1]] * 3, rel=1e-4)
        assert slopes[0] > 0 and (values[1] > 2.001 * scale) == (cost > 1)


@pytest.mark.parametrize("name", ["darts", "gdas", "fbnet", "proxyless"])
def test_where_accuracy_is_constant_every_method_finds_the_fastest_path(name: str, images: Task) -> None:
    blank = [call(Nothing), call(nn.Sequential, *[call(Nothing)] * 2), call(nn.Sequential, *[call(Nothing)] * 3)]
    edges = [choice(slow=blank[2], fast=blank[0], middle=blank[1], name=f"edge{i}") for i in range(3)]
    space = Space(
        model=call(nn.Sequential, *edges, call(nn.AdaptiveAvgPool2d, 2), call(nn.Flatten), call(nn.Linear, 4, 4))
    )

    def milliseconds(network: nn.Module) -> dict[nn.Module, float]:
        return {m: 0.01 + 0.01 * sum(isinstance(each, Nothing) for each in m.modules()) for m in network.modules()}

    _, found = search_by(
        name,
        Bank(space),
        images,
        RECIPE,
        machine=MACHINE,
        seed=0,
        epochs=8,
        gate_rate=0.1,
        cost=lambda gates: expected_cost(space, gates, (1, 12, 12), milliseconds),
    )
    assert set(found.answers.values()) == {"fast"}


def test_thresholds_are_searched_by_the_same_loop(images: Task) -> None:
    kernel = choice(3, 5, 7, name="kernel")
    space = Space(
        model=call(
            nn.Sequential,
            call(nn.Conv2d, 1, 8, kernel, padding="same"),
            call(nn.ReLU),
            call(nn.AdaptiveAvgPool2d, 2),
            call(nn.Flatten),
            call(nn.Linear, 32, 4),
        )
    )
    chosen = []
    for weight in (-10.0, 10.0):
        bank = Bank(space)
        thresholds = Thresholds(bank, space.decisions.values())
        sizes = torch.tensor([9.0, 25.0, 49.0])
        found = search_gates(
            bank,
            thresholds,
            images,
            RECIPE,
            machine=MACHINE,
            seed=0,
            epochs=3,
            gate_rate=0.02,
            goal=added(lambda weights, sizes=sizes: weights["kernel"] @ sizes, weight, 49.0),
            reading=superkernel,
        )
        chosen.append(found.answers["kernel"])
    assert chosen == [7, 3]


def test_a_search_of_gates_ends_with_the_epoch_whose_loss_is_not_finite_and_at_its_deadline(images: Task) -> None:
    def search(relaxation: str = "darts", **options: Any) -> Derived:
        gates = Gates(relaxable(SPACE).values(), RELAXATIONS[relaxation])
        return search_gates(Bank(SPACE), gates, images, RECIPE, machine=MACHINE, seed=0, epochs=3, **options)

    for relaxation in RELAXATIONS:  # no distribution can be drawn from gates that are not finite
        lost = search(relaxation, goal=lambda loss, weights: loss * math.nan)
        assert len(lost.curve) == 1 and "finite" in lost.stopped
    late = search(deadline=time.monotonic())
    assert late.curve == () and late.stopped == "" and late.answers.keys() == relaxable(SPACE).keys()
