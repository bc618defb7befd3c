"""From a network to the space of its parts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archsmith.build import Bank, build
from archsmith.elasticity.analysis import analyse
from archsmith.elasticity.ordering import ordered
from archsmith.elasticity.tracing import trace
from archsmith.elasticity.write import Fixed, Wishes, Writer
from archsmith.errors import SpaceError, UsageError
from archsmith.space import Arch, Call, Space, largest, sample, smallest

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
    example: Tensor | Sequence[int],
    *,
    width: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    depth: bool = True,
    kernel: Sequence[int] = (3, 5),
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
    network computes the same.

    ``leaves`` are classes that are not looked into, with how one is made again: from the module to a ``call``. Raises
    ``SpaceError`` for a network that cannot be followed, or whose numbers the bank does not reproduce.
    """
    x = _example(example)
    model = copy.deepcopy(model).cpu().eval()
    _check(model)
    wishes = Wishes(_shares(width), tuple(kernel), leaves)
    traced = trace(model, x, tuple(leaves))
    pinned: dict[str, str] = {}
    while True:
        analysis = analyse(model, traced, pinned, depth)
        writer = Writer(model, analysis, wishes, pinned)
        space = Space(model=writer.write())
        if not (wrong := _wrong(space, x, seed)):
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


def _example(example: Tensor | Sequence[int]) -> Tensor:
    if isinstance(example, Tensor):
        return example.detach().cpu().clone()
    return torch.randn(2, *example, generator=torch.Generator().manual_seed(0))


def _shares(width: Sequence[float]) -> tuple[float, ...]:
    for share in width:
        if not 0 < share <= 1:
            raise UsageError(f"width holds {share!r}; each must be a share of the full width, above 0 and at most 1.")
    return tuple(width)


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


def _runs(space: Space, arch: Arch, x: Tensor, shape: torch.Size | None) -> str:
    """Return why the network of an architecture does not run on the example, or gives another shape; else ''."""
    try:
        with torch.no_grad():
            found = build(space, arch, seed=0).eval()(x)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return "" if shape is None or found.shape == shape else f"the output would be of shape {list(found.shape)}"


def _wrong(space: Space, x: Tensor, seed: int) -> dict[str, str]:
    """Return the decisions that must not be free, with the reason, by building and running smaller networks."""
    full = largest(space)
    if reason := _runs(space, full, x, None):
        raise SpaceError(
            f"The network cannot be made again from its parts: {reason}. Attributes that are neither modules, tensors "
            "nor plain values are left out; name the class that needs one in leaves=..., with how it is made."
        )
    with torch.no_grad():
        shape = build(space, full, seed=0).eval()(x).shape
    rng = np.random.default_rng(seed)
    tries = [smallest(space), *(sample(space, rng) for _ in range(2))]
    if not any(_runs(space, arch, x, shape) for arch in tries):
        return {}
    wrong: dict[str, str] = {}
    for key, decision in space.decisions.items():
        for option in decision.options:
            if option != full[key] and (reason := _runs(space, Arch({**full, key: option}), x, shape)):
                name = key.removesuffix(".width") if key.endswith(".width") else key
                wrong[name] = f"with {option} the network does not run ({reason})"
                break
    if not wrong:
        raise SpaceError("Networks of this space do not run, though each change alone does.")  # pragma: no cover
    return wrong


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
    off = float((a - b).abs().max() / b.abs().max().clamp(min=1e-12))
    if not off < most:
        raise SpaceError(f"The network made again from its parts computes something else (by {off:.1e} of its size).")
