"""One training step: the only code that runs once per batch, and the same for training and for measuring."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from archsmith.estimate.augmentation import mix
from archsmith.estimate.machine import Machine, autocast
from archsmith.estimate.settings import Settings
from archsmith.task import Task, loss

__all__ = ["Step", "apply_gradients", "make_loss", "make_step"]


Step = Callable[[Tensor, Tensor], Tensor]
"""Train on network inputs ``[B, ...]`` and targets ``[B]``, both on the device; return the loss, not waited for."""


def make_loss(
    network: nn.Module, task: Task, settings: Settings, machine: Machine, generator: torch.Generator
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function from network inputs ``[B, ...]`` and targets ``[B]`` to the training loss, a scalar.

    It is computed in float32 whatever the precision of the network.
    """
    weights = None if task.class_weights is None else task.class_weights.to(machine.device)
    smoothing = settings.label_smoothing if task.spec.goal == "classification" else 0.0

    def forward(x: Tensor) -> Tensor:
        with autocast(machine):
            outputs: Tensor = network(x)
        return outputs.float()

    def compute(x: Tensor, y: Tensor) -> Tensor:
        if settings.mixup == 0:
            return loss(task, forward(x), y, label_smoothing=smoothing, weights=weights)
        x, order, share = mix(x, settings.mixup, generator)
        outputs = forward(x)
        own, other = (
            loss(task, outputs, target, label_smoothing=smoothing, weights=weights) for target in (y, y[order])
        )
        return torch.lerp(own, other, share)

    return compute


def make_step(
    network: nn.Module,
    task: Task,
    settings: Settings,
    machine: Machine,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> Step:
    """Return the function that trains the network on one batch and returns the loss, a scalar on the device."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    compute = make_loss(network, task, settings, machine, generator)

    def step(x: Tensor, y: Tensor) -> Tensor:
        value = compute(x, y)
        value.backward()  # type: ignore[no-untyped-call]
        apply_gradients(parameters, settings, optimizer)
        return value.detach()

    return step


def apply_gradients(parameters: list[nn.Parameter], settings: Settings, optimizer: torch.optim.Optimizer) -> None:
    """Clip the gradients, let the optimiser step, and clear them."""
    if settings.clip > 0:
        nn.utils.clip_grad_norm_(parameters, settings.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
