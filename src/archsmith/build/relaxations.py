"""The differentiable methods of the literature, each a function from one decision's logits to its options' weights.

Logits may have leading axes: each row is then a draw of its own. The methods differ in nothing else: bank, network,
gates and loop are the same for all. See ``relax.Relaxation``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from archsmith.build.relax import Relaxation

__all__ = ["RELAXATIONS", "binary", "concrete", "dirichlet", "gumbel", "hard", "softmax"]


def softmax(logits: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """All options, each by its share (DARTS, Liu et al., 2019)."""
    return logits.softmax(-1)


def gumbel(logits: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """One option, drawn by its share; the gradient is that of a soft draw, from warm to cold (GDAS, Dong, 2019)."""
    soft = _concrete(logits, generator, 10.0 - 9.9 * progress)
    return hard(soft, soft.argmax(-1))


def concrete(logits: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """A soft draw of all options, colder and colder (SNAS, Xie et al., 2019; FBNet, Wu et al., 2019)."""
    return _concrete(logits, generator, 5.0 * (0.1 / 5.0) ** progress)


def dirichlet(logits: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """A draw from the simplex, with pathwise gradients (DrNAS, Chen et al., 2021)."""
    gammas = torch._standard_gamma(functional.elu(logits) + 1.0, generator=generator)
    return gammas / gammas.sum(-1, keepdim=True)


def binary(logits: Tensor, generator: torch.Generator, progress: float) -> tuple[Tensor, Tensor]:
    """One option, drawn by its share; the gradient is as if the shares had been the weights (ProxylessNAS, Cai, 2019).

    That gradient needs what the other options would have computed, so all are run.
    """
    shares = logits.softmax(-1)
    drawn = torch.multinomial(shares.detach(), 1, generator=generator).squeeze(-1)
    return hard(shares, drawn), shares > 0


def hard(soft: Tensor, index: Tensor) -> Tensor:
    """Return exactly one for the option at ``index`` and zero for the others, with the gradient of ``soft``."""
    return functional.one_hot(index, soft.shape[-1]) + (soft - soft.detach())


def _concrete(logits: Tensor, generator: torch.Generator, temperature: float) -> Tensor:
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device).clamp_min(1e-20)
    return ((logits.log_softmax(-1) - (-uniform.log()).log()) / temperature).softmax(-1)


RELAXATIONS: Mapping[str, Relaxation] = MappingProxyType(
    {
        "darts": softmax,
        "gdas": gumbel,
        "snas": concrete,
        "drnas": dirichlet,
        "proxyless": binary,
        "fbnet": concrete,
        "pcdarts": softmax,
    }
)
"""What the methods draw weights by, by name; some differ in other things, see ``archsmith.estimate.GATE_METHODS``."""
