"""Whatever is sampled from a network made elastic runs: what would not run was fixed, and is listed with the reason."""

from collections.abc import Callable
from typing import Any

import networks
import numpy as np
import pytest
import torch
from torch import nn

import archsmith
from archsmith.build import meta_cost
from archsmith.elasticity import Elastic
from archsmith.errors import SpaceError
from archsmith.estimate import Settings
from archsmith.space import sample, smallest

IMAGE = (1, 8, 8)
CUTS = [networks.by_index, networks.by_unbind, networks.by_unbind_of_a_named_axis, networks.by_chunk]


def vision(cut: Callable[..., Any]) -> nn.Module:
    torch.manual_seed(0)
    return networks.Vision(cut).eval()


def all_run(found: Elastic, x: torch.Tensor, count: int = 20) -> None:
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for arch in [smallest(found.space), *(sample(found.space, rng) for _ in range(count))]:
            found.bank.extract(arch).eval()(x)


@pytest.mark.parametrize("cut", CUTS)
def test_every_sample_of_a_vision_transformer_runs_whatever_the_seed(cut: Callable[..., Any]) -> None:
    network, x = vision(cut), torch.randn(3, *IMAGE, generator=torch.Generator().manual_seed(1))
    keys = ["blocks.0-1.depth", "blocks.0.mlp.0.width", "blocks.1.mlp.0.width"]
    for seed in range(4):
        found = archsmith.elastic(network, IMAGE, seed=seed)
        assert [*found.space.decisions] == keys
        all_run(found, x)
        with torch.no_grad():
            full = found.bank.extract(found.arch).eval()(x)
            torch.testing.assert_close(full, network(x), rtol=1e-5, atol=1e-5)
        reasons = {fixed.path: fixed.reason for fixed in found.fixed}
        assert "with 4 the network does not run (RuntimeError: shape" in reasons["patches"]


@pytest.mark.parametrize("cut", CUTS)
def test_a_vision_transformer_shrinks_to_its_limit(cut: Callable[..., Any]) -> None:
    found = archsmith.elastic(vision(cut), IMAGE)
    limit = 0.6 * meta_cost(found.space, found.arch, IMAGE).params
    recipe = Settings(lr=0.05, batch_size=128, augment="none")
    task = archsmith.load_task("digits")
    small = archsmith.shrink(found, task, {"params": limit}, epochs=0.2, trials=3, settings=recipe)
    assert sum(p.numel() for p in small.network.parameters()) == small.after["params"] <= limit


def same(a: int, b: int) -> bool:
    return a == b


def no_less(a: int, b: int) -> bool:
    return a >= b


def not_both_narrow(a: int, b: int) -> bool:
    return a + b > 8


def not_twelve(a: int, b: int) -> bool:
    return a != 12


@pytest.mark.parametrize(
    ("go_together", "free"),
    [(same, []), (no_less, ["b.width"]), (not_both_narrow, ["a.width"]), (not_twelve, ["b.width"])],
)
def test_sizes_that_only_the_author_knows_to_go_together_are_fixed(
    go_together: Callable[[int, int], bool], free: list[str]
) -> None:
    for seed in range(4):
        found = archsmith.elastic(networks.Matched(go_together).eval(), (8,), seed=seed)
        assert [*found.space.decisions] == free
        all_run(found, torch.randn(3, 8))
        reasons = {fixed.path: fixed.reason for fixed in found.fixed}
        for key in {"a.width", "b.width"}.difference(free):
            assert "these do not go together" in reasons[key.removesuffix(".width")]


def test_what_breaks_only_with_another_change_names_it() -> None:
    found = archsmith.elastic(networks.Matched(not_both_narrow), (8,))
    reasons = {fixed.path: fixed.reason for fixed in found.fixed}
    assert reasons["b"].startswith("with 4 the network does not run where a.width is 4 (ValueError: these do not go")


def test_an_axis_that_is_unbound_is_gone_from_the_parts() -> None:
    network = networks.Unbound().eval()
    found = archsmith.elastic(network, (6, 3))
    assert [*found.space.decisions] == ["a.width"]
    assert "it is split at unbind (networks.py:" in {fixed.path: fixed.reason for fixed in found.fixed}["b"]
    x = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(1))
    all_run(found, x)
    with torch.no_grad():
        torch.testing.assert_close(found.bank.extract(found.arch).eval()(x), network(x), rtol=1e-5, atol=1e-5)


def test_a_network_that_cannot_be_made_again_names_the_attribute_that_was_left_out() -> None:
    with pytest.raises(SpaceError, match=r"has no attribute 'sizes'.*left out: sizes.*leaves="):
        archsmith.elastic(networks.Holder(), (8,))


def test_a_leaf_made_as_another_layer_is_told_of() -> None:
    network = nn.Sequential(nn.Linear(8, 16), nn.LSTM(16, 4))
    leaves = {nn.LSTM: lambda _: archsmith.call(nn.LSTM, 12, 4)}
    with pytest.raises(
        SpaceError, match=r"made again from its parts: RuntimeError: .* Name the class of the module in"
    ):
        archsmith.elastic(network, (8,), leaves=leaves)
