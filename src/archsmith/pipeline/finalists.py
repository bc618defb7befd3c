"""From the search's best to the network that is shipped: chosen, trained well, and compared over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from archsmith.build.module import build
from archsmith.errors import StoreError
from archsmith.estimate import CHECKPOINT, Machine, Settings, Trained, load_weights, train
from archsmith.pipeline.clock import Clock
from archsmith.space import Space, settings
from archsmith.task import Task
from archsmith.trial import Objective, Trial, front, leaders, order

__all__ = [
    "CONTINUED",
    "KEPT",
    "MOST_FINALISTS",
    "SCRATCH",
    "Finalist",
    "choose",
    "ranked",
    "train_finalists",
    "wanted_epochs",
]

SCRATCH = "trained from scratch"
CONTINUED = "continued from the search checkpoint"
KEPT = "the search checkpoint itself"
MOST_FINALISTS = 4


@dataclass(frozen=True)
class Finalist:
    """A trial of the search with its final trainings, one per seed, and the network of the best of them."""

    trial: Trial
    network: nn.Module
    metrics: Mapping[str, float]
    origin: str
    seeds: tuple[tuple[int, Trained], ...]
    seconds: float

    def values(self, metric: str) -> list[float]:
        """Return a metric over the seeds."""
        return [t.metrics[metric] for _, t in self.seeds if metric in t.metrics]

    def to_json(self, metric: str) -> dict[str, Any]:
        """Return what the report says of it."""
        values = self.values(metric) or [self.metrics[metric]]
        return {
            "trial": self.trial.number,
            "metrics": dict(self.metrics),
            "origin": self.origin,
            "seeds": [{"seed": s, "metrics": dict(t.metrics)} for s, t in self.seeds],
            "mean": statistics.fmean(values),
            "deviation": statistics.stdev(values) if len(values) > 1 else None,
        }


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return each architecture's best-measured usable trial: those of the highest fidelity first, best first."""
    found: dict[str, Trial] = {}
    left = [t for t in trials if t.usable]
    while left:
        highest = leaders(left)
        for trial in order(highest):
            found.setdefault(trial.arch.id, trial)
        numbers = {t.number for t in highest}
        left = [t for t in left if t.number not in numbers]
    return list(found.values())


def choose(trials: Sequence[Trial], most: int) -> list[Trial]:
    """Return at most ``most`` trials worth a final training: the best one first, then the rest of the front.

    With several objectives those are the trials of the front at the highest fidelity; with one, the next best.
    """
    best = ranked(trials)
    if not best:
        return []
    if len(best[0].losses) == 1:
        return best[:most]
    level = best[0].proposal.fidelity
    along = sorted(front([t for t in best if t.proposal.fidelity == level]), key=lambda t: t.losses)
    return along[:most] if along else best[:most]


def wanted_epochs(samples: int) -> float:
    """Return after how many epochs a further training is worth more than a longer one.

    About two million samples seen, at least 15 epochs and at most 150: what small networks take to converge.
    """
    return min(max(2_000_000 / samples, 15.0), 150.0)


def train_finalists(
    chosen: Sequence[Trial],
    space: Space,
    task: Task,
    machine: Machine,
    objective: Objective,
    *,
    clock: Clock,
    share: float,
    reserve: float,
    epoch_seconds: Callable[[Trial], float],
    folder: Path,
    seed: int,
    say: Callable[[str], None],
) -> list[Finalist]:
    """Train the chosen trials within ``share`` seconds, best first, and return them ordered by the main objective.

    How many trainings there are follows from how long a good one takes: a small budget trains the first one once,
    well; a larger one trains more finalists, then more seeds. ``reserve`` seconds of the budget are left untouched.
    """
    share = min(share, clock.left(reserve))
    good = wanted_epochs(task.spec.samples) * epoch_seconds(chosen[0])
    several = len(chosen[0].losses) > 1
    trainings = max(1, min(int(share / good), 12))
    count = min(len(chosen), MOST_FINALISTS, max(trainings, 3 if several else 1))
    seeds = max(1, trainings // count)
    each = share / (count * seeds)
    say(f"{count} finalist{'s' * (count > 1)}, {seeds} seed{'s' * (seeds > 1)} each, {each:.0f} s a training")
    found: list[Finalist] = []
    for place, trial in enumerate(chosen[:count]):
        runs: list[tuple[int, Trained]] = []
        spent = trial.metrics.get("epochs", 0.0) * epoch_seconds(trial)
        for k in range(seeds):
            rest = count * seeds - place * seeds - k
            seconds = min(each * 1.05, clock.left(reserve) / rest)
            if seconds < 1.0 and found:
                break
            trained = _train_one(trial, space, task, machine, seed + k, seconds, folder, k == 0, spent)
            runs.append((seed + k, trained))
        if runs:
            found.append(_finalist(trial, runs, space, objective, folder))
    return sorted(found, key=lambda f: objective.loss(f.metrics))


def _train_one(
    trial: Trial,
    space: Space,
    task: Task,
    machine: Machine,
    seed: int,
    seconds: float,
    folder: Path,
    first: bool,
    spent: float,
) -> Trained:
    recipe = Settings.from_values(settings(space, trial.arch))
    network = build(space, trial.arch, seed=seed)
    resume = None
    if first and spent > seconds:  # the checkpoint already holds more training than there is time for now
        resume = _folder(folder, trial)
    return train(network, task, recipe, machine=machine, seed=seed, seconds=max(seconds, 0.5), resume=resume)


def _folder(folder: Path, trial: Trial) -> Path:
    return folder / "trials" / str(trial.number) / CHECKPOINT


def _checkpoint(folder: Path, trial: Trial) -> Any:
    try:
        return load_weights(_folder(folder, trial))
    except StoreError:
        return None


def _finalist(
    trial: Trial, runs: list[tuple[int, Trained]], space: Space, objective: Objective, folder: Path
) -> Finalist:
    """Keep the best of the seeds, or the search's own checkpoint where none of them beat it."""
    good = [t for _, t in runs if t.diverged is None]
    best = min(good, key=lambda t: objective.loss(t.metrics), default=None)
    weights = _checkpoint(folder, trial)
    if weights is not None and (best is None or objective.loss(trial.metrics) < objective.loss(best.metrics)):
        network = build(space, trial.arch, seed=0)
        network.load_state_dict(weights)
        return Finalist(trial, network.eval(), trial.metrics, KEPT, tuple(runs), trial.seconds)
    best = best or runs[0][1]
    origin = CONTINUED if best.resumed else SCRATCH
    return Finalist(trial, best.network, best.metrics, origin, tuple(runs), best.seconds)
