"""Ending trainings that will not be among the best: a rule over learning curves, around any evaluation."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from archsmith.errors import UsageError
from archsmith.estimate.stopping_rules import Curve, StoppingRule
from archsmith.files import write_text
from archsmith.run import DeadlineReached, Run
from archsmith.space import Space
from archsmith.trial import Objective, Proposal, known_violation, maximize

__all__ = ["Stopping"]

_CURVE, _MEASURED = "metrics.csv", "measured.json"


class _Known(NamedTuple):
    """What is known of a training: its curve, its metrics so far, and whether it came to its end."""

    curve: Curve
    metrics: Mapping[str, float]
    ended: bool


@dataclass(frozen=True)
class Stopping:
    """An estimator around another: it lets ``rule`` end trainings by what they report with ``run.report``.

    The curve is the first objective over column ``at`` of the ``metrics.csv`` that each trial writes into its own
    folder, beside those of all others, so this works the same in one process and in many. The training is told through
    ``run.interrupted()``, which trainings of this project look at after every step; your own evaluation may look at it
    too. The trial has then ended ``stopped``: it has no result, and its time was spent. Without a folder there are no
    curves, and nothing is ended.

    ``objectives`` and ``limits`` are those of the study, which refuses others. A training is compared with what could
    take its place only. Under limits those are the trainings that ended within them: what breaks a limit never wins,
    so it sets no bar. With further objectives they are the trainings that are no worse in any of them; what a training
    does not report of those cannot be compared, so it goes on.
    """

    evaluate: Callable[[Proposal, Run], Mapping[str, float]]
    rule: StoppingRule
    objectives: Sequence[Objective] = (maximize("accuracy"),)
    limits: Mapping[str, float] = field(default_factory=dict)
    at: str = "epoch"
    # What was read of each trial's folder, and the sizes of its files then: the next trial needs not read it again.
    _read: dict[str, tuple[tuple[int, int], _Known]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.objectives:
            raise UsageError("Stopping needs at least one objective, such as maximize('accuracy').")

    def check(self, space: Space, weights: str) -> None:
        """Raise what the evaluation raises for a space that it cannot measure."""
        check = getattr(self.evaluate, "check", None)
        if check is not None:
            check(space, weights)

    def check_goals(self, objectives: Sequence[Objective], limits: Mapping[str, float]) -> None:
        """Raise ``UsageError`` unless these are the objectives and limits that trainings are ended by."""
        if tuple(objectives) != tuple(self.objectives) or dict(limits) != dict(self.limits):
            raise UsageError(
                f"Stopping ends trainings by {_said(self.objectives, self.limits)}, but the study searches for "
                f"{_said(objectives, limits)}. Give Stopping the objectives and limits of the study."
            )

    def __call__(self, proposal: Proposal, run: Run) -> Mapping[str, float]:
        """Evaluate; raises ``DeadlineReached`` where the rule ended it."""
        if run.folder is None:
            return self.evaluate(proposal, run)
        (run.folder / _MEASURED).unlink(missing_ok=True)  # of an attempt that was lost after it
        watch = _Watch(self, str(run.folder.absolute()))
        self._read.pop(watch.folder, None)
        metrics = self.evaluate(proposal, replace(run, interrupted=lambda: run.interrupted() or watch()))
        if watch.ended:
            metric = self.objectives[0].metric
            raise DeadlineReached(f"{type(self.rule).__name__}: its {metric} would not be among the best")
        if isinstance(metrics, Mapping):  # else the trial has failed, and the study says so
            measured = {str(name): number for name, value in metrics.items() if (number := _number(value)) is not None}
            write_text(run.folder / _MEASURED, json.dumps(measured), "stopping.measured")
        return metrics


@dataclass
class _Watch:
    """Asks the rule whenever a trial has reported something new; a look that finds nothing new costs microseconds."""

    stopping: Stopping
    folder: str
    ended: bool = False
    seen: int = -1

    def __call__(self) -> bool:
        size = _size(f"{self.folder}/{_CURVE}")
        if not self.ended and size > 0 and size != self.seen:
            self.seen = size
            own = _read(Path(self.folder), self.stopping)
            with os.scandir(os.path.dirname(self.folder)) as there:
                known = [self._known(entry.path) for entry in there if entry.path != self.folder]
            bars = [other.curve for other in known if other is not None and self._sets_a_bar(other, own)]
            self.ended = self.stopping.rule(own.curve, bars)
        return self.ended

    def _known(self, folder: str) -> _Known | None:
        """Return what is known of the trial of a folder; None where there is no curve in it."""
        sizes, known = self.stopping._read.get(folder, ((-1, -1), None))
        if known is not None and known.ended:  # it stays as it is
            return known
        now = _size(f"{folder}/{_CURVE}"), _size(f"{folder}/{_MEASURED}")
        if now[0] and now != sizes:
            known = _read(Path(folder), self.stopping)
            self.stopping._read[folder] = now, known
        return known

    def _sets_a_bar(self, other: _Known, own: _Known) -> bool:
        """Whether the other could take this one's place: within the limits, and no worse in what else is wanted."""
        limits, further = self.stopping.limits, self.stopping.objectives[1:]
        losses = [(o.loss(own.metrics), o.loss(other.metrics)) for o in further]
        # What was known before training is not measured by it: such a limit holds for everything that was trained.
        settled = other.ended or limits.keys() <= other.metrics.keys()
        return (
            settled
            and known_violation(other.metrics, limits) == 0
            and all(math.isfinite(mine) and theirs <= mine for mine, theirs in losses)
        )


def _said(objectives: Sequence[Objective], limits: Mapping[str, float]) -> str:
    goals = ", ".join(f"{o.direction} {o.metric}{f' against {o.cost}' if o.cost else ''}" for o in objectives)
    return goals + "".join(f", {name} <= {bound:g}" for name, bound in limits.items())


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _read(folder: Path, stopping: Stopping) -> _Known:
    """Return what a trial reported so far; another process may be writing the last line."""
    goal, points, metrics = stopping.objectives[0], [], dict[str, float]()
    with (folder / _CURVE).open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            values = {name: value for name, cell in line.items() if (value := _number(cell)) is not None}
            metrics |= values
            if stopping.at in values and math.isfinite(loss := goal.loss(values)):
                points.append((values[stopping.at], loss))
    measured = _measured(folder)
    table = np.array(points, dtype=np.float64).reshape(-1, 2)
    return _Known(Curve(table[:, 0], table[:, 1]), {**metrics, **(measured or {})}, measured is not None)


def _number(value: object) -> float | None:
    """Return a value, or what a cell of a table says, as a finite number; None where it is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _measured(folder: Path) -> dict[str, float] | None:
    """Return what a training that came to its end has measured; None before."""
    try:
        return dict(json.loads((folder / _MEASURED).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
