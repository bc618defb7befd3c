"""What the winner is held against, at equal cost: human designs, random architectures, and boosting for tables."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from archsmith.build.module import build
from archsmith.estimate import Machine, Settings
from archsmith.pipeline.clock import Clock
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.kept import Budget, train_kept
from archsmith.pipeline.pause import Pause
from archsmith.space import Arch, Space, sample
from archsmith.spaces import designs
from archsmith.task import Split, Task, metrics

__all__ = ["BOOSTING", "WINNER", "Comparison", "Contender", "boosting", "contenders", "measure", "train_contenders"]

BOOSTING = "gradient boosting (scikit-learn)"
WINNER = "the winner, trained equally long"


@dataclass(frozen=True)
class Contender:
    """Something to train beside the winner: a name, what kind it is, and how to make its network.

    ``arch`` is its architecture where it is one of the space that is searched.
    """

    name: str
    kind: str
    make: Callable[[int], nn.Module]
    arch: Arch | None = None


@dataclass(frozen=True)
class Comparison:
    """The outcome of a contender: metrics on the validation split, and how it predicts raw inputs."""

    name: str
    kind: str
    metrics: Mapping[str, float]
    seconds: float
    predict: Callable[[Tensor], Tensor] | None = None
    network: nn.Module | None = None
    note: str = ""
    test: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what the report says of it."""
        return {
            "name": self.name, "kind": self.kind, "metrics": dict(self.metrics), "test": dict(self.test),
            "seconds": self.seconds, "note": self.note,
        }  # fmt: skip


def contenders(
    space: Space,
    task: Task,
    winner: Arch,
    fits: Callable[[Arch], bool],
    seed: int,
    more: Mapping[str, Arch] = MappingProxyType({}),
) -> list[Contender]:
    """Return the winner itself, then what it is compared with, the most telling first; ``more`` comes at once.

    Random architectures come from the same space and satisfy the same limits; a search that does not beat them was
    not needed (Li and Talwalkar, 2019).
    """

    def of_the_space(name: str, kind: str, arch: Arch) -> Contender:
        return Contender(name, kind, lambda s: build(space, arch, seed=s), arch)

    rng = np.random.default_rng([seed, 77])
    found = [of_the_space(WINNER, "winner", winner)]
    found += [of_the_space(name, "random", arch) for name, arch in more.items() if arch != winner]
    drawn = next((a for a in (sample(space, rng) for _ in range(200)) if fits(a) and a != winner), None)
    human = [
        Contender(name, "human", lambda s, design=design: build(design, Arch({}), seed=s))  # type: ignore[misc]
        for name, design in designs(task.spec).items()
    ]
    if drawn is not None:
        human.insert(1, of_the_space("random architecture", "random", drawn))
    return [*found, *human]


def train_contenders(
    waiting: Sequence[Contender],
    task: Task,
    recipe: Settings,
    machine: Machine,
    *,
    clock: Clock,
    share: float,
    reserve: float,
    least: float,
    longest: float,
    seed: int,
    say: Callable[[str], None],
    journal: Journal,
    pause: Pause,
    least_count: int = 2,
) -> tuple[list[Comparison], list[str]]:
    """Train contenders for the same time each with the winner's recipe; return them, and the names that did not fit.

    Each gets an equal part of ``share`` seconds but no more than ``longest``; as many take part as get ``least``
    seconds or more. The winner counts among them, so that the comparison is at equal cost, and fewer than
    ``least_count`` are not worth it. What was decided and trained is kept in ``journal``, and not done again.
    """
    share = min(share, clock.left(reserve))
    planned = journal.get("compare")
    if planned is None:
        fitting = min(len(waiting), int(share / max(least, 0.5)))
        each = min(share / max(fitting, 1), longest)
        planned = journal.put("compare", {"fitting": fitting if fitting >= least_count else 0, "each": each})
    each = float(planned["each"])
    done: list[Comparison] = []
    for place, contender in enumerate(waiting[: int(planned["fitting"])]):
        left, kept = min(each, clock.left(reserve)), journal.place("compare") / str(place)
        if left < 0.5 * each and not kept.exists():
            break
        say(f"{contender.name}: {each:.0f} s")
        budget = Budget(each, left)
        make = partial(contender.make, seed)
        trained = train_kept(kept, make, task, recipe, budget, machine=machine, seed=seed, pause=pause)
        note = f"diverged: {trained.diverged}" if trained.diverged else ""
        done.append(
            Comparison(contender.name, contender.kind, trained.metrics, trained.seconds, None, trained.network, note)
        )
    names = {c.name for c in done}
    return done, [c.name for c in waiting if c.name not in names and c.kind != "winner"]


def boosting(task: Task, seed: int, threads: int) -> Comparison:
    """Fit scikit-learn's histogram gradient boosting, with its defaults, to the raw columns of a table.

    With as many ``threads`` as were measured to be fast: where other programs use the processors, more of them wait for
    each other, and a fit of two seconds takes a minute.
    """
    began = time.monotonic()
    # scikit-learn takes at most 255 codes a column; a column with more is treated as a number.
    codes = [i for i, c in enumerate(task.columns) if 0 < len(c.categories) < 255]
    options = {"categorical_features": codes or None, "random_state": seed, "early_stopping": True}
    x, y = task.train.x.numpy().astype(np.float64), task.train.y.numpy()
    goal = task.spec.goal
    model: Any = (HistGradientBoostingRegressor if goal == "regression" else HistGradientBoostingClassifier)(**options)
    with threadpool_limits(threads):
        model.fit(x, y)
    seconds = time.monotonic() - began
    if goal == "regression":

        def predict(rows: Tensor) -> Tensor:
            return torch.from_numpy(model.predict(rows.numpy().astype(np.float64))).float()[:, None]
    else:
        places = [int(c) for c in model.classes_]

        def predict(rows: Tensor) -> Tensor:
            outputs = torch.full((len(rows), task.spec.outputs), math.log(1e-12))
            chances = model.predict_proba(rows.numpy().astype(np.float64))
            outputs[:, places] = torch.from_numpy(np.log(np.maximum(chances, 1e-12))).float()
            return outputs

    with threadpool_limits(threads):
        return Comparison(BOOSTING, "boosting", measure(task, predict, task.valid), seconds, predict)


def measure(task: Task, predict: Callable[[Tensor], Tensor], split: Split) -> dict[str, float]:
    """Return the metrics of a function from raw inputs to outputs in the person's units, in batches."""
    with torch.no_grad():
        outputs = torch.cat([predict(x) for x in torch.split(split.x, 1024)])
    if task.spec.goal == "regression":
        outputs = (outputs - task.center) / task.scale  # the metrics are defined on what a network puts out
    return metrics(task, outputs, split.y)
