"""The cell space against the published costs of NAS-Bench-201 (Dong & Yang 2020)."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archsmith.build.blocks import Cell
from archsmith.space import Arch, Space, count, evaluate
from archsmith.spaces.cell import EDGES, OPERATIONS, cell_model
from archsmith.spec import Spec

CIFAR10 = Spec("image", "classification", (3, 32, 32), 10, 50_000)

OPTIMUM = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"  # no. 13714
INDEX_9 = "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
INDEX_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


def arch_of(text: str) -> Arch:
    operations = [part.split("~")[0] for part in text.replace("+", "").split("|") if part]
    return Arch(dict(zip(EDGES, operations, strict=True)))


def costs(arch: Arch) -> tuple[int, int]:
    """Multiply-adds and parameters, on the meta device."""
    with torch.device("meta"):
        network = network_of(arch).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 3, 32, 32))
    return counter.get_total_flops() // 2, sum(p.numel() for p in network.parameters())


def network_of(arch: Arch, spec: Spec = CIFAR10) -> nn.Module:
    space = Space(model=cell_model(spec))
    return evaluate(space, arch, lambda call, path, args, kwargs: call.target(*args, **kwargs))["model"]


def formula(arch: Arch) -> tuple[int, int]:
    """The published cost formulas, by how many edges are convolutions."""
    chosen = list(arch.values())
    n3, n1 = chosen.count("nor_conv_3x3"), chosen.count("nor_conv_1x1")
    params = 5 * ((2336 * n3 + 288 * n1) + (9280 * n3 + 1088 * n1) + (36992 * n3 + 4224 * n1)) + 73_306
    return 15 * (2304 * n3 + 256 * n1) * 1024 + 7_783_040, params


def test_there_are_15625_cells() -> None:
    space = Space(model=cell_model(CIFAR10))
    assert count(space) == 15_625
    assert list(space.decisions) == list(EDGES)


def test_the_optimum_costs_what_was_published() -> None:
    macs, params = costs(arch_of(OPTIMUM))
    assert round(macs / 1e6, 3) == 153.273
    assert params == 1_073_466


@pytest.mark.parametrize(
    ("text", "macs", "params"),
    [
        ("|skip_connect~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|skip_connect~2|", 7_783_040, 73_306),
        ("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+" + "|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
         220_119_680, 1_531_546),
    ],
)  # fmt: skip
def test_the_extremes_cost_what_was_published(text: str, macs: int, params: int) -> None:
    assert costs(arch_of(text)) == (macs, params)


@pytest.mark.parametrize("text", [INDEX_0, INDEX_9, OPTIMUM])
def test_costs_follow_the_formulas(text: str) -> None:
    assert costs(arch_of(text)) == formula(arch_of(text))


def test_three_3x3_and_two_1x1_convolutions_cost_what_index_3558_costs() -> None:
    operations = ["nor_conv_3x3"] * 3 + ["nor_conv_1x1"] * 2 + ["skip_connect"]
    assert costs(Arch(dict(zip(EDGES, operations, strict=True)))) == (121_815_680, 858_426)


class Times(nn.Module):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def test_the_six_edges_join_the_nodes_in_the_published_order() -> None:
    a, b, c, d, e, f = 2, 3, 5, 7, 11, 13
    out = Cell(*map(Times, (a, b, c, d, e, f)))(torch.ones(1))
    assert out.item() == d + e * a + f * (b + c * a)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_decision_holds_in_all_fifteen_cells(operation: str) -> None:
    arch = Arch({name: operation if name == "edge13" else "none" for name in EDGES})
    cells = [m for m in network_of(arch).modules() if isinstance(m, Cell)]
    assert len(cells) == 15
    assert len({type(cell.edge13) for cell in cells}) == 1
    assert len({id(cell.edge13) for cell in cells}) == 15


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 64, 64), (3, 100, 60)])
def test_the_skeleton_takes_other_sizes(shape: tuple[int, ...]) -> None:
    network = network_of(arch_of(INDEX_0), Spec("image", "classification", shape, 7, 1_000)).eval()
    with torch.no_grad():
        assert network(torch.randn(2, *shape)).shape == (2, 7)
