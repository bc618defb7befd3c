"""The order of a bank's channels: those with the largest weights first, since narrow networks have the first ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from archsmith.build.bank import Bank
from archsmith.build.places import Place
from archsmith.errors import SpaceError
from archsmith.space import Arch, cover, valid
from archsmith.space.cover import ends

__all__ = ["sort_channels"]

_ROUNDING = 1e-3  # of the largest result: accelerators multiply with ten bits


@dataclass(frozen=True)
class _Axis:
    """An axis of a tensor of the bank that a decision sizes."""

    place: Place
    axis: int
    size: int


@torch.no_grad()
def sort_channels(bank: Bank, x: Tensor, keys: Collection[str] | None = None) -> dict[str, str]:
    """Sort the channels of each width by the L1 norm of their weights, in place (Once-for-All, Cai et al., 2020).

    What a decision sizes, in all layers, is put into one order, so the networks that have all of it compute what they
    did before, and those that have less keep what weighs most. That is tried on ``x``, an input of the networks: an
    order that changes a result is taken back, such as one across the groups of a group norm. Do it when the largest
    network is trained, before the widths are, and make the optimiser anew. Returns, by decision (``keys``, or all
    numbers), ``""`` where it was done, or why it was not.
    """
    space, found = bank.space, dict[str, str]()
    wide = [arch for arch in cover(space) if all(_is_most(bank, arch, key) for key in arch) and valid(space, arch)]
    mode = bank.training
    bank.eval()
    try:
        for key in space.decisions if keys is None else keys:
            if len(set(map(repr, ends(space.decisions[key])))) == 2:
                found[key] = _sort(bank, key, [arch for arch in wide if key in arch], x)
    finally:
        bank.train(mode)
    return found


def _is_most(bank: Bank, arch: Arch, key: str) -> bool:
    low, high = ends(bank.space.decisions[key])
    return repr(low) == repr(high) or arch[key] == high


def _sort(bank: Bank, key: str, archs: list[Arch], x: Tensor) -> str:
    axes: dict[tuple[str, int], _Axis] = {}
    for arch in archs:
        whole = {place.key: place for place in bank.places(arch)}
        try:
            small = {place.key: place for place in bank.places(Arch({**arch, key: ends(bank.space.decisions[key])[0]}))}
        except SpaceError:  # other decisions are asked then
            return "it changes which layers there are"
        if whole.keys() != small.keys():
            return "it changes which layers there are"
        for name, place in whole.items():
            for axis, size in enumerate(place.layout.sizes):
                if size != small[name].layout.sizes[axis]:
                    if axis in place.layout.centred:
                        return "it sizes kernels, not channels"
                    axes[name, axis] = _Axis(place, axis, size)
    if not axes:
        return "it sizes no weights"
    channels = min(axis.size for axis in axes.values())
    if any(axis.size % channels or bank.tensor(axis.place).shape[axis.axis] != axis.size for axis in axes.values()):
        return "its layers have sizes that are not multiples of each other"
    learned = [a for a in axes.values() if a.place.learned]
    weighing = [
        a for a in learned if a.place.tensor.ndim > 1
    ] or learned  # what is made by scales alone is told by them
    if not weighing:
        return "it sizes no weights"
    before = [bank.lend(arch)(x) for arch in archs]
    norms = torch.stack([_norms(bank.tensor(a.place), a.axis, channels) for a in weighing]).sum(0)
    order = torch.argsort(norms, descending=True, stable=True)
    _permute(bank, axes.values(), order)
    after = [bank.lend(arch)(x) for arch in archs]
    if all(_alike(a, b) for a, b in zip(before, after, strict=True)):
        return ""
    _permute(bank, axes.values(), torch.argsort(order))
    return "the networks would compute something else"


def _alike(before: Tensor, after: Tensor) -> bool:
    """Return whether results differ by rounding only, whatever their size."""
    return bool((after - before).abs().max() <= _ROUNDING * before.abs().max())


def _norms(tensor: Tensor, axis: int, channels: int) -> Tensor:
    return tensor.abs().movedim(axis, 0).reshape(channels, -1).sum(1)


def _permute(bank: Bank, axes: Iterator[_Axis] | Collection[_Axis], order: Tensor) -> None:
    for axis in axes:
        tensor = bank.tensor(axis.place)
        each = tensor.shape[axis.axis] // len(order)  # features of a channel, where it was flattened
        index = (order[:, None] * each + torch.arange(each, device=order.device)).flatten()
        tensor.copy_(tensor.index_select(axis.axis, index))
