"""Mixtures over a part of the channels, and edges that compete."""

import pytest
import torch
from torch import nn

from archsmith.build import RELAXATIONS, Bank, Gates, expected_cost, partial_channels, relax, relaxable
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, call, choice
from archsmith.spaces.cell import cell_model
from archsmith.spec import Spec

SPEC = Spec("image", "classification", (3, 8, 8), 10, 100)


def gates_of(space: Space, **options: object) -> Gates:
    return Gates(relaxable(space).values(), RELAXATIONS["pcdarts"], **options)  # type: ignore[arg-type]


def test_one_part_is_the_plain_mixture_and_several_are_slices_of_it() -> None:
    options = {"conv": call(nn.Conv2d, 8, 8, 3, padding=1), "skip": call(nn.Identity)}
    space = Space(model=call(nn.Sequential, choice(name="edge", **options)))
    bank, x = Bank(space), torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    arch = Arch({"edge": "conv"})
    whole = bank.lend(arch)(x)
    for parts, expected in ((1, whole), (4, None)):
        gates = gates_of(space, mix=partial_channels(parts))
        network = relax(bank, gates)
        gates.fix(arch)
        out = network(x)
        if expected is None:
            conv = bank.extract(arch)[0]
            part = nn.functional.conv2d(x[:, :2], conv.weight[:2, :2], conv.bias[:2], padding=1)
            expected = nn.functional.channel_shuffle(torch.cat([part, x[:, 2:]], 1), 4)
        torch.testing.assert_close(out, expected)


def test_partial_channels_multiply_less_and_train_the_bank_in_place() -> None:
    space = Space(model=cell_model(SPEC, width=8, cells=1))
    bank = Bank(space, survey=False)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    counted = []
    for parts in (1, 4):
        gates = gates_of(space, mix=partial_channels(parts))
        gates.draw()
        network = relax(bank, gates)
        with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
            network(x).sum().backward()
        counted.append(counter.get_total_flops())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in gates.parameters())
    assert counted[1] < 0.5 * counted[0]
    assert bank.lend(Arch({key: "skip_connect" for key in space.decisions}))(x).shape == (2, 10)


def test_edges_of_one_node_compete_and_one_hot_gates_do_not() -> None:
    space = Space(model=cell_model(SPEC, width=4, cells=1))
    nodes = [["edge02", "edge12"], ["edge03", "edge13", "edge23"]]
    gates = gates_of(space, nodes=nodes)
    gates.draw()
    shares = gates.shares()
    for keys in nodes:
        heard = [gates.scaled(key, torch.ones(())).item() for key in keys]
        assert sum(heard) == pytest.approx(1.0)
        assert [sum(shares[key]) for key in keys] == pytest.approx(heard)
    assert sum(shares["edge01"]) == pytest.approx(1.0) == gates.scaled("edge01", torch.ones(())).item()
    relax(Bank(space), gates)(torch.randn(2, 3, 8, 8)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in gates.parameters())
    arch = {key: "skip_connect" for key in gates.decisions}
    gates.fix(arch)
    assert all(weights.sum().item() == 1.0 for weights in gates.weights.values())
    with pytest.raises(SpaceError, match="names 'edge21', which is not mixed"):
        gates_of(space, nodes=[["edge21"]])


class Added(nn.Module):
    """A node of two edges."""

    def __init__(self, one: nn.Module, two: nn.Module) -> None:
        super().__init__()
        self.one, self.two = one, two

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.one(x) + self.two(x)
        return out


