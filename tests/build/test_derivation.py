"""Latency from a table of layers, architectures within limits, and superkernels."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.build import (
    RELAXATIONS,
    Bank,
    ExpectedCost,
    Gates,
    LatencyTable,
    Thresholds,
    build,
    derive_within,
    expected_cost,
    relaxable,
    superkernel,
)
from archsmith.errors import LimitError, SpaceError
from archsmith.space import Arch, Space, call, choice, enumerate_archs, repeat, sample, switch
from archsmith.spaces.cell import cell_model
from archsmith.spec import Spec

SHAPE = (3, 8, 8)
CELLS = Space(model=cell_model(Spec("image", "classification", SHAPE, 10, 100), width=4, cells=1))


def gates_of(space: Space, seed: int = 0) -> Gates:
    gates = Gates(relaxable(space).values(), RELAXATIONS["darts"], seed)
    noise = torch.Generator().manual_seed(seed)
    for logits in gates.parameters():
        logits.data = torch.randn(logits.shape, generator=noise)
    gates.draw()
    return gates


def counted(layer: nn.Module, shape: object) -> float:
    """A clock that always says the same."""
    return 1.0 + sum(p.numel() for p in layer.parameters())


def test_expected_latency_is_the_sum_over_the_table_and_measures_each_layer_once() -> None:
    calls: list[str] = []

    def measure(layer: nn.Module, shape: object) -> float:
        calls.append(f"{layer} {shape}")
        return counted(layer, shape)

    table, gates = LatencyTable(SHAPE, measure=measure), gates_of(CELLS)
    expected = expected_cost(CELLS, gates, SHAPE, table)
    assert len(calls) == len(set(calls)) == len(table.entries)
    rng = np.random.default_rng(0)
    for _ in range(3):
        arch = sample(CELLS, rng)
        gates.fix(arch)
        assert float(expected(gates.weights)) == pytest.approx(table.total(build(CELLS, arch, seed=0)))
    assert LatencyTable(SHAPE, entries=table.entries).total(build(CELLS, arch, seed=0)) > 0  # nothing to measure


def test_latency_is_measured_here_by_name_and_falls_along_its_gradient() -> None:
    space = Space(
        model=call(nn.Sequential, choice(a=call(nn.Conv2d, 3, 3, 3, padding=1), b=call(nn.Identity), name="layer"))
    )
    gates = gates_of(space)
    value = expected_cost(space, gates, SHAPE, "latency_ms")(gates.weights)
    assert isinstance(value, torch.Tensor) and value.item() > 0
    value.backward()
    assert gates.logits["layer"].grad is not None
    with pytest.raises(SpaceError, match=r"no expected 'latency'.*latency_ms"):
        expected_cost(space, gates, SHAPE, "latency")


class Attention(nn.Module):
    """Attention to itself, or to something that is as large."""

    def __init__(self, other: bool) -> None:
        super().__init__()
        self.other, self.attend = other, nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        key = x + 1 if self.other else x
        out: torch.Tensor = self.attend(x, key, value=key, need_weights=False)[0]
        return out


class Named(nn.Module):
    """A layer that is called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(input=x)
        return out


class Looked(nn.Module):
    """A table that is looked up by whole numbers, and one that is given nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.always = nn.Embedding(3, 8), Always()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.table((x[..., 0] > 0).long()) + self.always()
        return out


class Always(nn.Module):
    """A learned vector."""

    def __init__(self) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(8))

    def forward(self) -> torch.Tensor:
        return self.vector


LAYERS = {
    "attention to itself": call(Attention, False),
    "attention to another": call(Attention, True),
    "encoder": call(nn.TransformerEncoderLayer, 8, 2, 16, batch_first=True),
    "by keyword": call(Named),
    "by whole numbers": call(Looked),
    "parametrised": call(nn.utils.parametrizations.weight_norm, call(nn.Linear, 8, 8, bias=False)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_that_runs_takes_time_however_it_is_called(layer: str) -> None:
    space = Space(model=call(nn.Sequential, choice(a=LAYERS[layer], b=call(nn.Identity), name="layer")))
    table, gates = LatencyTable((5, 8), seconds=0.001), gates_of(space)
    cost = expected_cost(space, gates, (5, 8), table)
    gates.fix(Arch({"layer": "a"}))
    found = float(cost(gates.weights))
    entries = [value for name, value in table.entries.items() if not name.startswith("Identity")]
    assert entries and all(value > 0 for value in entries) and found > 0.999 * sum(entries)  # a kind may be used twice
    assert found == pytest.approx(table.total(build(space, Arch({"layer": "a"}), seed=0)))


def test_layers_are_told_apart_by_all_that_they_are_called_with() -> None:
    given: list[tuple[object, ...]] = []

    def measure(layer: nn.Module, shape: object) -> float:
        with torch.no_grad():
            layer(torch.zeros(shape))  # type: ignore[arg-type]
        given.append((shape, sum(p.numel() for p in layer.parameters())))
        return 1.0

    table = LatencyTable((5, 8), measure=measure)
    for layer in LAYERS.values():
        table.total(build(Space(model=layer), Arch({}), seed=0))
    names = [name for name in table.entries if name.startswith("MultiheadAttention")]
    ends = [
        "[1, 5, 8], input 0, value=input 0, need_weights=False",
        "[1, 5, 8], [1, 5, 8], value=input 1, need_weights=False",
    ]
    assert [sum(name.endswith(end) for name in names) for end in ends] == [1, 1]
    assert any(name.endswith("input=[1, 5, 8]") for name in table.entries)
    assert any(name.startswith("Embedding") and name.endswith("int64[1, 5]") for name in table.entries)
    assert ((1, 5, 8), 4 * 8 * 8 + 4 * 8) in given and ((1, 5), 24) in given and ((1,), 8) in given
    again = LatencyTable((5, 8), measure=measure, entries=table.entries)
    assert sum(again.total(build(Space(model=layer), Arch({}), seed=0)) for layer in LAYERS.values()) > 0
    assert len(given) == len(table.entries)


class Choosy(nn.Module):
    """A layer that looks at its numbers, save where there are none."""

    def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        if not at.is_meta and int(at.sum()) == 0:
            raise ValueError("nothing is chosen")
        return x


class Chosen(nn.Module):
    """A block with a layer that cannot be run on any numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.choosy = Choosy()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.choosy(x, torch.ones(2, dtype=torch.long, device=x.device))
        return out


