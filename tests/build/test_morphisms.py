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