@pytest.mark.parametrize("parts", [1, 4])
def test_a_node_listens_to_the_whole_of_an_edge_and_does_not_make_it_cheaper(parts: int) -> None:
    options = {"conv": call(nn.Conv2d, 8, 8, 3, padding=1), "skip": call(nn.Identity)}
    space = Space(model=call(Added, *(choice(name=name, **options) for name in ("one", "two"))))
    bank, x = Bank(space), torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    results, costs = [], []
    for nodes in ([], [["one", "two"]]):
        gates = gates_of(space, nodes=nodes, mix=partial_channels(parts))
        for parameter in gates.parameters():
            parameter.data.zero_()
        gates.draw()
        results.append(relax(bank, gates)(x))
        costs.append(torch.as_tensor(expected_cost(space, gates, (8, 5, 5))(gates.weights)).item())
    torch.testing.assert_close(2 * results[1], results[0])
    assert costs == [8 * 8 * 9 * 25] * 2


def test_norms_of_tables_are_thinned_too() -> None:
    space = Space(model=choice(batch=call(nn.BatchNorm1d, 8), layer=call(nn.LayerNorm, 8), name="norm"))
    bank, x = Bank(space), torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    gates = gates_of(space, mix=partial_channels(4))
    network = relax(bank, gates)
    gates.fix(Arch({"norm": "layer"}))
    expected = torch.cat([nn.functional.layer_norm(x[:, :2], (2,)), x[:, 2:]], 1).view(5, 4, 2).mT.flatten(1)
    torch.testing.assert_close(network(x), expected)


POOLS = {
    1: nn.functional.adaptive_max_pool1d,
    2: nn.functional.adaptive_max_pool2d,
    3: nn.functional.adaptive_max_pool3d,
}


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_channels_that_pass_by_a_stride_are_pooled_whatever_the_axes(axes: int) -> None:
    conv, pool = getattr(nn, f"Conv{axes}d"), getattr(nn, f"AvgPool{axes}d")
    space = Space(model=choice(conv=call(conv, 8, 8, 3, 2, 1), pool=call(pool, 3, 2, 1), name="edge"))
    x = torch.randn((2, 8, *(6, 8, 4)[:axes]), generator=torch.Generator().manual_seed(0))
    gates = gates_of(space, mix=partial_channels(4))
    network = relax(Bank(space), gates)
    gates.fix(Arch({"edge": "pool"}))
    small = [size // 2 for size in x.shape[2:]]
    both = torch.cat([pool(3, 2, 1)(x[:, :2]), POOLS[axes](x[:, 2:], small)], 1)
    torch.testing.assert_close(network(x), both.view(2, 4, 2, *small).transpose(1, 2).flatten(1, 2))


def test_options_that_take_axes_away_are_refused_with_their_path() -> None:
    flat = call(nn.Sequential, call(nn.AdaptiveAvgPool2d, 1), call(nn.Flatten))
    space = Space(model=call(nn.Sequential, choice(a=flat, b=flat, name="edge")))
    gates = gates_of(space, mix=partial_channels(4))
    gates.draw()
    with pytest.raises(SpaceError, match=r"The options at model/0 get \[4, 4\] values of each channel and return \[\]"):
        relax(Bank(space), gates)(torch.zeros(1, 8, 4, 4))


class Own(nn.Module):
    """A layer that nobody knows how to make thinner."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (call(Own), "A Own at model/0 cannot be made thinner"),
        (call(nn.LayerNorm, [8, 4, 4]), "A LayerNorm at model/0 cannot be made thinner"),
        (call(nn.LayerNorm, 6), "cannot be divided into 4 parts: normalized_shape is 6"),
        (call(nn.Conv2d, 8, 6, 1), "cannot be divided into 4 parts: out_channels is 6"),
        (call(nn.Conv2d, 8, 16, 1), "get 2 of 8 and return 4"),
    ],
)
def test_what_has_no_thin_form_is_refused_with_its_path(option: object, words: str) -> None:
    space = Space(model=call(nn.Sequential, choice(a=option, b=option, name="edge")))
    gates = gates_of(space, mix=partial_channels(4))
    gates.draw()
    with pytest.raises(SpaceError, match=words):
        relax(Bank(space), gates)(torch.zeros(1, 8, 4, 4))
