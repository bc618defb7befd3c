"""How far the scores on shared weights tell what networks reach on their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from archsmith.build.module import build
from archsmith.estimate import Settings, SharedEstimator
from archsmith.pipeline.comparisons import WINNER
from archsmith.pipeline.finalists import TUNED
from archsmith.pipeline.kept import Budget, train_kept
from archsmith.pipeline.work import Work
from archsmith.report.ranks import kendall, spearman
from archsmith.space import settings
from archsmith.trial import Trial

__all__ = ["MOST_CHECKED", "Standing", "agreement", "best_first", "check_ranks", "pairs"]

MOST_CHECKED = 8
_LEAST_S = 0.5


@dataclass(frozen=True)
class Standing:
    """One network's main metric on shared weights and trained on its own for so many seconds.

    ``group`` names those that were trained equally long, which alone can be compared.
    """

    name: str
    shared: float
    alone: float
    seconds: float
    group: str


def check_ranks(work: Work, estimator: SharedEstimator, share: float, reserve: float) -> list[Standing]:
    """Train networks from all over the ranking on shared weights on their own, as time allows; return all standings.

    Each is trained as long as the comparisons, or where there are none, for an equal part of ``share`` seconds.
    """
    name = work.objective.metric
    found = pairs(work, estimator)
    known = {a for a in (*work.archs.values(), *(f.trial.arch for f in work.finalists))}
    assert work.study is not None
    waiting = _spread([t for t in best_first(work, work.study.trials) if t.arch not in known], MOST_CHECKED)
    planned = work.journal.get("ranks")
    if planned is None:
        compared = [c.seconds for c in work.compared if c.name in work.archs]
        least = max(_LEAST_S, max((work.pace(t.arch) for t in waiting), default=0.0))
        each = max(compared) if compared else max(least, share / MOST_CHECKED)
        left = min(share, work.clock.left(reserve))
        planned = work.journal.put("ranks", {"each": each, "count": min(len(waiting), int(left / max(each, least)))})
    each = float(planned["each"])
    for place, trial in enumerate(waiting[: int(planned["count"])]):
        folder = work.journal.place("ranks") / str(place)
        if work.clock.left(reserve) < 0.5 * each and not folder.exists():
            break
        trained = train_kept(
            folder,
            partial(build, work.space, trial.arch, seed=work.request.seed),
            work.task,
            Settings.from_values(settings(work.space, trial.arch)),
            Budget(each, min(each, work.clock.left(reserve))),
            machine=work.machine.alone(),
            seed=work.request.seed,
            pause=work.pause,
        )
        if name in trained.metrics:
            shared = trial.metrics[name]
            found.append(Standing(f"trial {trial.number}", shared, trained.metrics[name], trained.seconds, "checked"))
    return found


def best_first(work: Work, trials: Sequence[Trial]) -> list[Trial]:
    """Return each architecture's first usable trial, the best by the main objective first."""
    found = {t.arch: t for t in reversed(trials) if t.usable}
    return sorted(found.values(), key=lambda t: (work.objective.loss(t.metrics), t.number))


def pairs(work: Work, estimator: SharedEstimator) -> list[Standing]:
    """Return the standings of what the run has trained already: finalists, and comparisons that are of its space."""
    name = work.objective.metric
    found = []
    for finalist in work.finalists:
        if finalist.origin == TUNED:  # it began with the shared weights, so it says nothing about them
            continue
        first = next((t for _, t in finalist.seeds if name in t.metrics), None)
        if first is not None and name in finalist.trial.metrics:
            shared, alone = finalist.trial.metrics[name], first.metrics[name]
            found.append(Standing(f"trial {finalist.trial.number}", shared, alone, first.seconds, "finalists"))
    for comparison in work.compared:
        arch = work.archs.get(comparison.name)
        if arch is not None and name in comparison.metrics:
            shared = estimator.score(arch)[name]
            label = "the winner" if comparison.name == WINNER else comparison.name
            found.append(Standing(label, shared, comparison.metrics[name], comparison.seconds, "checked"))
    return found


def agreement(found: Sequence[Standing]) -> dict[str, Any]:
    """Return the standings and, for each group of equally long trainings, the rank correlation with its number."""
    groups = {}
    for group in dict.fromkeys(s.group for s in found):
        own = [s for s in found if s.group == group]
        shared, alone = [s.shared for s in own], [s.alone for s in own]
        rho, tau = spearman(shared, alone), kendall(shared, alone)
        groups[group] = {"n": len(own), "spearman": _plain(rho), "kendall": _plain(tau)}
    return {"pairs": [asdict(s) for s in found], "correlation": groups}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _spread(trials: Sequence[Trial], most: int) -> list[Trial]:
    """Return some of the trials from all over their order: the worst first, then the middle, then between those."""
    if not trials:
        return []
    places: dict[int, None] = {}
    step = 1.0
    while len(places) < min(most, len(trials)):
        for k in range(round(1 / step) + 1):
            places.setdefault(round((len(trials) - 1) * (1.0 - k * step)))
        step /= 2
    return [trials[place] for place in list(places)[:most]]
