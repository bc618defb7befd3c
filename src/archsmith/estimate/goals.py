"""What gates minimise where cost counts: from the loss and the weights of the gates to one number."""

from __future__ import annotations

import math
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


def multiplied(cost: _Cost, scale: float = 0.2, power: float = 0.6, target: float = math.e) -> Goal:
    """Return ``scale * loss * (1 + log(cost / target))^power``, and below the target ``(cost / target)^power``.

    That is FBNet's ``log(cost)^power`` (Wu et al., 2019) with the cost counted in a unit in which the target is e, so
    that it says the same in any unit and is ``scale * loss`` at the target; e itself, the default, leaves the cost's
    own unit. ProxylessNAS's ``(log(cost) / log(target))^power`` (Cai et al., 2019: scale 0.2, power 0.3) is the same
    in that unit. Below it the logarithm goes on along its tangent, since it would have no power where it is negative.
    """

    def goal(loss: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        value = torch.as_tensor(cost(weights)) / target
        above = 1 + value.clamp_min(1).log()
        return scale * loss * torch.where(value > 1, above, value.clamp_min(1e-6)) ** power

    return goal


def limited(cost: _Cost, limit: float, weight: float = 1.0) -> Goal:
    """Return ``loss + weight * (cost / limit - 1)`` where the cost is above the limit, and the loss where it is not."""
    return lambda loss, weights: loss + weight * (torch.as_tensor(cost(weights)) / limit - 1).clamp_min(0)
