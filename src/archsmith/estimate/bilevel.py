"""The two derivatives of a bilevel problem that a first-order method leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["dominant_eigenvalue", "hypergradient"]


def hypergradient(
    train_loss: Callable[[], Tensor],
    valid_loss: Callable[[], Tensor],
    weights: Sequence[Tensor],
    gates: Sequence[Tensor],
    rate: float,
    push: Sequence[Tensor] = (),
) -> list[Tensor]:
    """Return the gradient by the gates of the validation loss after one step of the weights on the training loss.

    The step is ``weights - rate * (gradient + push)`` (DARTS of second order, Liu et al., 2019, there by finite
    differences; here the product with the second derivative is exact). ``push``, one for each weight if any, is what
    the optimiser adds to the gradient. The weights are as before afterwards, to the last bit.
    """
    before = [weight.detach().clone() for weight in weights]
    step = _gradients(train_loss(), weights)
    with torch.no_grad():
        for weight, gradient in zip(weights, step, strict=True):
            weight.sub_(gradient, alpha=rate)
        for weight, more in zip(weights, push, strict=True) if push else ():
            weight.sub_(more, alpha=rate)
    both = _gradients(valid_loss(), [*gates, *weights])
    direct, onward = both[: len(gates)], both[len(gates) :]
    with torch.no_grad():
        for weight, value in zip(weights, before, strict=True):
            weight.copy_(value)
    again = torch.autograd.grad(
        train_loss(), list(weights), create_graph=True, allow_unused=True, materialize_grads=True
    )
    along = sum((a * b).sum() for a, b in zip(again, onward, strict=True))
    assert isinstance(along, Tensor)
    indirect = _gradients(along, gates)
    return [a - rate * b for a, b in zip(direct, indirect, strict=True)]


def dominant_eigenvalue(
    loss: Callable[[], Tensor], gates: Sequence[Tensor], generator: torch.Generator, iterations: int = 30
) -> float:
    """Return the largest eigenvalue, by magnitude, of the loss's second derivative by the gates; power iteration.

    It rises before a differentiable search collapses onto options without parameters (RobustDARTS, Zela et al., 2020).
    """
    first = torch.autograd.grad(loss(), list(gates), create_graph=True, allow_unused=True, materialize_grads=True)
    slope = torch.cat([g.flatten() for g in first])
    vector = torch.randn(slope.shape, generator=generator, device=slope.device)
    value = 0.0
    for _ in range(iterations):
        vector = vector / vector.norm().clamp_min(1e-30)
        parts = torch.autograd.grad(
            slope @ vector, list(gates), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        image = torch.cat([p.flatten() for p in parts])
        value, vector = float(vector @ image), image
    return value


def _gradients(value: Tensor, by: Sequence[Tensor]) -> list[Tensor]:
    # The draw of the gates belongs to several losses, so its graph is kept.
    found = torch.autograd.grad(value, list(by), retain_graph=True, allow_unused=True, materialize_grads=True)
    return [f.detach() for f in found]
