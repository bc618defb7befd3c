"""From the search's best to the network that is shipped: chosen, trained well, and compared over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from archsmith.build.module import build
from archsmith.errors import StoreError
from archsmith.estimate import CHECKPOINT, Machine, Settings, Trained, load_curve, load_weights
from archsmith.pipeline.clock import Clock
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.kept import Budget, train_kept
from archsmith.pipeline.pause import Pause
from archsmith.space import Arch, Space, settings
from archsmith.task import Task
from archsmith.trial import Objective, Trial, front, leaders, order

__all__ = [
    "CONTINUED",
    "KEPT",
    "MOST_FINALISTS",
    "REPEATABLE_FINALISTS",
    "SCRATCH",
    "TUNED",
    "Finalist",
    "choose",
    "ranked",
    "train_finalists",
    "wanted_epochs",
]

SCRATCH = "trained from scratch"
CONTINUED = "continued from the search checkpoint"
KEPT = "the search checkpoint itself"
TUNED = "fine-tuned from the shared weights"
MOST_FINALISTS = 4
REPEATABLE_FINALISTS = 2  # where their number must not depend on how fast the machine is


@dataclass(frozen=True)
class Finalist:
    """A trial of the search with its final trainings, one per seed, and the network of the best of them."""

    trial: Trial
    network: nn.Module
    metrics: Mapping[str, float]
    origin: str
    seeds: tuple[tuple[int, Trained], ...]
    seconds: float
    curve: tuple[Mapping[str, float], ...] = ()

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
    journal: Journal,
    pause: Pause,
    most: int | None = None,
    repeatable: bool = False,
    begin: Callable[[Arch], nn.Module] | None = None,
) -> list[Finalist]:
    """Train the chosen trials within ``share`` seconds, best first, and return them ordered by the main objective.

    How many trainings there are follows from how long a good one takes: a small budget trains the first one once,
    well; a larger one trains more finalists, then more seeds. ``reserve`` seconds of the budget are left untouched.
    ``most`` says how many finalists there are instead. Where the run must be ``repeatable``, neither that nor how long
    they train depends on the clock. ``begin`` returns a network with weights to begin with, where that is not from
    scratch. What was decided and trained is kept in ``journal``, and not done again.
    """
    share = min(share, clock.left(reserve))
    wanted = wanted_epochs(task.spec.samples)
    planned = journal.get("final")
    if planned is None:
        several = len(chosen[0].losses) > 1
        good = wanted * epoch_seconds(chosen[0])
        trainings = REPEATABLE_FINALISTS if repeatable else max(1, min(int(share / good), 12))
        count = min(len(chosen), most or min(MOST_FINALISTS, max(trainings, 3 if several else 1)))
        seeds = max(1, trainings // count)
        planned = journal.put("final", {"count": count, "seeds": seeds, "each": share / (count * seeds)})
    count, seeds, each = int(planned["count"]), int(planned["seeds"]), float(planned["each"])
    how = f"{wanted:.3g} epochs" if repeatable else f"{each:.0f} s"
    say(f"{count} finalist{'s' * (count > 1)}, {seeds} seed{'s' * (seeds > 1)} each, {how} a training")
    found: list[Finalist] = []
    for place, trial in enumerate(chosen[:count]):
        runs: list[tuple[int, Trained]] = []
        spent = trial.metrics.get("epochs", 0.0) * epoch_seconds(trial)
        for k in range(seeds):
            rest = count * seeds - place * seeds - k
            left = clock.left(reserve) / rest
            kept = journal.place("final") / f"{trial.number}-{seed + k}"
            if left < 1.0 and found and not kept.exists():
                break
            begun = spent > min(each * 1.05, left)  # the checkpoint already holds more training than there is time for
            resume = [_folder(folder, trial)] if k == 0 and begun and not repeatable else []
            trained = train_kept(
                kept,
                partial(begin, trial.arch) if begin else partial(build, space, trial.arch, seed=seed + k),
                task,
                Settings.from_values(settings(space, trial.arch)),
                Budget(each * 1.05, left, wanted if repeatable else None),
                machine=machine,
                seed=seed + k,
                resume=resume,
                pause=pause,
            )
            if repeatable and trained.stopped:
                say("the time was over before a final training was, so the same seed may end otherwise next time")
            runs.append((seed + k, trained))
        if runs:
            found.append(_finalist(trial, runs, space, objective, folder, TUNED if begin else SCRATCH))
    return sorted(found, key=lambda f: objective.loss(f.metrics))


def _folder(folder: Path, trial: Trial) -> Path:
    return folder / "trials" / str(trial.number) / CHECKPOINT


def _checkpoint(folder: Path, trial: Trial) -> Any:
    try:
        return load_weights(_folder(folder, trial))
    except StoreError:
        return None


def _finalist(
    trial: Trial, runs: list[tuple[int, Trained]], space: Space, objective: Objective, folder: Path, origin: str
) -> Finalist:
    """Keep the best of the seeds, or the search's own checkpoint where none of them beat it."""
    good = [t for _, t in runs if t.diverged is None]
    best = min(good, key=lambda t: objective.loss(t.metrics), default=None)
    weights = _checkpoint(folder, trial)
    if weights is not None and (best is None or objective.loss(trial.metrics) < objective.loss(best.metrics)):
        network = build(space, trial.arch, seed=0)
        network.load_state_dict(weights)
        curve = load_curve(_folder(folder, trial))
        return Finalist(trial, network.eval(), trial.metrics, KEPT, tuple(runs), trial.seconds, curve)
    best = best or runs[0][1]
    # On shared weights the search has no checkpoints: what was resumed is this very training.
    if best.resumed and not trial.proposal.weights:
        origin = CONTINUED
    return Finalist(trial, best.network, best.metrics, origin, tuple(runs), best.seconds, best.curve)
