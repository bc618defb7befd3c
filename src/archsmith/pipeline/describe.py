"""What ``result.json`` holds: the run as data, from which the report and the commands speak."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from archsmith.errors import SpaceError
from archsmith.pipeline.folder import cpu_name
from archsmith.pipeline.work import Work
from archsmith.space import Space, count
from archsmith.task import Task, baseline
from archsmith.trial import Objective

__all__ = ["WATTS_PER_CORE", "describe", "phases", "standard_error"]

WATTS_PER_CORE = 8.0


def describe(
    work: Work, metrics: Mapping[str, float], test: Mapping[str, float], source: str, verdict: str
) -> dict[str, Any]:
    """Return the result as JSON-ready data; ``exports`` and the last phase are filled in later."""
    request, task, winner, study = work.request, work.task, work.finalists[0], work.study
    assert study is not None
    name = work.objective.metric
    return {
        "schema_version": 1,
        "name": request.name,
        "status": "finished",
        "history": work.journal.state["history"],
        "verdict": verdict,
        "task": {**task.to_json(), "baseline": baseline(task), "test_openings": work.openings},
        "budget_s": request.budget,
        "phases": phases(work),
        "machine": {**work.machine.to_json(), "cpu": cpu_name()},
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in request.objectives],
        "limits": dict(request.limits),
        "seed": request.seed,
        "space": {"name": request.space, "decisions": len(work.space.decisions), "size": _size(work.space)},
        "strategy": repr(study.strategy).replace(repr(work.space), request.space),
        "counts": {"asked": len(study.trials), **Counter(t.state for t in study.trials)},
        "feasible_share": work.probed.accepted / max(work.probed.drawn, 1),
        "best": {
            "trial": winner.trial.number,
            "arch": winner.trial.arch.to_json(),
            "origin": winner.origin,
            "seconds": winner.seconds,
            "metrics": dict(metrics),
            "test": dict(test),
            "seeds": [{"seed": s, "metrics": dict(t.metrics)} for s, t in winner.seeds],
            "curve": _curve(winner.curve, name),
            "source": source,
        },
        "finalists": [f.to_json(name) for f in work.finalists],
        "comparisons": [c.to_json() for c in work.compared],
        "missing_comparisons": work.missing,
        "shared": work.sharing,
        "energy": _energy(work),
        "exports": [],
    }


def phases(work: Work) -> list[dict[str, Any]]:
    """Return each phase with what it was planned to take and what it took."""
    planned = work.shares.items()
    return [
        {"name": name, "planned_s": planned.get(name), "spent_s": round(spent, 2), "note": ""}
        for name, spent in work.clock.spent.items()
    ]


def standard_error(
    objective: Objective, metrics: Mapping[str, float], task: Task, seeds: Sequence[float] = ()
) -> float:
    """Return the standard error of the difference of two networks' main metric on the validation split.

    For shares of hits it is that of two independent proportions, which is too wide for two networks on the same
    samples, and rightly careful; for others the deviation over the seeds, where there are several, else zero.
    """
    rows = len(task.valid)
    if objective.metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        share = min(max(metrics[objective.metric], 0.0), 1.0)
        return math.sqrt(2 * max(share * (1 - share), 0.25 / rows) / rows)
    return statistics.stdev(seeds) if len(seeds) > 1 else 0.0


def _curve(rows: Sequence[Mapping[str, float]], name: str) -> list[list[float | None]]:
    return [[row.get(k) for k in ("epoch", "seconds", "train_loss", name)] for row in rows]


def _size(space: Space) -> str:
    try:
        size = count(space)
    except SpaceError:
        return "too many to list"
    if size == math.inf:
        network = Space(space.valid or None, model=space.roots["model"])
        return f"{_number(count(network))} networks, each with continuous training settings"
    return _number(size)


def _number(size: float) -> str:
    return f"{int(size):,}" if size < 1e9 else f"{float(size):.2g}"


def _energy(work: Work) -> dict[str, Any]:
    cores = psutil.cpu_count(logical=False) or 1
    hours = work.clock.elapsed() / 3600
    return {
        "wh_estimate": round(cores * WATTS_PER_CORE * hours, 2),
        "how": f"not measured: {cores} cores at an assumed {WATTS_PER_CORE:g} W each for the whole run",
    }
