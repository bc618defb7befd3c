"""The optimiser a recipe asks for, in the fastest form the device has."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from archsmith.estimate.settings import Settings

__all__ = ["follow", "make_optimizer", "push_of", "set_rate"]


def make_optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return an optimiser over the network's trainable parameters.

    Vectors and scalars (biases, the scales of normalisation) are not decayed: shrinking them regularises nothing. A
    bank says in their names which of its boxes are vectors in the networks.
    """
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    trainable = [p for _, p in named]
    groups = [
        {"params": [p for name, p in named if _decays(name, p)], "weight_decay": settings.decay},
        {"params": [p for name, p in named if not _decays(name, p)], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # One fused kernel for all parameters; MPS has it as well, other devices fall back to the loop over tensors.
    fused = all(p.device.type in ("cpu", "cuda", "mps") and p.is_floating_point() for p in trainable)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.peak_lr, betas=(settings.momentum, 0.99), fused=fused)
    return torch.optim.SGD(
        groups, lr=settings.peak_lr, momentum=settings.momentum, nesterov=settings.momentum > 0, fused=fused
    )


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not name.endswith(" vector")


def follow(optimizer: torch.optim.Optimizer, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
    """Make the optimiser ready for parameters that come, grow, and are not all used in every step.

    ``parameters`` are all there are, by name. What is new joins the groups of its kind; what grew begins without a
    past. Momentum begins at zero rather than with a parameter's first step, which is the same, since fused kernels want
    that of all parameters or of none.
    """
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in parameters:
        if id(parameter) not in known and parameter.requires_grad:
            optimizer.param_groups[0 if _decays(name, parameter) else -1]["params"].append(parameter)
        state = optimizer.state.get(parameter, {})
        if any(isinstance(v, torch.Tensor) and v.ndim and v.shape != parameter.shape for v in state.values()):
            del optimizer.state[parameter]
        if isinstance(optimizer, torch.optim.SGD) and optimizer.defaults["momentum"] and parameter.requires_grad:
            optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))


def push_of(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> list[torch.Tensor]:
    """Return what an optimiser's next step adds to each parameter's gradient: weight decay, and the momentum it has."""
    decays = {id(p): (group["weight_decay"], group.get("momentum", 0.0)) for group in optimizer.param_groups
              for p in group["params"]}  # fmt: skip
    found = []
    for parameter in parameters:
        decay, momentum = decays[id(parameter)]
        velocity = optimizer.state.get(parameter, {}).get("momentum_buffer")
        push = decay * parameter.detach()
        found.append(push if velocity is None else push + momentum * velocity)
    return found


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
