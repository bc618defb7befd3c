"""Which decisions mattered: the share of the trials' variance that each single decision explains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestRegressor

from archsmith.report.record import spent
from archsmith.trial import Trial

__all__ = ["MINIMUM_TRIALS", "importance"]

_Floats = npt.NDArray[np.float64]
MINIMUM_TRIALS = 8
_INACTIVE = "\0inactive"
_MOST_LEVELS = 48
_MOST_TRIALS = 2_000
_TREES = 32


@dataclass(frozen=True)
class _Factor:
    """One decision as the forest sees it: its levels, and for each level a row of the forest's columns."""

    name: str
    levels: tuple[Any, ...]
    encoding: _Floats  # [levels, columns]
    rows: npt.NDArray[np.intp]  # the level of every trial


def importance(trials: Sequence[Trial], decisions: Iterable[str] = ()) -> list[tuple[str, float]]:
    """Return ``(decision, share)``, largest first: how much of the variance of the loss each decision explains.

    Functional analysis of variance (Hutter, Hoos and Leyton-Brown, 2014): a random forest is fitted to the one-hot
    answers, then every tree is averaged exactly over all other decisions, each level of a decision counting the same,
    and the variance of what remains is divided by the tree's whole variance. Shares leave out what decisions explain
    only together, so they sum to less than one. The fidelity of a trial is a factor too: what it explains alone is
    taken out of the whole.

    ``decisions`` are the names to look at, all that occur when empty. Of an architecture tried more than once only
    the most expensive trial counts. Fewer than ``MINIMUM_TRIALS`` such trials, or equal losses, give an empty list.
    """
    kept = _highest_fidelity(trials)[-_MOST_TRIALS:]
    names = list(decisions) or list(dict.fromkeys(name for trial in kept for name in trial.arch))
    losses = np.array([trial.losses[0] for trial in kept])
    if len(kept) < MINIMUM_TRIALS or float(np.ptp(losses)) == 0.0:
        return []
    losses = np.minimum(losses, _upper_fence(losses))
    factors = [_factor(name, [trial.arch.get(name, _INACTIVE) for trial in kept]) for name in names]
    factors += [
        _factor(name, [trial.proposal.fidelity.get(name, _INACTIVE) for trial in kept])
        for name in dict.fromkeys(name for trial in kept for name in trial.proposal.fidelity)
    ]
    forest = RandomForestRegressor(
        n_estimators=_TREES, max_features=0.6, min_samples_leaf=2 if len(kept) > 40 else 1, random_state=0, n_jobs=1
    )
    forest.fit(np.hstack([factor.encoding[factor.rows] for factor in factors]), losses)
    shares = np.mean([_shares(tree.tree_, factors, len(names)) for tree in forest.estimators_], axis=0)
    found = [(name, float(share)) for name, share in zip(names, shares, strict=False)]
    return sorted(found, key=lambda pair: -pair[1])


def _highest_fidelity(trials: Sequence[Trial]) -> list[Trial]:
    best: dict[str, Trial] = {}
    for trial in trials:
        if trial.state in ("complete", "cached") and trial.losses and math.isfinite(trial.losses[0]) and trial.arch:
            known = best.get(trial.arch.id)
            if known is None or spent(trial) > spent(known):
                best[trial.arch.id] = trial
    return list(best.values())


def _upper_fence(losses: _Floats) -> float:
    """Where a loss counts as far out (Tukey's outer fence): one diverged training should not explain everything."""
    low, high = np.quantile(losses, [0.25, 0.75])
    return float(high + 3 * (high - low)) if high > low else math.inf


def _factor(name: str, answers: Sequence[Any]) -> _Factor:
    """Make a factor: numbers with many values are ordered in one column, everything else gets one column per option."""
    active = [a for a in answers if a is not _INACTIVE]
    ordered = all(isinstance(a, int | float) and not isinstance(a, bool) for a in active) and len(set(active)) > 6
    if ordered:
        edges = np.unique(np.quantile(np.array(active, float), np.linspace(0, 1, _MOST_LEVELS), method="nearest"))
        numbers = [float(edges[np.abs(edges - a).argmin()]) if a is not _INACTIVE else _INACTIVE for a in answers]
        levels: tuple[Any, ...] = tuple(float(e) for e in edges)
        rows = [[level, 1.0] for level in levels]
        if len(active) < len(answers):
            levels, rows = (*levels, _INACTIVE), [*rows, [float(np.median(edges)), 0.0]]
        index = {level: i for i, level in enumerate(levels)}
        return _Factor(name, levels, np.array(rows), np.array([index[n] for n in numbers]))
    texts = [repr(a) if a is not _INACTIVE else _INACTIVE for a in answers]
    levels = tuple(dict.fromkeys(texts))
    options = [level for level in levels if level != _INACTIVE]
    encoding = np.array([[float(level == option) for option in options] or [0.0] for level in levels])
    index = {level: i for i, level in enumerate(levels)}
    return _Factor(name, levels, encoding, np.array([index[t] for t in texts]))


def _shares(tree: Any, factors: Sequence[_Factor], decisions: int) -> _Floats:
    """Return the share of one tree's variance that each of the first factors, the decisions, explains alone."""
    masks, values = _leaves(tree, factors)
    sizes = np.array([len(factor.levels) for factor in factors])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    fractions = np.add.reduceat(masks, starts, axis=1) / sizes  # [leaves, factors]
    weights = fractions.prod(axis=1)
    mean = float(weights @ values)
    variance = float(weights @ (values - mean) ** 2)
    alone = []
    for k, (start, count) in enumerate(zip(starts, sizes, strict=True)):
        others = np.divide(weights, fractions[:, k], out=np.zeros_like(weights), where=fractions[:, k] > 0)
        marginal = (others * values) @ masks[:, start : start + count]
        alone.append(float(np.mean((marginal - mean) ** 2)))
    left = variance - sum(alone[decisions:])
    return np.array(alone[:decisions]) / left if left > 1e-18 else np.zeros(decisions)


def _leaves(tree: Any, factors: Sequence[_Factor]) -> tuple[_Floats, _Floats]:
    """Return which levels of all factors reach each leaf ``[leaves, all levels]``, and the values ``[leaves]``."""
    owner: Mapping[int, tuple[int, int]] = dict(
        enumerate((k, c) for k, factor in enumerate(factors) for c in range(factor.encoding.shape[1]))
    )
    starts = np.concatenate([[0], np.cumsum([len(factor.levels) for factor in factors])])
    todo = [(0, np.ones(int(starts[-1])))]
    masks, values = [], []
    while todo:
        node, mask = todo.pop()
        if tree.children_left[node] < 0:
            masks.append(mask)
            values.append(float(tree.value[node].ravel()[0]))
            continue
        k, column = owner[int(tree.feature[node])]
        # The forest was fitted to single precision, so its thresholds are compared in it.
        goes_left = factors[k].encoding[:, column].astype(np.float32) <= tree.threshold[node]
        for child, keep in ((tree.children_left[node], goes_left), (tree.children_right[node], ~goes_left)):
            part = mask.copy()
            part[starts[k] : starts[k + 1]] *= keep
            todo.append((int(child), part))
    return np.array(masks), np.array(values)
