"""One training on several processes: each takes its part of every batch, and all take the same step.

The processes are those of ``torch.distributed``, once its group is made. Everything here does nothing without one.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn

from archsmith.errors import UsageError

__all__ = ["add_up", "own_part", "processes", "rank"]


def processes() -> int:
    """Return how many processes train together."""
    there = distributed.is_available() and distributed.is_initialized()
    return int(distributed.get_world_size()) if there else 1


def rank() -> int:
    """Return which of them this one is, from 0."""
    return int(distributed.get_rank()) if processes() > 1 else 0


def own_part(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return this process's part of a batch; all parts are of one size, so that the mean of means is the mean.

    Raises ``UsageError`` where the batch cannot be divided.
    """
    count = processes()
    if len(y) % count:
        raise UsageError(
            f"A batch of {len(y)} cannot be divided among {count} processes: set batch_size to a multiple of {count}."
        )
    part = slice(rank() * len(y) // count, (rank() + 1) * len(y) // count)
    return (x, y) if count == 1 else (x[part], y[part])


@torch.no_grad()
def add_up(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """Replace the gradients by their mean over all processes, in place, and return the mean loss.

    Every process must have gradients for the same parameters, as it has when all took the same path.
    """
    count = processes()
    if count == 1:
        return loss
    gradients = [p.grad for p in parameters if p.grad is not None]
    joined = torch.cat([loss.reshape(1), *(g.flatten() for g in gradients)])  # one message instead of many
    distributed.all_reduce(joined)
    joined /= count
    sizes = [g.numel() for g in gradients]
    for gradient, mean in zip(gradients, torch.split(joined[1:], sizes), strict=True):
        gradient.copy_(mean.view_as(gradient))
    return joined[0]
