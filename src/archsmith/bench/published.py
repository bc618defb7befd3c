"""Published results, to be shown beside ours where the protocol is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from archsmith.bench.entry import Entry
from archsmith.bench.problem import Problem

__all__ = ["Published", "published"]


@dataclass(frozen=True)
class Published:
    """Mean and deviation by each judge, as printed, and for whose settings."""

    name: str
    settings: Mapping[str, object]
    values: Mapping[str, tuple[float, float]]


def _row(name: str, values: tuple[float, ...], **settings: object) -> Published:
    judges = ("test_cifar10", "test_cifar100", "test_imagenet16")
    pairs = zip(values[::2], values[1::2], strict=True)
    return Published(name, settings, dict(zip(judges, pairs, strict=False)))


# NAS-Bench-201 (Dong & Yang, 2020), searched on CIFAR-10 for 12,000 simulated seconds, 500 runs, as quoted by Mellor
# et al. (2021), Table 2. REINFORCE learned at a rate of 0.01, a tenth of our default. BOHB is not here: its evaluations
# returned and cost 12 epochs whatever the rung, and rungs of ours are the 12 and 200 epochs of the table.
_TWELVE_THOUSAND_SECONDS = (
    _row("random", (93.70, 0.36, 71.04, 1.07, 44.57, 1.25)),
    _row("evolution", (93.92, 0.30, 71.84, 0.99, 45.54, 1.03), population=10, sample=3),
    _row("reinforce", (93.85, 0.37, 71.71, 1.09, 45.24, 1.18), rate=0.01),
)
# Mellor et al. (2021): the best of so many random architectures on each data set, chosen by an oracle.
_BEST_OF = {
    10: _row("random", (93.06, 0.59, 69.76, 1.25, 43.30, 1.87)),
    100: _row("random", (93.84, 0.23, 71.56, 0.78, 45.67, 0.64)),
}


def published(problem: Problem, entry: Entry) -> Published | None:
    """Return what was published for this strategy and these settings under this protocol, or None."""
    if not problem.table.name.startswith("nasbench201") or len(problem.objectives) > 1 or problem.limits:
        return None
    if problem.workers > 1:  # one trial after the other, which is more information and less time for each
        return None
    rows: tuple[Published, ...] = ()
    metric = problem.objectives[0].metric
    if problem.objectives[0].cost:  # MnasNet's reward is not what they searched for
        return None
    if (
        problem.name == "nasbench201 cifar10"
        and metric == "accuracy"
        and problem.seconds == 12_000
        and problem.answer == "best"
        and problem.level == {"epochs": 12.0}
    ):
        rows = _TWELVE_THOUSAND_SECONDS
    elif problem.seconds is None and problem.trials in _BEST_OF and problem.judges == (metric,):
        known = _BEST_OF[problem.trials]  # random search names no other answer than the best measurement
        rows = (replace(known, values={k: v for k, v in known.values.items() if k == metric}),)
    return next((r for r in rows if r.name == entry.name and r.settings == dict(entry.settings)), None)
