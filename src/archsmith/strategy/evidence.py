"""What strategies with a model have in common: what was told, when to fit again, and what a proposal would gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtr

from archsmith.predictors import Fitted, Predictor
from archsmith.predictors.scores import normal_scores
from archsmith.space import Arch
from archsmith.space.encode import Vector
from archsmith.trial import Trial, order

__all__ = ["Evidence", "expected_improvement", "scalarized", "scheduled"]

_MOST = 500
_DIRECTIONS, _DRAWS = 48, 16


def scheduled(count: int, share: float, first: int = 1, least: int = 1) -> int:
    """Return how many of ``count`` results a model should know: it is fitted again when a ``share`` more are there.

    The first time when there are ``first``, or as many as there are, and then when ``least`` more are. A function of
    the count alone, so that a model fitted late is the one that would have been fitted in time.
    """
    known = min(count, first)
    while known and (following := known + max(least, int(known * share))) <= count:
        known = following
    return known


@dataclass
class Evidence:
    """The trials that say something, in the order in which they were told, and what was tried at all."""

    trials: list[Trial] = field(default_factory=list)
    tried: set[Arch] = field(default_factory=set)
    measured: int = 0
    """How many of them are usable, or break a limit that is known by how much."""
    _made: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def tell(self, trial: Trial) -> None:
        """Take note of a trial; one that was stopped says nothing."""
        self.tried.add(trial.arch)
        if trial.state != "stopped":
            self.trials.append(trial)
            self.measured += trial.usable or trial.broken

    @property
    def objectives(self) -> int:
        """The number of losses of a usable trial; 1 while there is none."""
        return next((len(t.losses) for t in reversed(self.trials) if t.usable), 1)

    def scores(self, count: int) -> Vector:
        """Return the normal scores of the first ``count`` trials, ``[objectives, count]``, the best the lowest.

        A trial that breaks a limit ranks behind every usable one, the more the further, and one without a result last.
        """
        known = self.trials[:count]
        return np.array([normal_scores([_place(t, k) for t in known]) for k in range(self.objectives)])

    def best(self, number: int) -> list[Arch]:
        """Return the architectures of the best trials, of several objectives those with the best sum of scores."""
        ranked = np.argsort(self.scores(len(self.trials)).sum(0), kind="stable")
        return list(dict.fromkeys(self.trials[i].arch for i in ranked[:number].tolist()))

    def looked_at(self, count: int) -> list[int]:
        """Return which of the first ``count`` trials a model looks at: all, of more than 500 the better and the later.

        So what a model costs does not grow without end.
        """
        if count <= _MOST:
            return list(range(count))

        def chosen() -> list[int]:
            late = count - _MOST // 2
            ranked = np.argsort(self.scores(count)[:, :late].sum(0), kind="stable")
            return [*sorted(ranked[: _MOST // 2].tolist()), *range(late, count)]

        return list(self.made("looked at", (count, self.objectives), chosen))

    def fitted(self, predictor: Predictor, share: float, first: int = 1, least: int = 1) -> list[Fitted]:
        """Return the predictor fitted to the scores of each objective, as of the last time that a fit was due."""
        count = scheduled(len(self.trials), share, first, least)

        def fit() -> list[Fitted]:
            places = self.looked_at(count)
            archs = [self.trials[i].arch for i in places]
            return [predictor.fit(archs, scores[places].tolist()) for scores in self.scores(count)]

        return list(self.made("fitted", (count, self.objectives), fit))

    def recommended(self, trials: Sequence[Trial], fitted: Callable[[], list[Fitted]]) -> Trial | None:
        """Return the usable one of ``trials`` with the least expected loss; of many objectives, the best measured."""
        usable = [t for t in order(trials) if t.usable]
        if not usable or len(usable[0].losses) > 1 or not self.measured:
            return usable[0] if usable else None
        (one,) = fitted()
        return usable[int(np.argmin(one.predict([t.arch for t in usable])[0]))]

    def made(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """Return what was made under this name for an equal key, else make it: a memory, never a state.

        ``make`` must be a function of the key and of what was told up to it.
        """
        if name not in self._made or self._made[name][0] != key:
            self._made[name] = (key, make())
        return self._made[name][1]


def _place(trial: Trial, objective: int) -> tuple[int, float]:
    if trial.usable:
        return 0, trial.losses[objective]
    return (1, trial.violation) if trial.broken else (2, 0.0)


def expected_improvement(mean: Vector, std: Vector, known: Vector, rng: np.random.Generator) -> Vector:
    """Return how much better than what is known each candidate is expected to be, ``[candidates]``.

    ``mean`` and ``std`` are ``[objectives, candidates]``, ``known`` the expected values of what was tried,
    ``[objectives, tried]``. One objective: in closed form (Jones et al., 1998). Several: the hypervolume that would be
    gained, estimated by sampling and ``scalarized``. What is worse in the first objective than half of what was tried
    counts for nothing, however good it is in the others: else much of a search goes to the smallest networks of all,
    which learn nothing. In the others the volume reaches a tenth beyond the worst.
    """
    std = np.maximum(std, 1e-9)
    if len(mean) == 1:
        ahead = (known[0].min() - mean[0]) / std[0]
        return np.asarray(std[0] * (ahead * ndtr(ahead) + np.exp(-0.5 * ahead**2) / np.sqrt(2 * np.pi)))
    reference = known.max(1) + 0.1 * (np.ptp(known, axis=1) + 1e-9)
    reference[0] = np.median(known[0])
    directions = rng.standard_normal((_DIRECTIONS, len(mean)))
    best = scalarized(known, reference, directions).max(1, keepdims=True)
    gains = np.zeros(mean.shape[1])
    for noise in rng.standard_normal((_DRAWS, len(mean), 1)):
        gains += np.maximum(scalarized(mean + std * noise, reference, directions) - best, 0.0).mean(0)
    return gains / _DRAWS


def scalarized(losses: Vector, reference: Vector, directions: Vector) -> Vector:
    """Return how far ``losses`` [objectives, points] are below ``reference`` [objectives] in some directions.

    ``directions`` is ``[number, objectives]``, drawn from a normal distribution; the result is ``[number, points]``.
    The mean over the directions of the best of some points is the hypervolume that they dominate, but for a factor
    (random hypervolume scalarizations; Golovin and Zhang, 2020).
    """
    along = np.abs(directions) / np.linalg.norm(directions, axis=1, keepdims=True)
    ahead = (reference[:, None] - losses) / along[:, :, None]
    return np.asarray(np.maximum(ahead.min(1), 0.0) ** len(losses))
