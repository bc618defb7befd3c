"""What strategies are compared on: a table, what is searched for, what it may cost, and how the answer is judged."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archsmith.errors import BudgetError, UsageError
from archsmith.tables import DATA_SETS, Table, TableEstimator, nasbench201, read_table
from archsmith.trial import Objective, maximize

__all__ = ["Problem", "nasbench201_problem", "objective", "table_problem"]

_BETTER_LARGE = frozenset("accuracy acc score auc f1 r2".split())
_BETTER_SMALL = frozenset(
    "error loss rmse mae mse perplexity latency energy memory params macs flops size seconds time cost runtime".split()
)


@dataclass(frozen=True, eq=False)
class Problem:
    """A comparison's one side: the same for every strategy.

    ``objectives`` are metrics of the table and all that is seen of it, with the ``limits``. The search ends after
    ``trials``, or ``seconds`` of the column ``cost``, on ``workers`` workers. A proposal that names no fidelity is
    measured at ``level``. ``judges`` are the columns by which the answer counts, one for each objective (the metric
    itself, at the highest level and averaged over its repeats, where none is given); ``others`` are looked up as well.

    ``resumes`` charges a trial that continues another one for the difference only.
    ``answer`` says which trial is the answer: the ``best`` single measurement, or what the strategy ``recommended``.
    """

    name: str
    table: Table
    objectives: tuple[Objective, ...]
    limits: Mapping[str, float] = field(default_factory=dict)
    trials: int | None = None
    seconds: float | None = None
    cost: str | None = None
    level: Mapping[str, float] = field(default_factory=dict)
    workers: int = 1
    judges: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    answer: Literal["best", "recommended"] = "recommended"
    resumes: bool = False

    def __post_init__(self) -> None:
        if self.trials is None and self.seconds is None:
            raise BudgetError("Say how much each search may cost: a number of trials, or seconds of the table.")
        if self.seconds is not None and self.cost is None:
            raise BudgetError(f"The table {self.table.name!r} has no column of costs; give a number of trials instead.")
        if self.judges and len(self.judges) != len(self.objectives):
            raise UsageError(f"Give a judge for each of the {len(self.objectives)} objectives, or none at all.")
        if not self.judges:
            object.__setattr__(self, "judges", tuple(o.metric for o in self.objectives))
        wanted = [(o.metric, o.cost) for o in self.objectives]
        twice = next((metric for metric, cost in wanted if wanted.count((metric, cost)) > 1), None)
        if twice is not None:
            raise UsageError(f"The objective {twice!r} is there twice. Name each metric once.")
        for name in (*self._read, *self.limits, *self.judges, *self.others):
            values = self.table.final(name)
            if not np.isfinite(values).all():
                raise UsageError(
                    f"The metric {name!r} of the table {self.table.name!r} is missing in "
                    f"{int((~np.isfinite(values)).sum()):,} rows, so nothing can be compared by it."
                )
        self._refuse_limits()
        for cost in (o.cost for o in self.objectives if o.cost):
            if not (self.table.final(cost) > 0).all():
                raise UsageError(
                    f"{cost!r} of the table {self.table.name!r} is not above 0 in every row, so nothing can be traded "
                    "against it."
                )
        self.estimator()

    def _refuse_limits(self) -> None:
        """Refuse limits that no row keeps: every search would end without an answer."""
        kept = self.allowed()
        for name, bound in self.limits.items():
            if not math.isfinite(bound):
                raise UsageError(f"The limit {name}={bound:g} is no bound. Give a finite number, or no limit at all.")
            values = self.table.final(name)
            if not (values <= bound).any():
                raise UsageError(
                    f"No row of the table {self.table.name!r} keeps the limit {name}={bound:g}: the smallest {name} "
                    f"is {values.min():g}. Raise the limit."
                )
        if not kept.any():
            said = ", ".join(f"{name}={bound:g}" for name, bound in self.limits.items())
            raise UsageError(
                f"No row of the table {self.table.name!r} keeps all of the limits {said}, though some rows keep each. "
                "Raise one of them."
            )

    def estimator(self) -> TableEstimator:
        """Return a new estimator, which shows a search the objectives and the limited metrics."""
        shown = tuple(dict.fromkeys([*self._read, *self.limits]))
        return TableEstimator(self.table, shown, self.cost, self.level, self.resumes)

    @property
    def _read(self) -> tuple[str, ...]:
        """The metrics that the objectives read."""
        return tuple(name for o in self.objectives for name in o.metrics)

    def truth(self) -> NDArray[np.float64]:
        """Return what each row is worth, [rows, objectives], by the judges; traded against a cost as the search did."""
        return np.stack([self._worth(*pair) for pair in zip(self.objectives, self.judges, strict=True)], axis=1)

    def _worth(self, objective: Objective, judge: str) -> NDArray[np.float64]:
        values = self.table.final(judge)
        if not objective.cost:
            return values
        sign = -1.0 if objective.direction == "max" else 1.0
        pairs = zip(values.tolist(), self.table.final(objective.cost).tolist(), strict=True)
        return np.array([sign * objective.loss({objective.metric: v, objective.cost: c}) for v, c in pairs])

    def allowed(self) -> NDArray[np.bool_]:
        """Return which rows keep the limits, [rows]."""
        kept = np.ones(len(self.table), dtype=bool)
        for name, bound in self.limits.items():
            kept &= self.table.final(name) <= bound
        return kept


def nasbench201_problem(
    data_set: str = "cifar10",
    trials: int | None = None,
    seconds: float | None = None,
    objectives: Sequence[Objective] = (maximize("accuracy"),),
    limits: Mapping[str, float] | None = None,
    epochs: float | None = None,
    workers: int = 1,
    answer: Literal["best", "recommended"] | None = None,
) -> Problem:
    """Return NAS-Bench-201 as a problem: what counts is the mean test accuracy after 200 epochs.

    In a budget of ``seconds`` an evaluation is a training of 12 epochs and the answer is the best of the history, as
    in the published comparison; in a budget of ``trials`` it is one of 200 epochs and the strategy names its answer.
    """
    table = nasbench201(data_set)
    spent = epochs if epochs is not None else 12 if seconds is not None else 200
    if spent not in (12, 200):
        raise UsageError(f"NAS-Bench-201 was trained for 12 and for 200 epochs, not for {spent:g}.")
    judges = tuple(f"test_{data_set}" if o.metric == "accuracy" else o.metric for o in objectives)
    others = tuple(f"test_{d}" for d in DATA_SETS if d != data_set) if judges == (f"test_{data_set}",) else ()
    return Problem(
        name=f"nasbench201 {data_set}",
        table=table,
        objectives=tuple(objectives),
        limits=dict(limits or {}),
        trials=trials,
        seconds=seconds,
        cost="seconds",
        level={"epochs": float(spent)},
        workers=workers,
        judges=judges,
        others=others,
        answer=answer or ("best" if seconds is not None else "recommended"),
    )


def objective(text: str) -> Objective:
    """Return the objective that a person wrote: ``accuracy``, ``max:score`` or ``min:latency_ms``.

    Without a direction it is told by the words in the name. Raises ``UsageError`` where they say nothing.
    """
    direction, colon, name = text.partition(":")
    if colon and direction in ("max", "min"):
        return Objective(name, "max" if direction == "max" else "min")
    words = set(re.findall(r"[a-z]+\d?|\d+", text.lower()))
    large, small = bool(words & _BETTER_LARGE), bool(words & _BETTER_SMALL)
    if large == small:
        raise UsageError(f"Is a large {text!r} good or bad? Write max:{text} or min:{text}.")
    return Objective(text, "max" if large else "min")


def table_problem(
    path: str | Path,
    objectives: Sequence[Objective] = (),
    trials: int | None = None,
    seconds: float | None = None,
    limits: Mapping[str, float] | None = None,
    cost: str | None = None,
    judges: Sequence[str] = (),
    workers: int = 1,
    answer: Literal["best", "recommended"] | None = None,
    decisions: Sequence[str] | None = None,
    fidelity: Sequence[str] = (),
    repeat: str | None = None,
) -> Problem:
    """Return a person's own table as a problem; see ``read_table`` for its columns.

    Without ``objectives`` the first metric that is no cost is the one. Trials that continue others are charged for
    the difference.
    """
    table = read_table(path, decisions, None, fidelity, repeat)
    if not objectives:
        first = next((name for name in table.columns if name != cost), None)
        if first is None:
            raise UsageError(f"{path}: there is no metric to optimise beside the column of costs.")
        objectives = (objective(first),)
    return Problem(
        name=Path(path).name,
        table=table,
        objectives=tuple(objectives),
        limits=dict(limits or {}),
        trials=trials,
        seconds=seconds,
        cost=cost,
        workers=workers,
        judges=tuple(judges),
        answer=answer or "recommended",
        resumes=True,
    )
