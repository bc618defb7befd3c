"""The gradient of a step on several networks of a bank: of each number the mean over the networks that have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from archsmith.build.bank import Bank
from archsmith.build.places import Place

__all__ = ["average_gradients"]


@torch.no_grad()
def average_gradients(bank: Bank, networks: Sequence[Mapping[Place, Tensor]]) -> None:
    """Divide the gradients that networks have added up in the bank, each number's by how many networks have it.

    ``networks`` are what each one borrowed, as ``Lent.borrowed`` tells. So an option that one path of several takes
    gets that path's own gradient, what all share gets the mean of all, and the outer channels of a width the mean over
    the wide ones: every number moves as far in a step as it would in a training of one network, and a recipe for one
    network holds. FairNAS (Chu et al., 2021) and BigNAS (Yu et al., 2020) add up instead, which comes to the same for
    an option of strictly fair sampling, but moves what all paths share as many times as far.
    """
    if len(networks) < 2:
        return
    uses: dict[Tensor, list[tuple[Place, tuple[int, ...]] | None]] = {}
    for borrowed in networks:
        for place, shared in borrowed.items():
            uses.setdefault(shared, []).append((place, bank.reach(place)))
            for matrix in bank.matrices(place):
                uses.setdefault(matrix, []).append(None)
    for shared, parts in uses.items():
        if shared.grad is None or len(parts) == 1:
            continue
        if all(part is None or part[1] == tuple(shared.shape) for part in parts):
            shared.grad /= len(parts)
            continue
        counts = torch.zeros_like(shared.grad)
        for place, sizes in filter(None, parts):
            place.region(counts, sizes).add_(1.0)
        shared.grad /= counts.clamp_min_(1.0)
