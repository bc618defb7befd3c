"""Morphisms leave what a network computes as it is; a child begins with what it shares with its parent."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.build import build, seeded
from archsmith.build.morphisms import grow_kernel, identity_like, inherit, silence, widen
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, call, choice, repeat

IMAGES, ROWS = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0)), torch.linspace(-2, 2, 32).view(4, 8)


def convolutional() -> nn.Sequential:
    with seeded(0):
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(80, 4),
        )  # fmt: skip
        for _ in range(3):
            network(torch.randn(16, 3, 9, 9))
    return network.eval()


def dense() -> nn.Sequential:
    with seeded(0):
        return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)).eval()


def same(network: nn.Module, before: nn.Module, x: torch.Tensor) -> bool:
    return float((network(x) - before(x)).detach().abs().max()) < 1e-5


def test_widening_changes_nothing() -> None:
    rng, network = np.random.default_rng(0), convolutional()
    before = copy.deepcopy(network)
    widen(network[0], network[1], network[3], 11, rng)
    widen(network[3], None, network[6], 9, rng)
    assert same(network, before, IMAGES)
    assert [tuple(network[i].weight.shape) for i in (0, 3, 6)] == [(11, 3, 3, 3), (9, 11, 3, 3), (4, 144)]
    assert (network[0].out_channels, network[1].num_features, network[6].in_features) == (11, 11, 144)
    rows, old = dense(), dense()
    widen(rows[0], None, rows[2], 10, rng)
    assert same(rows, old, ROWS)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_repeated_units_learn_different_things(optimizer: type[torch.optim.SGD]) -> None:
    rows = dense()
    widen(rows[0], None, rows[2], 12, np.random.default_rng(0))
    assert same(rows, dense(), ROWS)
    steps, aims = optimizer(rows.parameters(), lr=0.05), torch.tensor([0, 1, 2, 0])
    for _ in range(3):
        steps.zero_grad()
        nn.functional.cross_entropy(rows(ROWS), aims).backward()
        steps.step()
    apart = torch.cdist(rows[0].weight.detach(), rows[0].weight.detach())
    learned = rows[0].weight.grad.flatten(1).any(1)  # the others are dead: they learn nothing at all
    assert learned.sum() > 6 and (apart[learned][:, learned] + torch.eye(int(learned.sum()))).min() > 1e-4


def test_what_is_drawn_in_widening_comes_from_the_generator_that_is_given() -> None:
    first, second = dense(), dense()
    state = torch.get_rng_state()
    for network in (first, second):
        widen(network[0], None, network[2], 9, np.random.default_rng(3))
    assert torch.equal(first[2].weight, second[2].weight) and torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("layer", "norm", "following", "told"),
    [
        (nn.Linear(8, 6), nn.LayerNorm(6), nn.Linear(6, 3), "A LayerNorm between .* only batch norm and instance norm"),
        (nn.Conv2d(3, 6, 1), nn.GroupNorm(2, 6), nn.Conv2d(6, 3, 1), "A GroupNorm between"),
        (nn.Conv2d(3, 6, 1), nn.BatchNorm2d(5), nn.Conv2d(6, 3, 1), "for 5 channels and the layer has 6 outputs"),
        (nn.Linear(8, 6), None, nn.Linear(7, 3), "7 inputs and cannot follow a layer of 6 outputs. It must have 6"),
        (nn.Linear(8, 6), None, nn.Linear(12, 3), "12 inputs and cannot follow"),  # steps before channels
        (nn.Conv2d(3, 6, 1), None, nn.Conv2d(12, 3, 1), "12 inputs and cannot follow"),
        (nn.Conv2d(3, 6, 1), None, nn.Linear(80, 3), "6, or a multiple of it where a map was flattened"),
        (nn.Linear(8, 6), None, nn.LazyLinear(3), "no size yet: run the network once"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(8, 6)), None, nn.Linear(6, 3), "computed from others"),
    ],
)
def test_what_cannot_be_widened_is_refused_and_left_as_it_is(
    layer: nn.Module, norm: nn.Module | None, following: nn.Module, told: str
) -> None:
    before = copy.deepcopy(layer)
    with pytest.raises(SpaceError, match=told):
        widen(layer, norm, following, 12, np.random.default_rng(0))
    assert str(layer) == str(before)
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), before.parameters(), strict=True))


@pytest.mark.parametrize("width", [7.0, True, "8"])
def test_a_width_that_is_no_whole_number_is_refused(width: object) -> None:
    rows = dense()
    with pytest.raises(SpaceError, match=f"widened to {width!r}: give a whole number of at least 6"):
        widen(rows[0], None, rows[2], width, np.random.default_rng(0))  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match="follows itself"):
        widen(layer := nn.Linear(6, 6), None, layer, 8, np.random.default_rng(0))


def test_deepening_changes_nothing() -> None:
    network, before = convolutional(), convolutional()
    assert same(nn.Sequential(*network[:3], identity_like(network[0]), nn.ReLU(), *network[3:]), before, IMAGES)
    rows = dense()
    assert same(nn.Sequential(*rows[:2], identity_like(rows[0]), nn.ReLU(), *rows[2:]), dense(), ROWS)


def test_a_larger_kernel_changes_nothing() -> None:
    network, before = convolutional(), convolutional()
    grow_kernel(network[0], 7)
    grow_kernel(network[3], 5)
    assert same(network, before, IMAGES) and network[0].kernel_size == (7, 7)


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_larger_kernel_changes_nothing_where_the_padding_is_a_word(kind: type[nn.Conv2d], padding: str) -> None:
    with seeded(0):
        conv = kind(2, 3, 3, dilation=2, padding=padding)
    before, x = copy.deepcopy(conv), torch.linspace(-2, 2, 1458).view(1, 2, 9, 9, 9)[..., *[0] * (5 - conv.weight.ndim)]
    grow_kernel(conv, 5)
    again = copy.deepcopy(conv)
    assert same(conv, before, x) and same(again, before, x) and "kernel_size=(5," in str(again)


def test_a_silent_branch_beside_a_layer_changes_nothing_and_learns() -> None:
    class Beside(nn.Module):
        def __init__(self, layer: nn.Module, branch: nn.Module) -> None:
            super().__init__()
            self.layer, self.branch = layer, branch

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.layer(x) + self.branch(x)
            return out

    layer, branch = dense(), dense()
    silence(branch)
    both = Beside(layer, branch)
    assert same(both, dense(), ROWS)
    both(ROWS).sum().backward()
    assert branch[2].weight.grad.any()


class Backwards(nn.Module):
    """Its layers are registered in another order than they run."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.norm, self.first = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(torch.relu(self.norm(self.first(x))))
        return out


