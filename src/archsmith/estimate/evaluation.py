"""The metrics of a network on a split."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from archsmith.estimate.feed import network_input, on_device
from archsmith.estimate.machine import Machine, autocast
from archsmith.task import Split, Task, inputs, metrics

__all__ = ["evaluate", "evaluation_seconds", "outputs"]


def evaluate(
    network: nn.Module, task: Task, split: Split, machine: Machine, resolution: int | None = None
) -> dict[str, float]:
    """Return the task's metrics of the network, in evaluation mode, on all of ``split``."""
    return dict(metrics(task, outputs(network, task, split.x, machine, resolution), split.y))


def evaluation_seconds(network: nn.Module, task: Task, machine: Machine, resolution: int | None = None) -> float:
    """Return, from a warmed-up part, about how long ``evaluate`` takes on the validation split; a little too much."""
    part = task.valid.x[: _batch(task.valid.x)]
    times = []
    for _ in range(2):
        began = time.monotonic()
        metrics(task, outputs(network, task, part, machine, resolution), task.valid.y[: len(part)])
        times.append(time.monotonic() - began)
    return 1.2 * min(times) * len(task.valid.x) / max(1, len(part)) + 0.02


def outputs(network: nn.Module, task: Task, x: Tensor, machine: Machine, resolution: int | None = None) -> Tensor:
    """Return the network's outputs ``[N, outputs]``, float32 on the CPU, for raw samples ``x`` ``[N, ...]``.

    The network is put into evaluation mode and back into the mode it was in.
    """
    mode = network.training
    network.eval()
    table = task.spec.kind == "table"
    if table:
        x = inputs(task, x)
    preprocess = nn.Identity() if table else on_device(task.preprocess, machine)
    parts = []
    with torch.inference_mode(), autocast(machine):
        for part in torch.split(x, _batch(x)):
            raw = part.to(machine.device, non_blocking=True)
            parts.append(network(network_input(raw, preprocess, resolution, machine)).float())
    network.train(mode)
    return torch.cat(parts).cpu().clone()


def _batch(x: Tensor) -> int:
    """Return how many samples to evaluate at once: about half a million input values, which caches still like."""
    return max(64, min(4096, (1 << 19) // max(1, x[0].numel())))
