"""Strategies against each other: the same seeds, the same cost, and what can be said about the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

from archsmith.bench.entry import Entry
from archsmith.bench.hypervolume import check_hypervolume, exact_front, reference_point, shares
from archsmith.bench.play import Trajectory, players
from archsmith.bench.problem import Problem
from archsmith.errors import UsageError

__all__ = ["Comparison", "Line", "compare", "holm"]

_FEW = 5  # searches that are over before processes for them have begun


@dataclass(frozen=True)
class Line:
    """One strategy's line: over the seeds, the mean of what its answers are worth, the deviation and the mean rank.

    ``other`` holds mean and deviation by the columns that are looked up beside. ``p_random`` is the probability of a
    difference to random search this large if there were none (Wilcoxon's signed-rank test over the seeds, corrected by
    Holm for the number of strategies); None for random search itself. ``evaluations`` and ``repeated`` are means.

    ``answered`` counts the seeds with an answer that keeps the limits: a search may end without any. Mean and deviation
    are over those; for rank and probability no answer is worse than every answer.
    """

    label: str
    mean: float
    deviation: float
    rank: float
    p_random: float | None
    other: Mapping[str, tuple[float, float]]
    evaluations: float
    repeated: float
    duplicates: int
    own_seconds: float
    answered: int


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison: every trajectory, and what the answers are worth.

    With one objective an answer is worth what the judge says. With several, what counts is the share that the
    measured front has of the hypervolume under the exact front, which the table knows.
    """

    problem: Problem
    seeds: tuple[int, ...]
    trajectories: Mapping[str, tuple[Trajectory, ...]]
    entries: Mapping[str, Entry]

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return len(self.problem.objectives) > 1

    @property
    def large(self) -> bool:
        """Whether a large worth is good."""
        return self.several or self.problem.objectives[0].direction == "max"

    @property
    def judge(self) -> str:
        """The name of the worth."""
        cost = self.problem.objectives[0].cost
        return "hypervolume" if self.several else self.problem.judges[0] + (f" against {cost}" if cost else "")

    def worth(self, label: str) -> NDArray[np.float64]:
        """Return what a strategy's answers are worth, [seeds]; NaN where it found none that keeps the limits."""
        played = self.trajectories[label]
        if self.several:
            return np.array([shares(self.problem, t)[-1] for t in played])
        return self._of_answers(self.problem.truth()[:, 0], played)

    def optimum(self) -> float:
        """Return the best worth there is."""
        if self.several:
            return 1.0
        values = self.problem.truth()[self.problem.allowed(), 0]
        return float(values.max() if self.large else values.min())

    def lines(self) -> list[Line]:
        """Return a line for every strategy, the best first: by mean, or by rank where some seeds have no answer."""
        worths = {label: self.worth(label) for label in self.trajectories}
        ranks = _ranks(np.stack(list(worths.values())), self.large)
        tests = _against(_no_answer_is_worst(worths, self.large), "random")
        found = []
        for (label, worth), rank in zip(worths.items(), ranks, strict=True):
            played = self.trajectories[label]
            other = {n: _spread(self._of_answers(self.problem.table.final(n), played)) for n in self.problem.others}
            answers = self._of_answers(np.zeros(len(self.problem.table)), played)
            found.append(
                Line(
                    label,
                    *_spread(worth),
                    rank=float(rank),
                    p_random=tests.get(label),
                    other=other,
                    evaluations=float(np.mean([len(t.row) for t in played])),
                    repeated=float(np.mean([t.repeated for t in played])),
                    duplicates=sum(map(_duplicates, played)),
                    own_seconds=float(np.mean([t.own_seconds for t in played])),
                    answered=int(np.isfinite(answers).sum()),
                )
            )
        if any(line.answered < len(self.seeds) for line in found):  # their means are over different seeds
            return sorted(found, key=lambda line: line.rank)
        return sorted(found, key=lambda line: -line.mean if self.large else line.mean)

    def _of_answers(self, values: NDArray[np.float64], played: Sequence[Trajectory]) -> NDArray[np.float64]:
        """Return each answer's of the values [rows], [seeds]; NaN where it breaks a limit, as judged, or is not there.

        What was measured once, or after less training, may have kept a limit that the answer does not keep.
        """
        kept = np.append(np.where(self.problem.allowed(), values, np.nan), np.nan)  # the last place is for no answer
        return np.asarray(kept[[t.answer for t in played]])

    def front(self) -> NDArray[np.float64]:
        """Return the exact front by the judges, [points, objectives], in the metrics' own directions."""
        signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in self.problem.objectives])
        return np.asarray(exact_front(self.problem) * signs)

    def reference(self) -> NDArray[np.float64]:
        """Return the point against which hypervolume is measured, [objectives], in the metrics' own directions."""
        signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in self.problem.objectives])
        return np.asarray(reference_point(self.problem) * signs)