def test_a_silent_branch_returns_zeros_in_whatever_order_its_layers_are_registered() -> None:
    branch = Backwards().train()
    first, mean = branch.first.weight.clone(), branch.norm.running_mean.clone()
    with pytest.raises(SpaceError, match=r"Which layer of Backwards runs last.*silence\(branch, example\)"):
        silence(branch)
    silence(branch, ROWS)
    # The example teaches norms nothing, and modes stay.
    assert branch.training and branch.norm.training and torch.equal(branch.norm.running_mean, mean)
    assert not branch(ROWS).any() and torch.equal(branch.first.weight, first)
    branch(ROWS).sum().backward()
    assert branch.last.weight.grad.any()


def test_an_activation_with_weights_is_not_what_is_silenced() -> None:
    for example in (None, ROWS):
        branch = nn.Sequential(nn.Linear(8, 8), nn.PReLU())
        silence(branch, example)
        assert not branch(ROWS).any() and not branch[0].weight.any() and branch[1].weight.all()


def test_attention_is_silenced_where_it_still_learns() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.attention(x, x, x)[0]
            return out

    branch, x = Attends(), ROWS[None] + 0.1 * torch.arange(4)[None, :, None]
    silence(branch, x)
    assert not branch(x).any()
    branch(x).sum().backward()
    assert branch.attention.out_proj.weight.grad.any()


def test_a_branch_that_cannot_be_silent_is_refused_and_left_as_it_is() -> None:
    branch = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Sigmoid())
    before = copy.deepcopy(branch)
    with pytest.raises(SpaceError, match=r"because of Sigmoid. Give an input"):
        silence(branch)
    with pytest.raises(SpaceError, match="No layer of Sequential alone makes it return zeros"):
        silence(branch, ROWS)
    with pytest.raises(SpaceError, match=r"does not run on the example of shape \[2, 5\]: RuntimeError"):
        silence(branch, torch.rand(2, 5))
    assert all(torch.equal(a, b) for a, b in zip(branch.parameters(), before.parameters(), strict=True))


def test_a_child_begins_with_what_it_shares_with_its_parent() -> None:
    width = choice(4, 8, name="width")
    blocks = [call(nn.Linear, width, width) for _ in range(3)]
    model = call(nn.Sequential, call(nn.Linear, 8, width), repeat(blocks, choice(1, 3, name="depth")))
    space = Space(model=model)
    parent, child = Arch({"width": 8, "depth": 1}), Arch({"width": 4, "depth": 3})
    network = build(space, parent, seed=7)
    heir = inherit(space, parent, network, child)
    assert torch.equal(heir[0].weight, network[0].weight[:4]) and torch.equal(heir[1].weight, network[1].weight[:4, :4])
    assert heir[3].weight.any()
    again = inherit(space, child, heir, parent)
    assert torch.equal(again[1].weight[:4, :4], heir[1].weight)


def test_what_cannot_be_morphed_is_refused() -> None:
    rng, network = np.random.default_rng(0), convolutional()
    with pytest.raises(SpaceError, match="A ReLU cannot be widened"):
        widen(network[2], None, network[3], 8, rng)
    with pytest.raises(SpaceError, match="6 outputs cannot be widened to 4"):
        widen(network[0], network[1], network[3], 4, rng)
    with pytest.raises(SpaceError, match="larger by an even number"):
        grow_kernel(network[0], 4)
    with pytest.raises(SpaceError, match="no identity like"):
        identity_like(nn.Conv2d(3, 3, 2))
    with pytest.raises(SpaceError, match="no layer with weights"):
        silence(nn.ReLU())
