"""Changes of a network that leave what it computes as it is: more to learn with, and nothing forgotten.

Net2Net (Chen et al., 2016) and network morphism (Wei et al., 2016), on torch's own layers; and inheritance, by a bank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from archsmith.build.bank import Bank
from archsmith.build.slices import Rule
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space

__all__ = ["grow_kernel", "identity_like", "inherit", "silence", "widen"]


def inherit(
    space: Space,
    parent: Arch,
    weights: nn.Module | Mapping[str, Tensor],
    child: Arch,
    seed: int = 0,
    note: Callable[[str], object] | None = None,
    rules: Mapping[type, Rule] | None = None,
) -> nn.Module:
    """Return the child's network with all that it shares with its parent, cut to its own sizes.

    ``weights`` are the parent's network or ``state_dict``. What the parent lacks begins as ``seed`` says. ``note`` is
    called with a sentence about what of the weights the parent has no place for, if there is any. ``rules`` are those
    of a bank.
    """
    bank = Bank(space, seed, rules, survey=False)
    lost = bank.absorb(parent, weights)
    if lost and note is not None:
        note(
            f"{len(lost)} of the inherited tensors have no place of their shape in the parent's network, and were left "
            f"out: {', '.join(lost)}"
        )
    return bank.extract(child)


@torch.no_grad()
def widen(layer: nn.Module, norm: nn.Module | None, following: nn.Module, width: int, rng: np.random.Generator) -> None:
    """Give ``layer`` ``width`` outputs, in place, by repeating drawn ones; what follows sees each by its share.

    The shares of a unit and its repetitions are drawn, for each output of ``following`` anew, and add up to one: so the
    function stays, but gradients differ from the first step, and the units learn different things.

    ``layer`` and ``following`` are linear layers or ungrouped convolutions, with nothing between them that mixes
    channels or has numbers for each, but for ``norm``, the batch norm or instance norm between them. A linear layer may
    follow a convolution through a flattening: its inputs are then so many for each channel. Raises ``SpaceError`` for
    other layers and norms, for layers that do not fit, and for a width that is smaller; nothing is changed then.
    """
    weight, after = _widenable(layer), _widenable(following)
    before = len(weight)
    _check_norm(norm, before)
    each = _places_of_a_channel(layer, following)  # more than one where the map was flattened
    if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < before:
        raise SpaceError(
            f"A layer of {before} outputs cannot be widened to {width!r}: give a whole number of at least {before}."
        )
    source = torch.from_numpy(np.concatenate([np.arange(before), rng.integers(before, size=int(width) - before)]))
    columns = (source[:, None] * each + torch.arange(each)).flatten()
    share = _shares(source, len(after), before, rng).repeat_interleave(each, 1)
    share = share.view(*share.shape, *[1] * (after.ndim - 2)).to(after)
    _replace(layer, "weight", weight[source])
    if isinstance(layer.bias, Tensor):
        _replace(layer, "bias", layer.bias[source])
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = None if norm is None else getattr(norm, name)
        if norm is not None and value is not None:
            _replace(norm, name, value[source])
    _replace(following, "weight", after[:, columns] * share)
    for module, names in ((layer, ("out_features", "out_channels")), (following, ("in_features", "in_channels"))):
        for name in names:
            if hasattr(module, name):
                setattr(module, name, int(width) * each if name == "in_features" else int(width))
    if norm is not None:
        norm.num_features = int(width)  # type: ignore[assignment]


_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)


def _widenable(part: nn.Module) -> nn.Parameter:
    """Return the weight of a layer that can be widened, or followed."""
    if not isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) or getattr(part, "groups", 1) > 1:
        raise SpaceError(f"A {type(part).__name__} cannot be widened: give linear layers or ungrouped convolutions.")
    if isinstance(part.weight, nn.UninitializedParameter):
        raise SpaceError(f"{part} has no size yet: run the network once on an example first.")
    if not isinstance(part.weight, nn.Parameter):  # weight norm and the like compute it at every call
        raise SpaceError(f"The weight of {part} is computed from others; make it plain first: remove_parametrizations.")
    return part.weight


def _check_norm(norm: nn.Module | None, before: int) -> None:
    """Refuse a norm that would not keep the function: one that looks at more than one channel at a time."""
    if norm is None:
        return
    if not isinstance(norm, _NORMS):
        raise SpaceError(
            f"A {type(norm).__name__} between the layers cannot be widened: only batch norm and instance norm treat "
            "each channel for itself, so that repeated ones change nothing. Give one of those, or None for no norm."
        )
    if norm.num_features != before:
        raise SpaceError(
            f"{norm} is for {norm.num_features} channels and the layer has {before} outputs: give the norm behind it."
        )


def _places_of_a_channel(layer: nn.Module, following: nn.Module) -> int:
    """Return how many inputs in a row of the following layer read one output."""
    if following is layer:
        raise SpaceError("A layer cannot be widened where it follows itself: its inputs would have to grow as well.")
    outputs, inputs = len(layer.weight), following.weight.shape[1]  # type: ignore[arg-type,index]
    flattened = isinstance(following, nn.Linear) and not isinstance(layer, nn.Linear)
    if inputs == outputs or (flattened and inputs % outputs == 0):
        return int(inputs) // outputs
    allowed = f"{outputs}, or a multiple of it where a map was flattened" if flattened else f"{outputs}"
    raise SpaceError(
        f"{following} has {inputs} inputs and cannot follow a layer of {outputs} outputs. It must have {allowed}."
    )


def _shares(source: Tensor, outputs: int, before: int, rng: np.random.Generator) -> Tensor:
    """Return random shares for each output and unit; those of one source add up to one.

    They differ between outputs, since optimisers that divide by the size of a gradient, as Adam does, would undo shares
    that only scale it.
    """
    drawn = torch.from_numpy(rng.uniform(0.5, 1.5, size=(outputs, len(source))))  # no share is next to nothing
    total = torch.zeros(outputs, before, dtype=drawn.dtype).index_add_(1, source, drawn)
    return drawn / total[:, source]


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
    if conv.padding == "valid":  # none, but the larger kernel needs some; "same" means more of it by itself
        conv.padding = tuple(0 for _ in extra)
    if not isinstance(conv.padding, str):
        conv.padding = tuple(p + d * e // 2 for p, d, e in zip(conv.padding, conv.dilation, extra, strict=True))
        conv._reversed_padding_repeated_twice = [p for p in reversed(conv.padding) for _ in range(2)]


@torch.no_grad()
def silence(branch: nn.Module, example: Tensor | None = None) -> None:
    """Make a branch return zeros, in place, so that adding it changes nothing: its last layer with weights is zeroed.

    What comes after that layer must keep zeros, as ReLU and pooling do. Its gradient is not zero, so it learns.

    With ``example``, an input of the branch with its batch, the last layer is the one that runs last, and it is tried
    that the branch then returns zeros. Without, the order must be known: that of one layer, or of an ``nn.Sequential``
    that ends in torch's own. Raises ``SpaceError`` for other branches, and where no layer alone makes the branch return
    zeros; nothing is changed then.
    """
    if not any(_has_weight(m) for m in branch.modules()):
        raise SpaceError(f"{type(branch).__name__} has no layer with weights to zero.")
    if example is None:
        _zero(_last_in_sequence(branch))
        return
    training = {module: module.training for module in branch.modules()}
    branch.eval()  # norms shall learn nothing from the example
    try:
        for layer in _last_first(branch, example):
            kept = [(p, p.clone()) for p in layer.parameters(recurse=False)]
            _zero(layer)
            if not branch(example).any():
                return
            for parameter, value in kept:
                parameter.copy_(value)
    finally:
        for module, mode in training.items():
            module.training = mode
    raise SpaceError(
        f"No layer of {type(branch).__name__} alone makes it return zeros. End it with one layer with weights, such as "
        "a 1x1 convolution or a norm, and with nothing behind it that makes zeros into something else, as sigmoid does."
    )


# Layers that are nothing but zeros where their weights are, and those that keep zeros.
_ZEROED = (
    *(nn.Linear, nn.Bilinear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, *_NORMS),
)
_KEEPS_ZEROS = (
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Upsample),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardshrink, nn.Softshrink, nn.Tanh, nn.Tanhshrink, nn.Softsign, nn.PixelShuffle),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)


def _has_weight(module: nn.Module) -> bool:
    return isinstance(module._parameters.get("weight"), nn.Parameter)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters(recurse=False):
        parameter.zero_()


def _in_order(branch: nn.Module) -> list[nn.Module]:
    """Return the parts of nested sequences in the order in which they run."""
    if type(branch).forward is nn.Sequential.forward:
        return [part for child in branch.children() for part in _in_order(child)]
    return [branch]


def _last_in_sequence(branch: nn.Module) -> nn.Module:
    """Return the last layer with weights, where that is certain without running anything."""
    for part in reversed(_in_order(branch)):
        if type(part) in _KEEPS_ZEROS:
            continue
        if type(part) in _ZEROED and _has_weight(part):
            return part
        raise SpaceError(
            f"Which layer of {type(branch).__name__} runs last, and what comes of its zeros, cannot be told without "
            f"running it, because of {type(part).__name__}. Give an input of the branch: silence(branch, example)."
        )
    raise SpaceError(f"{type(branch).__name__} has no layer with weights that can make it return zeros.")


def _last_first(branch: nn.Module, example: Tensor) -> list[nn.Module]:
    """Return the layers with weights, the last to run first; those used without a call stand where their owner ends."""
    ended: list[nn.Module] = []
    handles = [m.register_forward_hook(lambda module, _, __: ended.append(module)) for m in branch.modules()]
    try:
        out = branch(example)
    except Exception as error:
        raise SpaceError(
            f"{type(branch).__name__} does not run on the example of shape {list(example.shape)}: "
            f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(out, Tensor):
        raise SpaceError(f"{type(branch).__name__} returns a {type(out).__name__}; a branch must return one tensor.")
    called, found = set(ended), list[nn.Module]()
    for owner in reversed(ended):
        inside = [m for m in owner.modules() if m is owner or m not in called]
        found += [m for m in reversed(inside) if _has_weight(m) and m not in found]
    return found


def _replace(module: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor of another shape in the place of a parameter or buffer."""
    old = getattr(module, name)
    new = value.detach().clone()
    setattr(module, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
