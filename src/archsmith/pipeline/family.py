"""A network for each of several values of one limit, from one bank: candidates, and who takes which place."""

from __future__ import annotations

from collections.abc import Sequence

from archsmith.errors import LimitError
from archsmith.pipeline.finalists import Finalist
from archsmith.pipeline.work import Work
from archsmith.report.text import brief, label
from archsmith.space import Arch
from archsmith.trial import Objective, Trial, minimize

__all__ = ["assigned", "candidates", "family_objectives"]

_TRIES = 6


def family_objectives(work: Work) -> tuple[Objective, ...]:
    """Return the objectives of a search for all the limits at once: what was asked for, and the limited cost."""
    metric = next(iter(work.request.family), "")
    asked = work.request.objectives
    return (*asked, minimize(metric)) if metric and metric not in {o.metric for o in asked} else asked


def candidates(work: Work) -> tuple[Arch, ...]:
    """Return the networks to train, by shared weights the best for each limit, the strictest limit first.

    Latency is measured again on the quiet machine. Where nothing that was tried keeps the strictest limit, a faster
    network is looked for; raises ``LimitError`` where there is none.
    """
    assert work.study is not None
    metric, bounds = next(iter(work.request.family.items()))
    tried = sorted((t for t in work.study.trials if t.usable), key=lambda t: work.objective.loss(t.metrics))
    found: dict[Arch, None] = {}
    for bound in bounds:
        keeping = [t for t in tried if t.metrics[metric] <= bound]
        # The best lie just below the limit, and may be above it on another day; the cheapest are not.
        likely = [*keeping[:_TRIES], *sorted(keeping[_TRIES:], key=lambda t: t.metrics[metric])[:_TRIES]]
        best = next((t for t in likely if _cost_of(work, t) <= bound), None)
        if best is not None:
            found[best.arch] = None
        elif bound == bounds[0] and tried:
            found[_faster(work, min(tried, key=lambda t: t.metrics[metric]).arch)] = None
    return tuple(found)


def assigned(work: Work, trained: Sequence[Finalist]) -> list[tuple[float, Finalist]]:
    """Return for each limit, the strictest first, the best of the trained networks that keep it."""
    metric, bounds = next(iter(work.request.family.items()))
    found = []
    for bound in bounds:
        keeping = [f for f in trained if _cost_of(work, f.trial) <= bound]
        if keeping:
            found.append((bound, min(keeping, key=lambda f: work.objective.loss(f.metrics))))
        else:
            work.note(f"no network was trained that keeps {label(metric)} {brief(metric, bound)}")
    if not found or found[0][0] != bounds[0]:
        raise _broken(metric, bounds[0])
    return found


def _faster(work: Work, start: Arch) -> Arch:
    """Return a network that was not tried and keeps the strictest limit, found once, and measured with that."""
    known = work.journal.get("faster")
    if known is None:
        arch, metrics = work.faster(start)
        if "latency_ms" in work.request.family:
            measured = work.journal.get("latencies") or {}
            work.journal.put("latencies", {**measured, arch.id: metrics["latency_ms"]})
        known = work.journal.put("faster", arch.to_json())
    return Arch.from_json(known)


def _broken(metric: str, bound: float) -> LimitError:
    return LimitError(
        f"No network that was tried keeps {label(metric)} {brief(metric, bound)} on the quiet machine. Loosen the "
        "strictest limit, or give the search more time."
    )


def _cost_of(work: Work, trial: Trial) -> float:
    """Return a trial's value of the limited metric; a latency as it was measured on the quiet machine, once."""
    metric = next(iter(work.request.family))
    if metric != "latency_ms":
        assert work.screen is not None
        return work.screen(trial.arch)[metric]
    known = work.journal.get("latencies") or {}  # a resumed run must choose as it did
    if trial.arch.id not in known:
        known = work.journal.put("latencies", {**known, trial.arch.id: work.latency(trial.arch)})
    return float(known[trial.arch.id])
