"""Signs that a differentiable search collapses, and when to stop it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archsmith.build.relax import Gating, Mixed
from archsmith.estimate.bilevel import dominant_eigenvalue

__all__ = ["Guard", "Watched", "dominance", "eigenvalue"]


@dataclass(frozen=True)
class Watched:
    """What a guard may look at after an epoch: gates, network, and the loss on validation samples, with new graph."""

    gates: Gating
    network: nn.Module
    loss: Callable[[], Tensor]
    generator: torch.Generator


@dataclass(frozen=True)
class Guard:
    """A sign that is measured after every epoch, and written in the curve as ``name``.

    ``back`` is given all values so far; it returns None to go on, or by how many epochs too late it is: the search ends
    with the gates as they were then.
    """

    name: str
    measure: Callable[[Watched], float]
    back: Callable[[Sequence[float]], int | None]


def eigenvalue(ratio: float = 0.75, window: int = 5, iterations: int = 10) -> Guard:
    """Stop when the loss curves too sharply in the gates, and go back ``window`` epochs (DARTS-ES, Zela et al., 2020).

    The sign is the dominant eigenvalue of the validation loss's second derivative by the gates. It is smoothed over
    ``window`` epochs, and when that of ``window`` epochs ago is less than ``ratio`` of it, it has risen too fast.
    """

    def back(values: Sequence[float]) -> int | None:
        if len(values) < 2 * window:
            return None
        now, before = (sum(map(abs, part)) for part in (values[-window:], values[-2 * window : -window]))
        return window if before < ratio * now else None

    def measure(watched: Watched) -> float:
        return dominant_eigenvalue(watched.loss, watched.gates.parameters(), watched.generator, iterations)

    return Guard("eigenvalue", measure, back)


def dominance(most: float = 0.5) -> Guard:
    """Stop when more than a share of the decisions prefers an option without weights (P-DARTS, Chen et al., 2019).

    Such options, skips above all, learn fastest and do least; the search ends with the gates of the epoch before.
    """

    def measure(watched: Watched) -> float:
        empty: dict[str, bool] = {}
        shares = watched.gates.shares()
        for module in watched.network.modules():
            if isinstance(module, Mixed):
                weights = shares[module.key]
                best = module.options[weights.index(max(weights))]
                empty[module.key] = empty.get(module.key, True) and next(best.parameters(), None) is None
        return sum(empty.values()) / max(1, len(empty))

    return Guard("weightless", measure, lambda values: 1 if values[-1] > most else None)
