"""Partial channels: a mixture sees one part of the channels, and the rest passes it by (PC-DARTS, Xu et al., 2020)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsmith.build.relax import Gates, MakeMixed, Mixed
from archsmith.errors import SpaceError
from archsmith.space import Answer

__all__ = ["PartialMixed", "partial_channels", "thin"]


_POOLS: Mapping[int, Callable[..., Tensor]] = {
    1: functional.adaptive_max_pool1d,
    2: functional.adaptive_max_pool2d,
    3: functional.adaptive_max_pool3d,
}
"""By how many axes follow the channels."""


class PartialMixed(nn.Module):
    """A mixture over the first channels; the others join the result, pooled where it is smaller, and are shuffled in.

    The options are made thinner, and borrow the first slices of what they borrow at full width.
    """

    def __init__(self, parts: int, gates: Gates, key: str, path: str, options: Mapping[Answer, nn.Module]) -> None:
        super().__init__()
        self.parts, self.path = parts, path
        self.mixed = Mixed(gates, key, path, {label: thin(o, parts, path) for label, o in options.items()})

    def forward(self, x: Tensor) -> Tensor:
        """Return as many channels as there were. Raises ``SpaceError`` where the options return others."""
        count = x.shape[1] // self.parts
        try:
            out: Tensor = self.mixed.total(x[:, :count])
        except RuntimeError as error:
            if not x.is_meta:
                raise
            raise SpaceError(f"The options at {self.path} do not take one in {self.parts} channels: {error}") from error
        if out.shape[1] != count or x.shape[1] % self.parts:
            raise SpaceError(
                f"The options at {self.path} cannot be mixed on one in {self.parts} channels: they get {count} of "
                f"{x.shape[1]} and return {out.shape[1]}. They must keep the number of channels, and it must divide. "
                "Use a space whose options do, such as 'cell' for images, or another method."
            )
        if self.parts == 1:
            return self.mixed.gates.scaled(self.mixed.key, out)
        rest = x[:, count:]
        if rest.shape[2:] != out.shape[2:]:
            rest = self._pooled(rest, out.shape[2:])
        joined = torch.cat([out, rest], 1)
        shuffled = joined.view(len(x), self.parts, count, *joined.shape[2:]).transpose(1, 2).flatten(1, 2)
        return self.mixed.gates.scaled(self.mixed.key, shuffled)

    def _pooled(self, rest: Tensor, size: torch.Size) -> Tensor:
        """Return the channels that pass by, as large as what the options return."""
        if len(size) not in _POOLS or rest.ndim - 2 != len(size):
            raise SpaceError(
                f"The options at {self.path} get {list(rest.shape[2:])} values of each channel and return "
                f"{list(size)}, so the channels that pass them by cannot be pooled to that: both must have the same "
                "1, 2 or 3 axes after the channels. Use another method for this space."
            )
        pooled: Tensor = _POOLS[len(size)](rest, tuple(size))
        return pooled


def partial_channels(parts: int = 4) -> MakeMixed:
    """Return how ``Gates(..., mix=...)`` mixes on one in ``parts`` channels, at about that share of time and memory.

    The published value is 4. A search network, and no longer the sum of standalone ones: one-hot gates do not make it
    the lent network. Options are made of torch's convolutions, linear layers and norms, and of what has no weights.
    """
    return partial(PartialMixed, parts)


def thin(module: nn.Module, parts: int, path: str) -> nn.Module:
    """Divide all channels of the layers in a module by ``parts``, in place, and return it.

    Raises ``SpaceError`` with ``path`` for layers with weights that it does not know, and for what does not divide.
    """
    for layer in module.modules():
        for kinds, names, cut in _LAYERS:
            if isinstance(layer, kinds) and len(getattr(layer, "normalized_shape", (0,))) == 1:
                _divide(layer, names, parts, path)
                for name, tensor in [*layer._parameters.items(), *layer._buffers.items()]:
                    if tensor is not None and tensor.ndim:
                        _cut(layer, name, tensor, cut(layer, tensor))
                break
        else:
            if any(True for _ in layer.parameters(recurse=False)):
                raise SpaceError(
                    f"A {type(layer).__name__} at {path} cannot be made thinner: partial channels are for options of "
                    "torch's convolutions, linear layers and norms over channels. Use another method for this space."
                )
    return module


def _divide(layer: nn.Module, names: tuple[str, ...], parts: int, path: str) -> None:
    if getattr(layer, "groups", 1) == getattr(layer, "in_channels", 0):  # depthwise
        names = (*names, "groups")
    for name in names:
        size = math.prod(getattr(layer, name)) if name == "normalized_shape" else int(getattr(layer, name))
        if size % parts:
            raise SpaceError(
                f"{layer} at {path} cannot be divided into {parts} parts: {name} is {size}. Choose widths that are "
                f"multiples of {parts}."
            )
        setattr(layer, name, (size // parts,) if name == "normalized_shape" else size // parts)


def _cut(layer: nn.Module, name: str, tensor: Tensor, sizes: tuple[int, ...]) -> None:
    small = tensor.detach()[tuple(slice(size) for size in sizes)].clone()
    if name in layer._parameters:
        layer._parameters[name] = nn.Parameter(small, tensor.requires_grad)
    else:
        layer._buffers[name] = small


def _convolution(layer: nn.Module, tensor: Tensor) -> tuple[int, ...]:
    out, inputs, groups = (int(getattr(layer, n)) for n in ("out_channels", "in_channels", "groups"))
    return (out, inputs // groups, *tensor.shape[2:])[: tensor.ndim]


def _linear(layer: nn.Module, tensor: Tensor) -> tuple[int, ...]:
    return (int(layer.out_features), int(layer.in_features))[: tensor.ndim]  # type: ignore[arg-type]


def _norm(layer: nn.Module, tensor: Tensor) -> tuple[int, ...]:
    return (int(layer.num_features),)  # type: ignore[arg-type]


def _layer_norm(layer: nn.Module, tensor: Tensor) -> tuple[int, ...]:
    return tuple(layer.normalized_shape)  # type: ignore[arg-type]


_LAYERS: tuple[tuple[tuple[type, ...], tuple[str, ...], Callable[[nn.Module, Tensor], tuple[int, ...]]], ...] = (
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), ("in_channels", "out_channels"), _convolution),
    ((nn.Linear,), ("in_features", "out_features"), _linear),
    ((nn.modules.batchnorm._NormBase,), ("num_features",), _norm),
    ((nn.LayerNorm,), ("normalized_shape",), _layer_norm),
)
