"""Fronts and the volume they dominate, against the exact front that a table knows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from archsmith.bench.play import Trajectory
from archsmith.bench.problem import Problem
from archsmith.errors import UsageError

__all__ = [
    "check_hypervolume",
    "exact_front",
    "hypervolume",
    "nondominated",
    "reference_point",
    "shares",
    "shares_after",
]


def nondominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows of ``losses`` [n, objectives] no other row dominates, [n]; of equal rows all or none."""
    kept = np.zeros(len(losses), dtype=bool)
    front = np.empty((0, losses.shape[1]))
    for i in np.lexsort(losses.T[::-1]):  # only what comes before can dominate
        row = losses[i]
        if not ((front <= row).all(axis=1) & (front < row).any(axis=1)).any():
            kept[i] = True
            front = np.vstack([front, row])
    return kept


def hypervolume(losses: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Return the volume that ``losses`` [n, objectives] dominate below ``reference`` [objectives]; all are minimised.

    Two objectives are summed as steps, more by slices along the last one (Zitzler and Thiele, 1998).
    """
    inside = losses[(losses < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    inside = inside[nondominated(inside)]
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    if inside.shape[1] == 2:
        widths = reference[0] - np.minimum.accumulate(inside[:, 0])
        heights = np.diff(np.append(inside[:, 1], reference[1]))
        return float((widths * heights).sum())
    volume = 0.0
    for i, depth in enumerate(np.diff(np.append(inside[:, -1], reference[-1]))):
        if depth > 0:
            volume += float(depth) * hypervolume(inside[: i + 1, :-1], reference[:-1])
    return volume


def exact_front(problem: Problem) -> NDArray[np.float64]:
    """Return the losses of the rows within the limits that no other row dominates, by the judges."""
    losses = _losses(problem)[problem.allowed()]
    return np.asarray(np.unique(losses[nondominated(losses)], axis=0))


def reference_point(problem: Problem) -> NDArray[np.float64]:
    """Return the losses of the first objective's median within the limits, and of the worst in every other objective.

    So what is worse than half of all architectures counts for nothing, however cheap it is.
    """
    losses = _losses(problem)[problem.allowed()]
    return np.array([np.median(losses[:, 0]), *losses[:, 1:].max(axis=0)])


def shares(problem: Problem, trajectory: Trajectory, steps: int = 1) -> NDArray[np.float64]:
    """Return the share of the exact front's hypervolume, [steps], after each part of the search.

    What counts is the front as it was measured, judged by what its members are worth; those that break a limit, as
    judged, are worth nothing.
    """
    return shares_after(problem, trajectory, [len(trajectory.row) * step // steps for step in range(1, steps + 1)])


def shares_after(problem: Problem, trajectory: Trajectory, trials: Sequence[int]) -> NDArray[np.float64]:
    """Return the same share after each of so many trials, which are ascending, [len(trials)]."""
    reference, losses, allowed, whole = _known(problem)
    found: list[float] = []
    before, share, front = 0, 0.0, np.empty(0, dtype=np.int64)
    for until in trials:
        usable = before + np.flatnonzero(trajectory.violation[before:until] == 0)
        if len(usable):  # what was dominated stays so, hence the front so far and what is new suffice
            front = np.concatenate([front, usable])
            front = front[nondominated(trajectory.losses[front])]
            rows = trajectory.row[front]
            share = hypervolume(losses[rows[allowed[rows]]], reference) / whole
        found.append(share)
        before = until
    return np.array(found)


def check_hypervolume(problem: Problem) -> None:
    """Raise ``UsageError`` where several objectives have an exact front of no volume, of which nothing is a share."""
    if len(problem.objectives) > 1 and not _known(problem)[-1]:
        raise UsageError(
            f"The rows of the table {problem.table.name!r} within the limits, {int(problem.allowed().sum()):,}, "
            "differ too little in the objectives for a hypervolume. Raise a limit, or compare by one objective."
        )


@lru_cache(maxsize=8)
def _known(problem: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], float]:
    """Return the reference point, the losses of every row, which are allowed, and the exact front's hypervolume."""
    reference = reference_point(problem)
    return reference, _losses(problem), problem.allowed(), hypervolume(exact_front(problem), reference)


def _losses(problem: Problem) -> NDArray[np.float64]:
    signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in problem.objectives])
    return np.asarray(problem.truth() * signs)
