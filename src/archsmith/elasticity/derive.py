"""From a network to the space of its parts."""

from __future__ import annotations

import copy
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from archsmith.build import Bank
from archsmith.elasticity.analysis import analyse
from archsmith.elasticity.ordering import ordered
from archsmith.elasticity.running import shapes_in, tensors_in, unable
from archsmith.elasticity.tracing import trace
from archsmith.elasticity.write import Fixed, Wishes, Writer
from archsmith.errors import SpaceError, UsageError
from archsmith.space import Arch, Call, Space, largest

__all__ = ["Elastic", "elastic"]


@dataclass(frozen=True)
class Elastic:
    """A network made elastic.

    ``space`` is an ordinary space, ``arch`` the architecture of the network as it was given, and ``bank`` holds its
    weights: what is lent for ``arch`` computes what the network did. ``fixed`` lists what cannot vary, and why.
    """

    space: Space
    bank: Bank
    arch: Arch
    fixed: tuple[Fixed, ...]


def elastic(
    model: nn.Module,
    example: Tensor | Sequence[int] | int,
    *,
    width: Sequence[float] | float = (0.25, 0.5, 0.75, 1.0),
    depth: bool = True,
    kernel: Sequence[int] | int = (3, 5),
    order: bool = True,
    leaves: Mapping[type, Callable[[Any], Call]] = MappingProxyType({}),
    seed: int = 0,
) -> Elastic:
    """Return the space of a network's parts, with the network's weights in a bank.

    ``example`` is an input with its batch, or the shape of one sample. ``width`` are shares of every number of
    channels, each group of layers that must agree being one decision; ``()`` leaves them alone. ``depth`` lets blocks
    be left out: residual ones, and items of a sequence that keep the shape. ``kernel`` are sizes to which larger
    kernels of the same parity may shrink about their middle. With ``order`` the channels are sorted by importance
    first, the sum of absolute weights with which later layers read them, since the first ones are those that stay; the
    network computes the same. A plain number stands for a sequence of one.

    ``leaves`` are classes that are not looked into, with how one is made again: from the module to a ``call``. The
    network may return tensors in tuples, lists and dicts; every parameter of what is made trains. Raises ``UsageError``
    for arguments that cannot be, and ``SpaceError`` for a network that cannot be followed, or whose numbers the bank
    does not reproduce.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"model is {model!r:.80}; it must be an nn.Module: your network itself, not its class or its path."
        )
    x = _example(example)
    wishes = Wishes(_shares(width), _kernels(kernel), leaves)
    for name, value in (("depth", depth), ("order", order)):
        if not isinstance(value, bool):
            raise UsageError(f"{name} is {value!r}; it must be True or False.")
    model = copy.deepcopy(model).cpu().eval()
    _check(model)
    traced = trace(model, x, tuple(leaves))
    pinned: dict[str, str] = {}
    while True:
        analysis = analyse(model, traced, pinned, depth)
        writer = Writer(model, analysis, wishes, pinned)
        space = Space(model=writer.write())
        if not (wrong := unable(space, x, seed, writer.unwritten)):
            break
        if wrong.keys() <= pinned.keys():
            raise SpaceError(f"{', '.join(wrong)} cannot vary, and could not be fixed: {'; '.join(wrong.values())}.")
        pinned |= wrong
    arch = largest(space)
    if order:
        model = ordered(model, analysis)
    bank = Bank(space, seed)
    bank.absorb(arch, model)
    _compare(bank, arch, model, x)
    return Elastic(space, bank, arch, tuple(writer.fixed.values()))


def _example(example: Tensor | Sequence[int] | int) -> Tensor:
    if isinstance(example, Tensor):
        return example.detach().cpu().clone()
    sizes = _several(example)
    if sizes is None or not all(_is(size, numbers.Integral) and size > 0 for size in sizes):
        raise UsageError(
            f"example is {example!r:.80}; it must be an input of the network with its batch, a tensor, or the shape of "
            "one sample without the batch, such as (3, 32, 32)."
        )
    return torch.randn(2, *(int(size) for size in sizes), generator=torch.Generator().manual_seed(0))


def _shares(width: Sequence[float] | float) -> tuple[float, ...]:
    allowed = "a share of the full width, above 0 and at most 1"
    if (shares := _several(width)) is None:
        raise UsageError(f"width is {width!r}; it must hold shares, such as (0.25, 0.5, 1.0), each {allowed}.")
    for share in shares:
        if not _is(share, numbers.Real) or not 0 < share <= 1:
            raise UsageError(f"width holds {share!r}; each must be {allowed}.")
    return tuple(float(share) for share in shares)


def _kernels(kernel: Sequence[int] | int) -> tuple[int, ...]:
    if (sizes := _several(kernel)) is None:
        raise UsageError(f"kernel is {kernel!r}; it must hold sizes of kernels, such as (3, 5): whole numbers above 0.")
    for size in sizes:
        if not _is(size, numbers.Integral) or size < 1:
            raise UsageError(f"kernel holds {size!r}; each must be a size of a kernel, a whole number above 0.")
    return tuple(int(size) for size in sizes)


def _several(value: Any) -> tuple[Any, ...] | None:
    """Return what an argument holds, a plain number as the only one; None where it is neither."""
    if _is(value, numbers.Real):
        return (value,)
    if isinstance(value, str | bytes | Mapping):
        return None
    try:
        return tuple(value)
    except TypeError:
        return None


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _check(model: nn.Module) -> None:
    for name, value in model.named_parameters():
        if value.dtype != torch.float32:
            raise SpaceError(f"{name} is of {value.dtype}; make the network elastic in float32: model.float().")
        if isinstance(value, nn.UninitializedParameter):
            raise SpaceError(f"{name} has no size yet: run the network once on an example first.")
    for name, module in model.named_modules():
        if nn.utils.parametrize.is_parametrized(module):
            raise SpaceError(
                f"{name} is parametrised (weight norm, spectral norm or the like), so its weights cannot be cut. Make "
                "them plain first: torch.nn.utils.parametrize.remove_parametrizations(module, 'weight')."
            )


def _compare(bank: Bank, arch: Arch, model: nn.Module, x: Tensor) -> None:
    """Raise where the bank's network does not compute what the model does: in float64, where its code can."""
    mine, theirs = bank.extract(arch).eval(), model.eval()
    with torch.no_grad():
        most = 1e-6
        try:
            wide = x.double() if x.is_floating_point() else x
            a, b = copy.deepcopy(mine).double()(wide), copy.deepcopy(theirs).double()(wide)
        except (RuntimeError, TypeError):  # code that makes float32 numbers of its own
            most, a, b = 1e-3, mine(x), theirs(x)
    again, given = tensors_in(a), tensors_in(b)
    if shapes_in(a) != shapes_in(b):
        raise SpaceError(f"The network made again from its parts returns {shapes_in(a)} in place of {shapes_in(b)}.")
    for place, tensor in given.items():
        if not tensor.numel():
            continue
        size = tensor.double().abs().max().clamp(min=1e-12)
        off = float((again[place].double() - tensor.double()).abs().max() / size)
        if not off < most:
            where = f" at {place} of the output" if place else ""
            raise SpaceError(
                f"The network made again from its parts computes something else{where} (by {off:.1e} of its size)."
            )
