"""The parts of a training that change: weights, optimiser, random state and counters, and how they are kept."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archsmith.errors import StoreError
from archsmith.estimate.checkpoint import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint
from archsmith.estimate.feed import Feed
from archsmith.estimate.rng import restore_rng, rng_tensors
from archsmith.estimate.settings import Settings

__all__ = [
    "LAST",
    "TRUNK",
    "Average",
    "State",
    "load_curve",
    "load_weights",
    "make_average",
    "newest",
    "restore",
    "restore_network",
    "save_state",
    "save_weights",
    "seconds_spent",
]

LAST = "last.safetensors"
TRUNK = "trunk.safetensors"
_BEFORE = "before.safetensors"  # the last state but one, for when the last one is damaged
_FINAL = "final.safetensors"


@dataclass(frozen=True)
class Average:
    """A second network that holds the exponential average of the weights and statistics of the one in training.

    The tensors of both are listed once, side by side, because they are visited at every step.
    """

    network: nn.Module
    decay: float
    means: list[Tensor]
    values: list[Tensor]
    counters: list[tuple[Tensor, Tensor]]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average a little towards the weights; early on by more, so that it forgets its random start."""
        torch._foreach_lerp_(self.means, self.values, 1.0 - min(self.decay, (1 + step) / (10 + step)))
        for mean, value in self.counters:
            mean.copy_(value)


@dataclass
class State:
    """What a training carries from step to step.

    ``step`` counts optimiser steps from 0. ``progress`` is the share of the way to the planned end that has passed, and
    ``cooling`` whether the learning rate has begun to fall towards it. ``average`` is the running
    average of the weights, None without one. ``loss_sum`` and ``loss_count`` gather the losses since the epoch
    began, ``seconds`` the time since the training began, over all resumptions.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    seed: int
    average: Average | None = None
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    progress: float = 0.0
    cooling: bool = False

    @property
    def best_network(self) -> nn.Module:
        """The network to evaluate and to keep: the average where there is one."""
        return self.network if self.average is None else self.average.network


def make_average(network: nn.Module, settings: Settings, before: Average | None = None) -> Average | None:
    """Return the running average of the network's weights, if the recipe wants one.

    It goes on from the average ``before``, but for what has another shape now: that begins with what it is.
    """
    if settings.ema <= 0:
        return None
    copied = copy.deepcopy(network).requires_grad_(False)
    pairs = list(zip(copied.state_dict().values(), network.state_dict().values(), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    if before is not None:
        known = before.network.state_dict()
        for name, mean in copied.state_dict().items():
            if mean.is_floating_point() and name in known and known[name].shape == mean.shape:
                mean.copy_(known[name])
    return Average(
        copied,
        settings.ema,
        [mean for mean, _ in floats],
        [value for _, value in floats],
        [pair for pair in pairs if not pair[0].is_floating_point()],
    )


def save_state(path: Path, state: State, feed: Feed, plan: dict[str, Any]) -> None:
    """Write everything that a later ``restore`` needs to go on as if nothing had happened."""
    tensors = {f"network/{name}": value for name, value in state.network.state_dict().items()}
    if state.average is not None:
        tensors |= {f"average/{name}": value for name, value in state.average.network.state_dict().items()}
    names = dict(state.network.named_parameters())
    tensors |= optimizer_tensors(state.optimizer, names) | rng_tensors(feed.machine.device)
    tensors["rng/augment"] = state.generator.get_state()
    scalars = {
        "step": state.step,
        "steps_per_epoch": feed.steps,
        "seed": state.seed,
        "plan": plan,
        "progress": state.progress,
        "cooling": state.cooling,
        "loss_sum": state.loss_sum,
        "loss_count": state.loss_count,
        "seconds": state.seconds,
        "curve": state.curve,
    }
    if path.name == LAST and path.exists():
        os.replace(path, path.with_name(_BEFORE))
    save_checkpoint(path, tensors, scalars)


def newest(folder: Path, plan: dict[str, Any], notes: list[str]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the checkpoint in ``folder`` to go on from towards the end that ``plan`` names; None if there is none.

    The last state of a training that was heading for the same end; else the state before the cool-down. A damaged
    file is passed over for an earlier one, and a sentence about it is added to ``notes``.
    """
    found = []
    for name in (LAST, _BEFORE, TRUNK):
        try:
            tensors, scalars = load_checkpoint(folder / name)
        except StoreError as error:
            if (folder / name).exists():
                notes.append(f"{error} An earlier state is used, or the training begins anew.")
            continue
        if scalars["plan"] != plan:
            scalars["progress"] = 0.0
        if scalars["plan"] == plan or not scalars["cooling"]:
            found.append((tensors, scalars))
    return max(found, key=lambda pair: pair[1]["step"], default=None)


def restore_network(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put the weights of a checkpoint into the network, in place.

    That comes first: a bank that had grown grows again by it, and optimiser and average are made for what there is.
    """
    network.load_state_dict(_under("network/", tensors))


def restore(state: State, feed: Feed, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
    """Put the rest of a checkpoint into ``state``, in place, after ``restore_network``."""
    if state.average is not None:
        state.average.network.load_state_dict(_under("average/", tensors) or _under("network/", tensors))
    restore_optimizer(state.optimizer, dict(state.network.named_parameters()), tensors)
    restore_rng(feed.machine.device, tensors)
    state.generator.set_state(tensors["rng/augment"])
    state.step = round(scalars["step"] * feed.steps / scalars["steps_per_epoch"])
    state.seed, state.progress = scalars["seed"], scalars["progress"]
    state.loss_sum, state.loss_count = scalars["loss_sum"], scalars["loss_count"]
    state.seconds = scalars["seconds"]
    state.curve = [dict(row) for row in scalars["curve"]]


def seconds_spent(folder: Path) -> float:
    """Return the seconds of training that went into the newest usable state in ``folder``; 0 without one."""
    for name in (LAST, _BEFORE, TRUNK):
        with contextlib.suppress(StoreError):
            return float(load_checkpoint(folder / name)[1]["seconds"])
    return 0.0


def save_weights(folder: Path, network: nn.Module, curve: Sequence[Mapping[str, float]]) -> None:
    """Write the weights of a finished training with its curve; its unfinished states are no longer needed."""
    save_checkpoint(folder / _FINAL, network.state_dict(), {"curve": [dict(row) for row in curve]})
    for name in (LAST, _BEFORE):
        (folder / name).unlink(missing_ok=True)


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights that a finished training left in ``folder``. Raises ``StoreError`` if they are unusable."""
    return load_checkpoint(folder / _FINAL)[0]


def load_curve(folder: Path) -> tuple[dict[str, float], ...]:
    """Return the curve that a finished training left in ``folder``. Raises ``StoreError`` if it is unusable."""
    return tuple(load_checkpoint(folder / _FINAL)[1].get("curve", ()))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
