"""The main job: from data and limits to a shipped network, phase by phase, inside one budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from archsmith.pipeline.clock import Clock, Shares, plan
from archsmith.pipeline.folder import make_folder, write_toml
from archsmith.pipeline.request import FORMATS, Request, resolve_limits, resolve_objectives
from archsmith.pipeline.result import Result
from archsmith.pipeline.ship import ship
from archsmith.pipeline.work import Progress, Work
from archsmith.quantities import parse_duration
from archsmith.space import Space
from archsmith.spaces import default, resolve
from archsmith.store import PostgreSQLStore
from archsmith.strategy import find, require
from archsmith.task import Task, load, main_objective
from archsmith.trial import Objective

__all__ = ["search"]


def search(
    data: Any,
    *,
    budget: str | float,
    target: str | int | None = None,
    limits: Mapping[str, str | float] | None = None,
    objectives: Sequence[str | Objective] = (),
    space: str | Space | None = None,
    strategy: str | None = None,
    seed: int = 0,
    trials: int | None = None,
    out: str | Path = "runs",
    name: str | None = None,
    executor: str | None = None,
    device: str | None = None,
    folds: int = 0,
    formats: Sequence[str] = FORMATS,
    store: str | None = None,
    progress: Progress | None = None,
    started: float | None = None,
    **options: Any,
) -> Result:
    """Find, train, compare, export and explain a network for a person's data, inside their limits and their time.

    ``data`` is whatever ``archsmith.load_task`` takes, with its further ``options``: a path, ``"digits"``, arrays, a
    torch ``Dataset`` or ``DataLoader``, or a ``Task``. ``budget`` is the wall time for everything together
    (``"30m"``). ``limits`` are upper bounds (``{"latency_ms": 5, "params": "500k"}``) that the result never breaks.
    ``space`` is the name of a ready-made one, ``"mynet.py:space"`` or a ``Space``. ``trials`` bounds the search beside
    the time. ``progress`` is called with each event; ``started`` is the time of ``time.monotonic`` the budget counts
    from. Everything is written to a new folder under ``out``; with ``store``, such as
    ``"postgresql://me@host/database"``, the log is kept in that database, and its plain-text copy in the folder.

    Raises ``DataError``, ``SpaceError`` and ``BudgetError`` before anything is trained, and ``LimitError`` as soon as
    it is known that nothing can satisfy the limits.
    """
    seconds = parse_duration(budget)
    clock = Clock(seconds, time.monotonic() if started is None else started)
    shares = plan(seconds, exports=len(formats))
    bounds = resolve_limits(limits or {})
    say = progress or (lambda event: None)
    announce = _announcer(say, clock, shares)

    announce("check the data")
    resolve_objectives(objectives, Objective("accuracy", "max"))  # a wrong name is told before the data is read
    if store is not None:
        PostgreSQLStore(store).close()  # a database that cannot be written is told before the data is read as well
    task = load(data, target=target, seed=seed, folds=folds, name=name, **options)
    found, space_name = _space(space, task)
    request = Request(
        str(data) if isinstance(data, str | Path) else task.name,
        seconds,
        None if target is None else str(target),
        bounds,
        resolve_objectives(objectives, main_objective(task)),
        space_name,
        strategy or "halving",
        seed,
        trials,
        device or "auto",
        executor or "auto",
        folds,
        tuple(formats),
        name or task.name,
        in_memory=not isinstance(data, str | Path),
        store=store,
    )
    require(find(request.strategy), found, objectives=len(request.objectives), limits=bool(bounds))
    folder = make_folder(out, request.name)
    write_toml(folder / "run.toml", request.to_toml())
    work = Work(request, task, found, folder, clock, shares, announce, say)
    for note in task.notes:
        work.note(note)
    try:
        work.run()
        return ship(work)
    finally:
        work.close()


def _space(space: str | Space | None, task: Task) -> tuple[Space, str]:
    if isinstance(space, Space):
        return space, "your own"
    if space is None:
        return default(task.spec), {"image": "mobile", "table": "mlp"}[task.spec.kind]
    return resolve(space, task.spec), space


def _announcer(say: Progress, clock: Clock, shares: Shares) -> Callable[[str], None]:
    planned = shares.items()
    began: list[tuple[str, float]] = []

    def announce(phase: str) -> None:
        now = clock.elapsed()
        if began:
            clock.spent[began[-1][0]] = now - began[-1][1]
        began.append((phase, now if began else 0.0))
        say({"type": "phase", "name": phase, "share_s": planned.get(phase), "elapsed": now, "budget": clock.budget})

    return announce