def test_a_layer_that_cannot_be_timed_is_refused_with_what_to_do() -> None:
    network = build(Space(model=call(Chosen)), Arch({}), seed=0)
    with pytest.raises(SpaceError, match=r"The layer Choosy\(\) cannot be timed .* nothing is chosen.*entries="):
        LatencyTable((5, 8), seconds=0.001).total(network)
    entries = {"Choosy() [] [1, 5, 8], int64[2]": 0.5}
    assert LatencyTable((5, 8), entries=entries).total(network) == 0.5


def best(gates: Gates, cost: ExpectedCost, limit: float) -> float:
    """The largest product of shares within the limit, by trying all."""
    shares = gates.shares()
    found = 0.0
    for labels in product(*(d.options for d in gates.decisions.values())):
        answers = dict(zip(gates.decisions, labels, strict=True))
        gates.fix(answers)
        if float(cost(gates.weights)) <= limit:
            found = max(found, likelihood(gates, shares, answers))
    return found


def likelihood(gates: Gates, shares: dict[str, tuple[float, ...]], answers: object) -> float:
    return float(np.prod([shares[k][d.options.index(answers[k])] for k, d in gates.decisions.items()]))  # type: ignore[index]


inner = choice(small=call(nn.Linear, 8, 8, bias=False), big=call(nn.Linear, 8, 8), none=call(nn.ReLU), name="inner")
NESTED = Space(
    model=call(
        nn.Sequential,
        choice(deep=call(nn.Sequential, inner, inner), flat=call(nn.Linear, 8, 8), no=call(nn.ReLU), name="outer"),
        choice(a=call(nn.Linear, 8, 8), b=call(nn.Identity), name="last"),
        call(nn.Linear, 8, 2),
    )
)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_derived_is_the_best_by_the_gates_that_meets_the_limit(seed: int) -> None:
    gates = gates_of(NESTED, seed)
    cost, shares = expected_cost(NESTED, gates, (8,), "params"), gates.shares()
    for limit in (30, 90, 100, 160, 1000):
        answers = derive_within(gates, [(cost, limit)])
        assert likelihood(gates, shares, answers) == pytest.approx(best(gates, cost, limit))
    assert answers == derive_within(gates, []) == gates.derive()
    with pytest.raises(LimitError, match="takes at least 18 of 10"):
        derive_within(gates, [(cost, 10)])


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_a_limit_is_kept_exactly_in_any_unit(unit: float) -> None:
    layers = {f"w{n}": call(nn.Linear, 8, 8, bias=bool(n)) for n in range(2)}
    space = Space(model=call(nn.Sequential, *(choice(name=f"layer{i}", **layers) for i in range(3))))
    gates = gates_of(space)
    for logits in gates.logits.values():
        logits.data = torch.tensor([0.0, 1.0])
    sizes = {True: unit * (1 + 1e-8), False: unit}  # differ by less than a solver sees

    def costs(network: nn.Module) -> dict[nn.Module, float]:
        own = {m: sizes[m.bias is not None] if isinstance(m, nn.Linear) else 0.0 for m in network.modules()}
        return {m: sum(own[inner] for inner in m.modules()) for m in own}

    expected = expected_cost(space, gates, (8,), costs)
    for most, wide in ((3 * unit, 0), (unit * (3 + 1.5e-8), 1), (unit * (3 + 4e-8), 3)):
        answers = list(derive_within(gates, [(expected, most)]).values())
        assert answers.count("w1") == wide
    with pytest.raises(LimitError):
        derive_within(gates, [(expected, 2.9 * unit)])


