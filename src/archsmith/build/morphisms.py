"""Changes of a network that leave what it computes as it is: more to learn with, and nothing forgotten.

Net2Net (Chen et al., 2016) and network morphism (Wei et al., 2016), on torch's own layers; and inheritance, by a bank.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from archsmith.build.bank import Bank
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space

__all__ = ["grow_kernel", "identity_like", "inherit", "silence", "widen"]


def inherit(
    space: Space, parent: Arch, weights: nn.Module | Mapping[str, Tensor], child: Arch, seed: int = 0
) -> nn.Module:
    """Return the child's network with all that it shares with its parent, cut to its own sizes.

    ``weights`` are the parent's network or ``state_dict``. What the parent lacks begins as ``seed`` says.
    """
    bank = Bank(space, seed, survey=False)
    bank.absorb(parent, weights)
    return bank.extract(child)


@torch.no_grad()
def widen(layer: nn.Module, norm: nn.Module | None, following: nn.Module, width: int, rng: np.random.Generator) -> None:
    """Give ``layer`` ``width`` outputs, in place, by repeating drawn ones; what follows sees each by its share.

    ``layer`` and ``following`` are linear layers or ungrouped convolutions, with nothing between them that mixes
    channels; ``norm`` is the batch norm between them. A linear layer may follow a convolution through a flattening: its
    inputs are then so many for each channel. Raises ``SpaceError`` for other layers, and for a width that is smaller.
    """
    for part in (layer, following):
        if not isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) or getattr(part, "groups", 1) > 1:
            raise SpaceError(
                f"A {type(part).__name__} cannot be widened: give linear layers or ungrouped convolutions."
            )
    weight, after = layer.weight, following.weight
    assert isinstance(weight, Tensor) and isinstance(after, Tensor)
    before = len(weight)
    if width < before:
        raise SpaceError(f"A layer of {before} outputs cannot be widened to {width}.")
    source = torch.from_numpy(np.concatenate([np.arange(before), rng.integers(before, size=width - before)]))
    share = 1.0 / torch.bincount(source, minlength=before)[source].to(after.dtype)
    each = after.shape[1] // before  # features of a channel, where it was flattened
    columns = (source[:, None] * each + torch.arange(each)).flatten()
    shape = (-1, *[1] * (after.ndim - 2))
    _replace(layer, "weight", weight[source])
    if isinstance(layer.bias, Tensor):
        _replace(layer, "bias", layer.bias[source])
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = None if norm is None else getattr(norm, name)
        if norm is not None and value is not None:
            _replace(norm, name, value[source])
    _replace(following, "weight", after[:, columns] * share.repeat_interleave(each).view(shape))
    for module, names in ((layer, ("out_features", "out_channels")), (following, ("in_features", "in_channels"))):
        for name in names:
            if hasattr(module, name):
                setattr(module, name, width * each if name == "in_features" else width)
    if norm is not None:
        norm.num_features = width  # type: ignore[assignment]


@torch.no_grad()
def identity_like(layer: nn.Module) -> nn.Module:
    """Return a new layer that keeps what ``layer`` returns, to be put behind it or behind its ReLU.

    For a linear layer a linear one, for a convolution one of its kernel and stride 1. Raises ``SpaceError`` for others,
    and for even kernels, which have no middle.
    """
    if isinstance(layer, nn.Linear):
        made = nn.Linear(layer.out_features, layer.out_features).to(layer.weight)
        made.weight.copy_(torch.eye(layer.out_features))
        made.bias.zero_()
        return made
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and all(size % 2 for size in layer.kernel_size):
        kernel = tuple(layer.kernel_size)
        pad = tuple(size // 2 for size in kernel)
        conv = type(layer)(layer.out_channels, layer.out_channels, kernel, padding=pad)  # type: ignore[arg-type]
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        return conv.to(layer.weight)
    raise SpaceError(f"There is no identity like {layer}: give a linear layer or a convolution with odd kernels.")


@torch.no_grad()
def grow_kernel(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d, kernel: int) -> None:
    """Give a convolution a larger kernel, in place, with zeros around the old one and more padding.

    Raises ``SpaceError`` where the old kernel has no place in the middle, or the padding is not of zeros.
    """
    extra = [kernel - size for size in conv.kernel_size]
    if any(e < 0 or e % 2 for e in extra) or conv.padding_mode != "zeros":
        raise SpaceError(
            f"{conv} cannot get a kernel of {kernel}: it must be larger by an even number, padded by zeros."
        )
    _replace(conv, "weight", nn.functional.pad(conv.weight, [e // 2 for e in reversed(extra) for _ in range(2)]))
    conv.kernel_size = tuple(kernel for _ in extra)
    if not isinstance(conv.padding, str):
        conv.padding = tuple(p + d * e // 2 for p, d, e in zip(conv.padding, conv.dilation, extra, strict=True))
        conv._reversed_padding_repeated_twice = [p for p in reversed(conv.padding) for _ in range(2)]


@torch.no_grad()
def silence(branch: nn.Module) -> None:
    """Make a branch return zeros, in place, so that adding it changes nothing: its last layer with weights is zeroed.

    What comes after that layer must keep zeros, as ReLU and pooling do. Its gradient is not zero, so it learns.
    """
    layers = [m for m in branch.modules() if isinstance(getattr(m, "weight", None), Tensor)]
    if not layers:
        raise SpaceError(f"{type(branch).__name__} has no layer with weights to zero.")
    for parameter in layers[-1].parameters(recurse=False):
        parameter.zero_()


def _replace(module: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor of another shape in the place of a parameter or buffer."""
    old = getattr(module, name)
    new = value.detach().clone()
    setattr(module, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
