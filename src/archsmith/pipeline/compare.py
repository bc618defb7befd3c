"""Train, after the fact, what a run was not compared with for want of time."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsmith.errors import DataError, StoreError, UsageError
from archsmith.estimate import Machine, Settings
from archsmith.pipeline.clock import Clock
from archsmith.pipeline.comparisons import WINNER, Comparison, contenders, train_contenders
from archsmith.pipeline.describe import standard_error
from archsmith.pipeline.folder import write_json, write_manifest
from archsmith.pipeline.request import LIMITS
from archsmith.pipeline.result import load_result
from archsmith.pipeline.screen import Screen, shipped
from archsmith.pipeline.verdict import verdict
from archsmith.pipeline.work import Progress, costs
from archsmith.report.write import write_reports
from archsmith.space import Arch, settings
from archsmith.spaces import resolve
from archsmith.task import load
from archsmith.trial import Objective, known_violation

__all__ = ["compare"]


def compare(folder: str | Path, budget: float, progress: Progress | None = None) -> dict[str, Any]:
    """Train the missing comparisons of a finished run, each as long as those it already has, and report anew.

    The winner is trained again beside them where that was not done, so that the cost is equal. The test split stays
    closed: it was opened once, for the run itself, so the new comparisons have validation metrics only. Returns the new
    result. Raises ``StoreError`` for a folder without a finished run, ``UsageError`` where nothing is missing or the
    run's data were in memory, and ``DataError`` where they have changed since.
    """
    root, clock = Path(folder), Clock(budget)
    data, config = load_result(root), _config(root)
    if not data["missing_comparisons"]:
        raise UsageError(f"{root} was compared with everything already: nothing is missing.")
    say = progress or (lambda event: None)
    say({"type": "phase", "name": "train the comparisons", "share_s": budget, "elapsed": 0.0, "budget": budget})
    task = load(config["source"], target=config.get("target"), seed=config["seed"], folds=config.get("folds", 0))
    if task.split_hash != data["task"]["split_hash"]:
        raise DataError(f"{config['source']} has changed since the run: its splits are no longer the same.")
    space = resolve(config["space"], task.spec)
    arch = Arch.from_json(data["best"]["arch"])
    machine = Machine.from_json(data["machine"]).alone()
    old = [_from_json(c) for c in data["comparisons"]]
    equal = next((c for c in old if c.name == WINNER), None)
    limits = data["limits"]
    screen = Screen(space, task, limits, timed="latency_ms" in limits)
    waiting = [
        c
        for c in contenders(space, task, arch, lambda a: known_violation(screen(a), limits) == 0, config["seed"])
        if c.name in data["missing_comparisons"] or (c.name == WINNER and equal is None)
    ]
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
        seed=config["seed"],
        say=lambda text: say({"type": "note", "text": text}),
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
    )
    write_json(root / "result.json", data)
    write_reports(root)
    write_manifest(root)
    say({"type": "done"})
    return data


def _config(root: Path) -> Mapping[str, Any]:
    try:
        config = tomllib.loads((root / "run.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise StoreError(f"{root / 'run.toml'} cannot be read: {error}.") from error
    if config.get("in_memory"):
        raise UsageError("This run's data were given in memory, so they cannot be read again. Compare in Python.")
    return config


def _from_json(data: Mapping[str, Any]) -> Comparison:
    return Comparison(
        data["name"], data["kind"], data["metrics"], data["seconds"], note=data.get("note", ""), test=data["test"]
    )