def compare(
    problem: Problem,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    jobs: int = 1,
    progress: Callable[[str, int], None] | None = None,
    so_far: Callable[[Comparison], None] | None = None,
) -> Comparison:
    """Search with every entry on every seed.

    ``progress(label, done)`` is called after each search, and ``so_far`` with what there is after each entry, so that
    a comparison of hours that is interrupted leaves something.

    Raises ``UsageError`` without seeds or entries, and when a strategy cannot handle the problem, before any search.
    """
    if not seeds or not entries:
        raise UsageError("A comparison needs at least one strategy and one seed.")
    for entry in entries:
        entry.make(problem)
    check_hypervolume(problem)
    found: dict[str, tuple[Trajectory, ...]] = {}
    few = len(entries) * len(seeds) <= _FEW
    with players(problem, 1 if few else jobs) as play_many:
        under_way = [(entry, play_many(entry, seeds)) for entry in entries]
        for entry, trajectories in under_way:
            played = []
            for trajectory in trajectories:
                played.append(trajectory)
                if len(played) == len(seeds):
                    found[entry.label] = tuple(played)
                    comparison = Comparison(problem, tuple(seeds), dict(found), {e.label: e for e in entries})
                    if so_far is not None:
                        so_far(comparison)
                if progress is not None:
                    progress(entry.label, len(played))
    return comparison


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities corrected for how many were looked at (Holm, 1979)."""
    corrected, most = {}, 0.0
    for i, (name, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        most = max(most, min(1.0, (len(p) - i) * value))
        corrected[name] = most
    return corrected


def _against(worths: Mapping[str, NDArray[np.float64]], base: str) -> dict[str, float]:
    """Return for every other strategy the corrected probability of its difference to ``base``."""
    if base not in worths:
        return {}
    raw = {}
    for label, worth in worths.items():
        difference = worth - worths[base]
        if label != base:
            raw[label] = float(wilcoxon(difference).pvalue) if np.count_nonzero(difference) else 1.0
    return holm(raw)


def _no_answer_is_worst(worths: Mapping[str, NDArray[np.float64]], large: bool) -> Mapping[str, NDArray[np.float64]]:
    """Return the worths with a number for no answer, further from every answer than answers are from each other."""
    every = np.concatenate(list(worths.values()))
    there = every[np.isfinite(every)]
    if len(there) == len(every):
        return worths
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    apart = 2 * (high - low) + 1
    worst = low - apart if large else high + apart
    return {label: np.where(np.isfinite(worth), worth, worst) for label, worth in worths.items()}


def _ranks(worths: NDArray[np.float64], large: bool) -> NDArray[np.float64]:
    """Return the mean rank of each strategy over the seeds, 1 for the best; ``worths`` is [strategies, seeds]."""
    signed = np.where(np.isfinite(worths), -worths if large else worths, np.inf)
    return np.asarray(rankdata(signed, axis=0).mean(axis=1))


def _spread(values: NDArray[np.float64]) -> tuple[float, float]:
    there = values[np.isfinite(values)]
    if not len(there):
        return float("nan"), float("nan")
    return float(there.mean()), float(there.std(ddof=1)) if len(there) > 1 else 0.0


def _duplicates(trajectory: Trajectory) -> int:
    """Return how many evaluations were of what had been evaluated at that level before."""
    pairs = np.stack([trajectory.row, trajectory.level], axis=1)
    return len(pairs) - len(np.unique(pairs, axis=0)) if len(pairs) else 0
