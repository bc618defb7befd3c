"""A training outside the search that is kept: finished once, and gone on with when the process was killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from archsmith.errors import StoreError
from archsmith.estimate import Divergence, Machine, Settings, Trained, load_weights, save_weights, seconds_spent, train
from archsmith.pipeline.folder import read_json, write_json
from archsmith.pipeline.pause import Pause
from archsmith.task import Task

__all__ = ["Budget", "train_kept"]

_BEGUN, _RECORD = "begun.json", "trained.json"
_LEAST_S = 0.5


@dataclass(frozen=True)
class Budget:
    """What a training may take: ``seconds`` in all, of which ``left`` at most from now; or ``epochs``, within ``left``.

    By epochs the outcome is the same however often the training was stopped, unless ``left`` runs out first.
    """

    seconds: float
    left: float
    epochs: float | None = None


def train_kept(
    folder: Path,
    make: Callable[[], nn.Module],
    task: Task,
    recipe: Settings,
    budget: Budget,
    *,
    machine: Machine,
    seed: int,
    resume: Sequence[Path] = (),
    pause: Pause | None = None,
) -> Trained:
    """Train what ``make`` makes; or return what was trained in ``folder`` before, or go on with it.

    ``resume`` are folders with states to begin with where ``folder`` has none. Raises ``Interrupted`` when a stop is
    asked for, with the state saved.
    """
    known = _known(folder, make)
    if known is not None:
        return known
    pause = pause or Pause()
    begun = read_json(folder / _BEGUN)
    if begun is None:
        begun = {"inherited_s": next((s for path in resume if (s := seconds_spent(path)) > 0), 0.0)}
        write_json(folder / _BEGUN, begun, "phase.begun")
    spent = max(0.0, seconds_spent(folder) - float(begun["inherited_s"]))
    with pause.gently():
        trained = train(
            make(),
            task,
            recipe,
            machine=machine,
            seed=seed,
            epochs=budget.epochs,
            seconds=None if budget.epochs else max(_LEAST_S, min(budget.seconds - spent, budget.left)),
            deadline=time.monotonic() + max(_LEAST_S, budget.left) if budget.epochs else None,
            checkpoint=folder,
            resume=[folder, *resume],
            interrupted=pause,
        )
    if trained.stopped:
        pause.check()
    total = trained.seconds + spent
    trained = replace(trained, seconds=total, metrics={**trained.metrics, "seconds": total})
    if trained.diverged is None:
        save_weights(folder, trained.network, trained.curve)
    write_json(folder / _RECORD, _to_json(trained), "phase.trained")
    pause.check()
    return trained


def _known(folder: Path, make: Callable[[], nn.Module]) -> Trained | None:
    data = read_json(folder / _RECORD)
    if data is None:
        return None
    network = make().eval()
    diverged = None if data["diverged"] is None else Divergence(**data["diverged"])
    if diverged is None:
        try:
            network.load_state_dict(load_weights(folder))
        except StoreError:  # the weights rotted: they are trained again
            return None
    curve = tuple(data["curve"])
    return Trained(
        network, data["metrics"], curve, data["epochs"], data["seconds"], diverged, data["stopped"], data["resumed"]
    )


def _to_json(trained: Trained) -> dict[str, Any]:
    diverged = trained.diverged
    return {
        "metrics": dict(trained.metrics),
        "curve": [dict(row) for row in trained.curve],
        "epochs": trained.epochs,
        "seconds": trained.seconds,
        "diverged": None if diverged is None else dict(vars(diverged)),
        "stopped": trained.stopped,
        "resumed": trained.resumed,
    }
