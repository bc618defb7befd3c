"""The training samples, on the device as tensors, and the batches of an epoch."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsmith.estimate.augmentation import augment
from archsmith.estimate.machine import Machine, place_batch
from archsmith.estimate.settings import Settings
from archsmith.task import Task, inputs

__all__ = ["Feed", "make_feed", "network_input", "on_device", "subset"]


@dataclass(frozen=True)
class Feed:
    """The samples of a training and how they become batches.

    An epoch is ``steps`` batches of ``batch`` samples in the order of ``order(epoch, seed)``; the fewer than
    ``batch`` samples that are left over differ in every epoch.
    """

    x: Tensor
    y: Tensor
    preprocess: nn.Module
    augmentations: tuple[str, ...]
    fill: float
    resolution: int | None
    batch: int
    steps: int
    machine: Machine

    def order(self, epoch: int, seed: int) -> Tensor:
        """Return the order of the samples in the epoch, a function of the seed and the epoch alone."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % (1 << 63))
        return torch.randperm(len(self.y), generator=generator).to(self.x.device)

    def take(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the augmented network inputs and the targets of the samples at ``indices``."""
        device = self.machine.device
        x = self.x[indices].to(device, non_blocking=True)
        y = self.y[indices].to(device, non_blocking=True)
        if self.augmentations:
            x = augment(x, self.augmentations, generator, self.fill)
        return network_input(x, self.preprocess, self.resolution, self.machine), y


def make_feed(task: Task, settings: Settings, machine: Machine, data_fraction: float, resolution: int | None) -> Feed:
    """Return the feed of the task's training split, moved to the device if it has room there.

    Where an epoch has few batches they are made a little smaller or larger than asked, so that all of them are equal
    and hardly a sample is left over.
    """
    x, y = task.train.x, task.train.y
    if data_fraction < 1.0:
        kept = subset(y, data_fraction, task.spec.goal == "classification")
        x, y = x[kept], y[kept]
    steps, batch = max(1, len(y) // settings.batch_size), min(settings.batch_size, len(y))
    if steps < 20:
        steps = max(1, round(len(y) / settings.batch_size))
        batch = len(y) // steps
    names = settings.augmentations if task.augment == "image" else ()
    fill = float(x[:1024].float().mean()) if "cutout" in names else 0.0
    preprocess: nn.Module
    if task.spec.kind == "table":
        # Rows are not augmented, so they are preprocessed once and not in every epoch.
        x, preprocess = inputs(task, x), nn.Identity()
    else:
        preprocess = on_device(task.preprocess, machine)
    if _fits(x, machine):
        x, y = x.to(machine.device), y.to(machine.device)
    return Feed(x, y, preprocess, names, fill, resolution, batch, steps, machine)


def network_input(x: Tensor, preprocess: nn.Module, resolution: int | None, machine: Machine) -> Tensor:
    """Return raw samples as the network receives them: preprocessed, resized, in the machine's memory format."""
    x = preprocess(x)
    if resolution is not None and x.ndim == 4 and resolution != x.shape[-1]:
        x = functional.interpolate(x, size=(resolution, resolution), mode="bilinear", antialias=True)
    return place_batch(x, machine)


def on_device(module: nn.Module, machine: Machine) -> nn.Module:
    """Return a copy of the module on the machine's device, in evaluation mode."""
    return copy.deepcopy(module).to(machine.device).eval()


def subset(y: Tensor, fraction: float, stratify: bool) -> Tensor:
    """Return the indices of a fixed random ``fraction`` of the samples with targets ``y`` ``[N]``.

    The same for every call, at least one sample of each class, and smaller fractions are contained in larger ones, so
    that a training on more data goes on with what it has seen.
    """
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    if not stratify:
        return order[: max(1, math.ceil(len(y) * fraction))].sort().values
    kept = []
    for label in torch.unique(y):
        members = order[y[order] == label]
        kept.append(members[: max(1, math.ceil(len(members) * fraction))])
    return torch.cat(kept).sort().values


def _fits(x: Tensor, machine: Machine) -> bool:
    """Return whether the samples take at most half of what is free on the device."""
    if torch.device(machine.device).type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(machine.device)
    return x.nbytes <= free // 2
