"""Train, after the fact, what a run was not compared with for want of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsmith.errors import DataError, UsageError
from archsmith.estimate import Machine, Settings
from archsmith.lease import take
from archsmith.pipeline.clock import Clock
from archsmith.pipeline.comparisons import WINNER, Comparison, contenders, train_contenders
from archsmith.pipeline.conduct import Given, read_task
from archsmith.pipeline.describe import standard_error
from archsmith.pipeline.folder import write_json, write_manifest
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.pause import Pause
from archsmith.pipeline.reopen import find_space, read_request
from archsmith.pipeline.result import load_result
from archsmith.pipeline.screen import Screen, shipped
from archsmith.pipeline.verdict import verdict
from archsmith.pipeline.work import Progress, costs
from archsmith.report.write import write_reports
from archsmith.request import LIMITS, Request
from archsmith.space import Arch, Space, settings
from archsmith.trial import Objective, known_violation

__all__ = ["AFTERWARDS", "compare"]

AFTERWARDS = 0  # the journal's round of what is trained when a run is finished


def compare(
    folder: str | Path,
    budget: float,
    progress: Progress | None = None,
    *,
    data: Any = None,
    space: Space | None = None,
    trust: Sequence[str] = (),
) -> dict[str, Any]:
    """Train the missing comparisons of a finished run, each as long as those it already has, and report anew.

    The winner is trained again beside them where that was not done, so that the cost is equal. The test split stays
    closed: it was opened once, for the run itself, so the new comparisons have validation metrics only. Returns the new
    result. Data and a space that were in memory are handed over as ``data`` and ``space``; code that ``space.json``
    names is loaded from the packages in ``trust``.

    Raises ``StoreError`` for a folder without a finished run, ``UsageError`` where nothing is missing or the run's data
    were in memory, and ``DataError`` where they have changed since.
    """
    root, clock = Path(folder), Clock(budget)
    found, request = load_result(root), read_request(root)
    if not found["missing_comparisons"]:
        raise UsageError(f"{root} was compared with everything already: nothing is missing.")
    lease = take(root)
    try:
        return _compare(root, found, request, clock, progress, Given(data, space, trust))
    finally:
        lease.release()


def _compare(
    root: Path, data: dict[str, Any], config: Request, clock: Clock, progress: Progress | None, given: Given
) -> dict[str, Any]:
    budget = clock.budget
    say = progress or (lambda event: None)
    say({"type": "phase", "name": "train the comparisons", "share_s": budget, "elapsed": 0.0, "budget": budget})
    task = read_task(config, given)
    if task.split_hash != data["task"]["split_hash"]:
        raise DataError(f"{config.source} has changed since the run: its splits are no longer the same.")
    space = find_space(root, config, task.spec, given.space, given.trust)
    arch = Arch.from_json(data["best"]["arch"])
    machine = Machine.from_json(data["machine"]).alone()
    old = [_from_json(c) for c in data["comparisons"]]
    equal = next((c for c in old if c.name == WINNER), None)
    limits = data["limits"]
    screen = Screen(space, task, limits, timed="latency_ms" in limits)
    rivals = {name: Arch.from_json(a) for name, a in data.get("shared", {}).get("rivals", {}).items()}
    waiting = [
        c
        for c in contenders(space, task, arch, lambda a: known_violation(screen(a), limits) == 0, config.seed, rivals)
        if c.name in data["missing_comparisons"] or (c.name == WINNER and equal is None)
    ]
    journal = Journal.of(root)
    journal.state["round"] = AFTERWARDS
    journal.forget("compare")
    journal.clear()
    done, missing = train_contenders(
        waiting,
        task,
        Settings.from_values(settings(space, arch)),
        machine,
        clock=clock,
        share=budget,
        reserve=2.0,
        least=1.0,
        longest=equal.seconds if equal else data["best"]["metrics"]["seconds"],
        seed=config.seed,
        say=lambda text: say({"type": "note", "text": text}),
        journal=journal,
        pause=Pause(),
        least_count=1,
    )
    shape = tuple(task.train.x.shape[1:])
    costed = [replace(c, metrics={**c.metrics, **costs(shipped(task, c.network), shape)}) for c in done if c.network]
    every = [*old, *costed]
    data["comparisons"] = [c.to_json() for c in every]
    data["missing_comparisons"] = missing
    main = next(o for o in data["objectives"] if o["metric"] not in LIMITS)
    objective = Objective(main["metric"], main["direction"])
    best = data["best"]
    data["verdict"] = verdict(
        objective,
        best["metrics"],
        best["test"],
        every,
        missing,
        limits,
        standard_error(objective, best["metrics"], task),
        int(data["task"].get("test_openings", 1)),
    )
    write_json(root / "result.json", data)
    write_reports(root)
    write_manifest(root)
    journal.clear()
    say({"type": "done"})
    return data


def _from_json(data: Mapping[str, Any]) -> Comparison:
    return Comparison(
        data["name"], data["kind"], data["metrics"], data["seconds"], note=data.get("note", ""), test=data["test"]
    )
