"""Sorting channels by importance: what is cut from the front should be what matters."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from archsmith.elasticity.analysis import Analysis
from archsmith.elasticity.flow import Stored
from archsmith.elasticity.widths import Axis, Width, resolve

__all__ = ["ordered"]


@torch.no_grad()
def ordered(model: nn.Module, analysis: Analysis) -> nn.Module:
    """Return the network with the units of every free width in the order of their importance; it computes the same.

    A unit is as important as the absolute weights with which later layers read it, each layer's by their mean. A unit
    moves in all tensors that know it at once.
    """
    model = copy.deepcopy(model)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    found: dict[Width, Tensor] = {}
    for stored in analysis.flow.stored.values():
        if stored.reads:
            _add(found, stored, tensors[stored.tensor])
    orders = {
        width: torch.argsort(importance, descending=True, stable=True)
        for width, importance in found.items()
        if not width.fixed
    }
    for stored in analysis.flow.stored.values():
        tensor = tensors[stored.tensor]
        index = _index(stored.axis, orders)
        tensor.copy_(tensor.index_select(stored.dim, index))
    return model


def _add(found: dict[Width, Tensor], stored: Stored, weight: Tensor) -> None:
    """Add the absolute weights, by unit, of a layer that reads channels."""
    rows = weight.detach().abs().transpose(0, stored.dim).flatten(1).sum(1)
    rows = rows / rows.mean().clamp(min=1e-12)
    at = 0
    for width, each in resolve(stored.axis):
        size = width.size * each
        share = rows[at : at + size].view(width.size, each).sum(1)
        found[width] = found[width] + share if width in found else share
        at += size


def _index(axis: Axis, orders: Mapping[Width, Tensor]) -> Tensor:
    """Return where the places of an axis come from once its units are in order."""
    parts, at = [], 0
    for width, each in resolve(axis):
        units = orders.get(width, torch.arange(width.size))
        parts.append((at + units[:, None] * each + torch.arange(each)).flatten())
        at += width.size * each
    return torch.cat(parts)
