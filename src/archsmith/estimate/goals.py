"""What gates minimise where cost counts: from the loss and the weights of the gates to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["Goal", "added", "limited", "multiplied"]

Goal = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""From the validation loss and the weights of the gates to what the gates minimise."""

_Cost = Callable[[Mapping[str, Tensor]], Tensor | float]


def added(cost: _Cost, weight: float, target: float = 1.0) -> Goal:
    """Return ``loss + weight * cost / target`` (SNAS; ProxylessNAS, Cai et al., 2019, there with weight 0.1)."""
    return lambda loss, weights: loss + weight * cost(weights) / target


def multiplied(cost: _Cost, scale: float = 0.2, power: float = 0.6, target: float | None = None) -> Goal:
    """Return ``scale * loss * log(cost)^power`` (FBNet, Wu et al., 2019), the cost in a unit in which it is above 1.

    With a ``target`` it is ``scale * loss * (log(cost) / log(target))^power`` (ProxylessNAS: scale 0.2, power 0.3).
    """

    def goal(loss: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        value = torch.as_tensor(cost(weights)).log()
        if target is not None:
            value = value / torch.tensor(target).log()
        return scale * loss * value.clamp_min(1e-6) ** power

    return goal


def limited(cost: _Cost, limit: float, weight: float = 1.0) -> Goal:
    """Return ``loss + weight * (cost / limit - 1)`` where the cost is above the limit, and the loss where it is not."""
    return lambda loss, weights: loss + weight * (torch.as_tensor(cost(weights)) / limit - 1).clamp_min(0)
