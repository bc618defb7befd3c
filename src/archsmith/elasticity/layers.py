"""How torch's layers treat channels: one rule for each kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from archsmith.elasticity.flow import Flow, Labels
from archsmith.elasticity.widths import unify

__all__ = ["PASSING", "RULES", "LayerRule"]

LayerRule = Callable[[Flow, str, Any, Labels, tuple[int, ...], tuple[int, ...]], Labels]
"""From the flow, the layer's path, the layer, its input's labels and shape and its output's shape to the labels of the
output."""


def _linear(flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]) -> Labels:
    inside = flow.given(path, "in_features", x[-1], layer.in_features)
    out = flow.own(path, "out_features", layer.out_features)
    flow.keep(path, "weight", (out, inside), reads=1)
    flow.keep(path, "bias", (out,))
    return (*x[:-1], out)


def _convolution(
    flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]
) -> Labels:
    at = len(x) - len(layer.kernel_size) - 1
    _no_channels(flow, path, x[at + 1 :])
    transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    inside = flow.given(path, "in_channels", x[at], layer.in_channels)
    if layer.groups == 1:
        out = flow.own(path, "out_channels", layer.out_channels)
        flow.keep(path, "weight", (inside, out) if transposed else (out, inside), reads=0 if transposed else 1)
    else:  # fewer channels are fewer groups of the same size
        ((groups, _),) = flow.own(path, "groups", layer.groups)
        unify(inside, ((groups, layer.in_channels // layer.groups),), path)
        out = ((groups, layer.out_channels // layer.groups),)
        flow.sizes[path, "out_channels"] = out
        flow.keep(path, "weight", (inside if transposed else out, None))
    flow.keep(path, "bias", (out,))
    return (*x[:at], out, *x[at + 1 :])


def _norm(flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]) -> Labels:
    at = len(x) - 3 if isinstance(layer, nn.InstanceNorm1d) else 1
    at = len(x) - 4 if isinstance(layer, nn.InstanceNorm2d) else at
    axis = flow.given(path, "num_features", x[at], layer.num_features)
    for name in ("weight", "bias", "running_mean", "running_var"):
        flow.keep(path, name, (axis,))
    return x


def _group_norm(
    flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]
) -> Labels:
    axis = flow.given(path, "num_channels", x[1], layer.num_channels)
    if layer.num_groups > 1:  # as with grouped convolutions
        ((groups, _),) = flow.own(path, "num_groups", layer.num_groups)
        unify(axis, ((groups, layer.num_channels // layer.num_groups),), path)
    for name in ("weight", "bias"):
        flow.keep(path, name, (axis,))
    return x


def _layer_norm(
    flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]
) -> Labels:
    first = len(x) - len(layer.normalized_shape)
    axes = [flow.given(path, f"normalized_shape {i}", x[first + i], n) for i, n in enumerate(layer.normalized_shape)]
    for name in ("weight", "bias"):
        flow.keep(path, name, axes)
    return x


def _prelu(flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]) -> Labels:
    if layer.num_parameters > 1:
        flow.keep(path, "weight", (flow.given(path, "num_parameters", x[1], layer.num_parameters),))
    return x


def _embedding(flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]) -> Labels:
    words = flow.new(layer.num_embeddings, path, "it is the number of words")
    out = flow.own(path, "embedding_dim", layer.embedding_dim)
    flow.keep(path, "weight", (words, out))
    return (*x, out)


def _flatten(flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]) -> Labels:
    return flow.reshaped(x, before, after, lambda i: False, path)


def _unflatten(flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]) -> Labels:
    at, sizes = layer.dim % len(before), layer.unflattened_size
    return flow.reshaped(x, before, after, lambda i: at <= i < at + len(sizes) and sizes[i - at] != -1, path)


def _pool(flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]) -> Labels:
    """Everything that changes the axes after the channels, each channel for itself."""
    changed = len(x) - int(next(digit for digit in type(layer).__name__ if digit.isdigit()))
    _no_channels(flow, path, x[changed:])
    return x


def _upsample(flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]) -> Labels:
    _no_channels(flow, path, x[2:])
    return x


def _pixel_shuffle(
    flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]
) -> Labels:
    if (axis := x[-3]) is None:
        return x
    out = flow.own(path, "channels", after[-3])
    unify(axis, tuple((width, layer.upscale_factor**2) for width, _ in out), path)
    return (*x[:-3], out, None, None)


def _encoder_layer(
    flow: Flow, path: str, layer: Any, x: Labels, before: tuple[int, ...], after: tuple[int, ...]
) -> Labels:
    """Attention has heads of its own; the hidden layer is free."""
    flow.pin_all([x], f"it goes through the attention of {path}, whose size is that of its heads")
    flow.left[f"{path}.self_attn"] = "its size is that of its heads"
    flow.left[f"{path}.linear2"] = f"it is added to what goes through the attention of {path}"
    hidden = flow.own(path, "dim_feedforward", layer.linear1.out_features)
    flow.keep(path, "linear1.weight", (hidden, None))
    flow.keep(path, "linear1.bias", (hidden,))
    flow.keep(path, "linear2.weight", (None, hidden), reads=1)
    return (None,) * len(x)


def _no_channels(flow: Flow, path: str, labels: Labels) -> None:
    flow.pin_all([labels], f"it is an axis that {path} works along")


PASSING = frozenset(
    {
        *(nn.AlphaDropout, nn.CELU, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.ELU, nn.GELU),
        *(nn.FeatureAlphaDropout, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity, nn.LeakyReLU),
        *(nn.LogSigmoid, nn.LogSoftmax, nn.Mish, nn.RReLU, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid),
        *(nn.Softmax, nn.Softmax2d, nn.Softmin, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink),
        nn.Threshold,
    }
)
"""Layers that treat all channels alike and keep the shape."""

_DIMENSIONS = ("1d", "2d", "3d")
_POOLS = ("MaxPool", "AvgPool", "LPPool", "AdaptiveMaxPool", "AdaptiveAvgPool")
_PADS = ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad", "ConstantPad")

RULES: Mapping[type, LayerRule] = MappingProxyType(
    {
        nn.Linear: _linear,
        **{getattr(nn, f"{kind}{d}"): _convolution for kind in ("Conv", "ConvTranspose") for d in _DIMENSIONS},
        **{getattr(nn, f"{kind}{d}"): _norm for kind in ("BatchNorm", "InstanceNorm") for d in _DIMENSIONS},
        **{getattr(nn, f"{kind}{d}"): _pool for kind in (*_POOLS, *_PADS) for d in _DIMENSIONS},
        nn.GroupNorm: _group_norm,
        nn.LayerNorm: _layer_norm,
        nn.RMSNorm: _layer_norm,
        nn.PReLU: _prelu,
        nn.Embedding: _embedding,
        nn.Flatten: _flatten,
        nn.Unflatten: _unflatten,
        nn.Upsample: _upsample,
        nn.PixelShuffle: _pixel_shuffle,
        nn.TransformerEncoderLayer: _encoder_layer,
        **dict.fromkeys(PASSING, lambda flow, path, layer, x, before, after: x),
    }
)
"""The rule of each layer; a layer without one is left as it is, and so is what goes in."""
