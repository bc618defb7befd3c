"""Costs beside counts by hand."""

import pytest
import torch
from torch import nn

from archsmith.build import Cost, cost, meta_cost
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, call

FLOAT = 4


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0]


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)


@pytest.mark.parametrize(
    ("make", "shape", "macs"),
    [
        (lambda: nn.Conv2d(3, 8, 3, padding=1), (3, 10, 10), 8 * 3 * 9 * 100),
        (lambda: nn.Conv2d(3, 8, 5, stride=2), (3, 11, 11), 8 * 3 * 25 * 16),
        (lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8), (8, 10, 10), 8 * 9 * 100),
        (lambda: nn.Linear(8, 4), (8,), 32),
        (lambda: nn.Linear(8, 4), (5, 8), 5 * 32),
        (Recurrent, (5, 8), 5 * 4 * 16 * (8 + 16)),
        (Attention, (2, 7, 8), 2 * 2 * 7 * 7 * 8),
        (encoder, (5, 16), 5 * 16 * 64 + 2 * 5 * 5 * 16 + 2 * 5 * 16 * 32),
    ],
    ids=["conv", "strided", "depthwise", "linear", "linear on rows", "lstm", "attention", "transformer"],
)
def test_multiply_adds_equal_the_count_by_hand(make: object, shape: tuple[int, ...], macs: int) -> None:
    assert callable(make)
    assert cost(make, shape).macs == cost(make(), shape).macs == macs
    assert cost(make, shape, batch=3).macs == 3 * macs


def test_activation_memory_is_the_most_that_is_alive_at_once() -> None:
    wide = nn.Sequential(nn.Linear(100, 1000), nn.Linear(1000, 10), nn.Linear(10, 2000))
    # The input stays; the last layer holds 10 and 2000, the middle one 1000 and 10.
    assert cost(wide, (100,)).activation_bytes == FLOAT * (100 + 10 + 2000)
    assert cost(wide, (100,), batch=4).activation_bytes == 4 * FLOAT * (100 + 10 + 2000)


def test_working_in_place_saves_memory_and_a_skip_costs_it() -> None:
    conv, values = nn.Conv2d(4, 4, 3, padding=1), 4 * 6 * 6
    assert cost(nn.Sequential(conv, nn.ReLU()), (4, 6, 6)).activation_bytes == FLOAT * 3 * values
    assert cost(nn.Sequential(conv, nn.ReLU(inplace=True)), (4, 6, 6)).activation_bytes == FLOAT * 2 * values


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(4), nn.ReLU(), nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.Sigmoid()])
def test_the_short_way_past_slow_rules_counts_what_the_long_way_counts(layer: nn.Module) -> None:
    # Channels last is not a plain layout, so it shows that the layout is kept too.
    counted = cost(nn.Sequential(nn.Conv2d(4, 4, 1).to(memory_format=torch.channels_last), layer), (4, 6, 6))
    assert counted.activation_bytes == FLOAT * 3 * 4 * 36
    assert counted.output_shape == (4, 6, 6)


def test_a_shared_parameter_is_counted_once() -> None:
    layer = nn.Linear(8, 8)
    assert cost(nn.Sequential(layer, nn.ReLU(), layer), (8,)) == Cost(72, 128, FLOAT * 3 * 8, (8,))


def test_counting_leaves_the_network_and_torch_as_they_were() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    before = {k: v.clone() for k, v in network.state_dict().items()}
    fast = torch.backends.mha.get_fastpath_enabled()
    cost(network, (1, 6, 6))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.device.type == "cpu" for p in network.parameters())
    assert torch.backends.mha.get_fastpath_enabled() == fast


class LooksAtNumbers(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        rates = [float(rate) for rate in torch.linspace(0, 0.5, depth)]
        self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.Dropout(rate)) for rate in rates))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def test_a_block_that_looks_at_numbers_while_it_is_made_is_counted_too() -> None:
    assert meta_cost(Space(model=call(LooksAtNumbers, 3)), Arch({}), (8,)).macs == 3 * 64


def test_a_network_that_returns_no_tensor_is_refused() -> None:
    with pytest.raises(SpaceError, match="one tensor"):
        cost(nn.LSTM(8, 8), (5, 8))
