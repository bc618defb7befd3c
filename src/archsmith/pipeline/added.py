"""What a limit or an objective of now asks for and the log of earlier does not know: it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from archsmith.request import LIMITS
from archsmith.space import Arch
from archsmith.store import Store
from archsmith.trial import Event, Objective, order, read_trials

__all__ = ["measure_added"]


def measure_added(
    store: Store,
    study: str,
    screen: Callable[[Arch], Mapping[str, float]],
    objectives: Sequence[Objective],
    limits: Mapping[str, float],
    seconds: float,
) -> tuple[int, int]:
    """Measure the costs that ``limits`` and ``objectives`` name and trials of the log lack, within about ``seconds``.

    First come trials that were asked and have no end yet, then those with a result, best first. What is found is
    logged, as ``measured``. Returns how many trials were measured and how many were not; the latter break the limit
    as far as anybody knows, so they are never chosen.
    """
    metrics = {name for o in objectives for name in (o.metric, o.cost) if name in LIMITS}
    names = metrics | {name for name in limits if name in LIMITS}
    known = [o for o in objectives if not {o.metric, o.cost} & set(LIMITS)]
    trials = order(read_trials(store.events(study), known, {}) if names else ())
    lacking = [t for t in trials if names - t.metrics.keys() and t.state in ("running", "complete", "cached")]
    lacking.sort(key=lambda t: t.state != "running")
    until, found, events = time.monotonic() + seconds, dict[str, Mapping[str, float]](), list[Event]()
    for trial in lacking:
        if trial.source_key not in found:
            if time.monotonic() > until:
                continue
            found[trial.source_key] = screen(trial.arch)
        missing = {n: float(v) for n, v in found[trial.source_key].items() if n in names and n not in trial.metrics}
        if missing:  # what breaks another limit is not measured
            events.append(Event("measured", trial.number, {"metrics": missing}, time.time()))
    if events:
        store.append_many(study, events)
    return len(events), len([t for t in lacking if t.source_key not in found])
