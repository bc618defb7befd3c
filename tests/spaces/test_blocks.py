"""What every block has to do: take any batch, export, run in bfloat16 and channels_last, and start well."""

import pytest
import torch
from torch import nn

from archsmith.build.blocks import (
    AveragePool3x3,
    CellDownsample,
    Classifier,
    ConvNormAct,
    FeatureLinear,
    InvertedBottleneck,
    PeriodicEncoding,
    PlainBlock,
    ReluConvNorm,
    ResidualLinearBlock,
    Shortcut,
    SqueezeExcite,
    TableHead,
    TableStem,
    Zero,
    activation_layer,
    embedding_size,
)

IMAGE = {
    "conv": (lambda: ConvNormAct(6, 8, 5, 2, activation="silu"), (8, 4, 5)),
    "conv_residual": (lambda: ConvNormAct(6, 6, residual=True, activation="gelu"), (6, 7, 9)),
    "excite": (lambda: SqueezeExcite(6), (6, 7, 9)),
    "shortcut": (lambda: Shortcut(6, 8, 2), (8, 4, 5)),
    "plain": (lambda: PlainBlock(6, 8, 3, 2, "hardswish", True), (8, 4, 5)),
    "plain_same": (lambda: PlainBlock(6, 6), (6, 7, 9)),
    "inverted": (lambda: InvertedBottleneck(6, 8, 4, 5, 2, "silu", True), (8, 4, 5)),
    "inverted_same": (lambda: InvertedBottleneck(6, 6, 1), (6, 7, 9)),
    "classifier": (lambda: Classifier(6, 3, 0.5), (3,)),
    "zero": (Zero, (6, 7, 9)),
    "pool": (AveragePool3x3, (6, 7, 9)),
    "relu_conv": (lambda: ReluConvNorm(6, 8, 1), (8, 7, 9)),
    "cell_downsample": (lambda: CellDownsample(6, 12), (12, 4, 5)),
}
TABLE = {
    "stem_plain": (lambda: TableStem(3, [4, 9, 2], 10), (10,)),
    "stem_periodic": (lambda: TableStem(3, [4, 9, 2], 10, 4, frequencies=5, scale=1.0), (10,)),
    "stem_numbers": (lambda: TableStem(6, [], 10), (10,)),
    "stem_codes": (lambda: TableStem(0, [2, 3, 4, 5, 6, 7], 10), (10,)),
    "residual": (lambda: ResidualLinearBlock(6, 12, nn.LayerNorm(6), nn.SiLU(), 0.5), (6,)),
    "residual_batch": (lambda: ResidualLinearBlock(6, 12, nn.BatchNorm1d(6), nn.ReLU()), (6,)),
    "head": (lambda: TableHead(6, 2, nn.Identity(), nn.ReLU(), 0.5), (2,)),
}
EVERY = [(name, make, (6, 7, 9), out) for name, (make, out) in IMAGE.items()] + [
    (name, make, (6,), out) for name, (make, out) in TABLE.items()
]
parametrize = pytest.mark.parametrize(("make", "shape", "out"), [e[1:] for e in EVERY], ids=[e[0] for e in EVERY])


def inputs(shape: tuple[int, ...], batch: int) -> torch.Tensor:
    x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))
    return x if len(shape) == 3 else torch.cat([x[:, :3], torch.ones(batch, 3)], 1)


@parametrize
def test_exported_with_a_dynamic_batch_it_computes_the_same(make, shape, out) -> None:
    network = make().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(network, (inputs(shape, 2),), dynamic_shapes=({0: batch},)).module()
    for size in (1, 2, 7):
        x = inputs(shape, size)
        result = network(x)
        assert result.shape == (size, *out)
        torch.testing.assert_close(exported(x), result)
        torch.testing.assert_close(network(x), result, rtol=0, atol=0)


@parametrize
def test_a_training_step_in_bfloat16_and_channels_last_reaches_every_parameter(make, shape, out) -> None:
    network, x = make(), inputs(shape, 8)
    if len(shape) == 3:
        network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        result = network(x)
    assert result.shape == (8, *out)
    if any(True for _ in network.parameters()):
        result.float().square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@parametrize
def test_it_costs_nothing_on_the_meta_device(make, shape, out) -> None:
    with torch.device("meta"):
        network = make().eval()
        assert network(torch.empty(2, *shape)).shape == (2, *out)


@pytest.mark.parametrize("make", [lambda: PlainBlock(6, 6), lambda: InvertedBottleneck(6, 6)])
def test_residual_branches_start_at_zero(make) -> None:
    x = inputs((6, 7, 9), 4).relu()
    torch.testing.assert_close(make()(x), x)


def test_a_block_that_changes_its_shape_starts_with_something_to_say() -> None:
    for network in (PlainBlock(6, 8), InvertedBottleneck(6, 8), InvertedBottleneck(6, 6, stride=2)):
        assert network(inputs((6, 7, 9), 4)).std() > 0.1


def test_known_parameter_counts() -> None:
    def count(network: nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    assert count(ReluConvNorm(16, 16, 3)) == 2336
    assert count(ReluConvNorm(64, 64, 1)) == 4224
    assert count(CellDownsample(16, 32)) == 4672 + 9280 + 512
    assert count(PlainBlock(16, 16)) == 2 * 2336
    # MobileNetV2's first bottleneck, 32 to 16 channels without expansion, as in the reference implementations.
    assert count(InvertedBottleneck(32, 16, 1)) == 32 * 9 + 64 + 32 * 16 + 32


def test_codes_that_cannot_be_count_as_unknown() -> None:
    stem = TableStem(1, [3], 4).eval()
    rows = torch.tensor([[0.5, 0.0], [0.5, 7.0], [0.5, -2.0], [0.5, 2.0]])
    out = stem(rows)
    torch.testing.assert_close(out[1], out[0])
    torch.testing.assert_close(out[2], out[0])
    assert not torch.allclose(out[3], out[0])


def test_periodic_encoding_is_cosines_then_sines() -> None:
    network = PeriodicEncoding(2, 3, 0.1)
    x = inputs((6,), 5)[:, :2]
    angle = 2 * torch.pi * network.frequency * x[:, :, None]
    torch.testing.assert_close(network(x), torch.cat([angle.cos(), angle.sin()], -1))


def test_feature_linear_keeps_features_apart() -> None:
    network, x = FeatureLinear(3, 4, 5), inputs((6, 7, 9), 2)[:, :3, 0, :4]
    alone = [x[:, i] @ network.weight[i] + network.bias[i] for i in range(3)]
    torch.testing.assert_close(network(x), torch.stack(alone, 1))


def test_embedding_size_follows_the_count_of_codes() -> None:
    assert [embedding_size(c, 8) for c in (1, 2, 3, 10, 1000)] == [1, 1, 2, 5, 8]


def test_an_unknown_activation_is_an_error() -> None:
    with pytest.raises(KeyError):
        activation_layer("rellu")