def test_several_limits_hold_at_once_on_a_whole_space() -> None:
    gates = gates_of(CELLS)
    gates.logits["edge01"].data[3] = 10.0  # a convolution that is more than there is room for
    costs = {metric: expected_cost(CELLS, gates, SHAPE, metric) for metric in ("macs", "params")}
    limits = [(cost, cost.own + {"macs": 20_000, "params": 500}[metric]) for metric, cost in costs.items()]
    gates.fix(derive_within(gates, limits))
    assert all(float(cost(gates.weights)) <= bound for cost, bound in limits)
    gates.fix(gates.derive())
    assert all(float(cost(gates.weights)) > bound for cost, bound in limits)


kernel, width = choice(1, 3, 5, name="kernel"), choice(4, 8, 16, name="width")
SUPER = Space(
    model=call(
        nn.Sequential,
        call(nn.Conv2d, 3, width, kernel, padding=switch(kernel, {1: 0, 3: 1, 5: 2})),
        call(nn.BatchNorm2d, width),
        call(nn.ReLU),
        call(nn.Conv2d, width, width, 3, padding=1, groups=width),
        call(nn.BatchNorm2d, width),
        call(nn.ReLU),
        call(nn.AdaptiveAvgPool2d, 2),
        call(nn.Flatten),
        call(nn.Linear, width * 4, 5),
    )
)


def test_a_superkernel_at_an_architecture_computes_what_is_lent_for_it() -> None:
    bank = Bank(SUPER)
    thresholds = Thresholds(bank, SUPER.decisions.values())
    network, x = superkernel(bank, thresholds), torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    for arch in enumerate_archs(SUPER):
        thresholds.fix(arch)
        torch.testing.assert_close(network(x), bank.lend(arch)(x), rtol=1e-4, atol=1e-5)
        assert [float(w) for w in thresholds.weights["kernel"]] == [float(arch["kernel"] == k) for k in (1, 3, 5)]


def test_a_step_is_taken_where_its_weights_are_above_the_threshold() -> None:
    bank = Bank(SUPER)
    thresholds = Thresholds(bank, SUPER.decisions.values())
    assert thresholds.derive() == {"kernel": 5, "width": 16}
    ring = bank.extract(Arch({"kernel": 5, "width": 16}))[0].weight.detach().clone()
    ring[:, :, 1:4, 1:4] = 0
    outside = float(ring.square().sum() / (16 * 3 * 16))
    for offset, chosen in ((-1e-4, 5), (1e-4, 3)):
        thresholds.thresholds["kernel"].data[1] = outside + offset
        assert thresholds.derive()["kernel"] == chosen
    thresholds.thresholds["kernel"].data[:] = torch.tensor([10.0, -10.0])  # a step above one that is not taken
    assert thresholds.derive()["kernel"] == 1
    thresholds.draw()
    (superkernel(bank, thresholds)(torch.randn(4, *SHAPE)).sum() + thresholds.weights["width"][2]).backward()
    assert all(t.grad is not None and t.grad.any() for t in thresholds.parameters())


@pytest.mark.parametrize(
    "norm",
    [call(nn.LayerNorm, width), call(nn.LayerNorm, width, elementwise_affine=False), call(nn.RMSNorm, width)],
)
def test_a_norm_over_channels_that_vary_has_no_superkernel(norm: object) -> None:
    parts = [call(nn.Flatten), call(nn.Linear, 64, width), norm, call(nn.Linear, width, 10)]
    space = Space(model=call(nn.Sequential, *parts))
    with pytest.raises(
        SpaceError, match=r"'width' has no superkernel: (LayerNorm|RMSNorm)\(.* at .*2 takes its mean over"
    ):
        Thresholds(Bank(space), [space.decisions["width"]])


@pytest.mark.parametrize(("groups", "kept"), [(2, False), (width // 4, True)])
def test_a_group_norm_has_a_superkernel_where_groups_keep_their_size(groups: object, kept: bool) -> None:
    parts = [call(nn.Conv2d, 3, width, 3), call(nn.GroupNorm, groups, width), call(nn.AdaptiveAvgPool2d, 2)]
    space = Space(model=call(nn.Sequential, *parts, call(nn.Flatten), call(nn.Linear, width * 4, 5)))
    bank, x = Bank(space), torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    if not kept:
        with pytest.raises(SpaceError, match="at model/1 takes its mean"):
            Thresholds(bank, [space.decisions["width"]])
        return
    thresholds = Thresholds(bank, [space.decisions["width"]])
    for arch in enumerate_archs(space):
        thresholds.fix(arch)
        torch.testing.assert_close(superkernel(bank, thresholds)(x), bank.lend(arch)(x), rtol=1e-4, atol=1e-5)


def test_what_changes_more_than_sizes_has_no_superkernel() -> None:
    depth, on = choice(1, 2, name="depth"), choice(a=call(nn.ReLU), b=call(nn.Tanh), name="act")
    space = Space(model=call(nn.Sequential, repeat([call(nn.Linear, 8, 8)] * 2, depth), on))
    for key, words in (("depth", "does not only change how large layers are"), ("act", "between whole numbers")):
        with pytest.raises(SpaceError, match=words):
            Thresholds(Bank(space), [space.decisions[key]])
