"""Go on with a run: one that was stopped or killed in any phase, or a finished one with more time or other wishes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsmith.errors import BudgetError, UsageError
from archsmith.lease import take
from archsmith.pipeline.clock import SMALLEST_S
from archsmith.pipeline.conduct import Given, conduct
from archsmith.pipeline.folder import write_toml
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.pause import Pause
from archsmith.pipeline.reopen import read_request
from archsmith.pipeline.result import Result
from archsmith.pipeline.work import Progress
from archsmith.quantities import parse_duration
from archsmith.report.text import duration
from archsmith.request import Request, resolve_limits, resolve_objectives
from archsmith.space import Space
from archsmith.trial import Objective

__all__ = ["resume"]


def resume(
    run: str | Path,
    *,
    budget: str | float | None = None,
    data: Any = None,
    space: Space | None = None,
    limits: Mapping[str, str | float] | None = None,
    objectives: Sequence[str | Objective] = (),
    finalists: int | None = None,
    trials: int | None = None,
    trust: Sequence[str] = (),
    store: str | None = None,
    progress: Progress | None = None,
    started: float | None = None,
    pause: Pause | None = None,
    **options: Any,
) -> Result:
    """Go on with the run in the folder ``run`` from where it stopped, and return its result.

    Nothing that was finished is done again, and the time that was spent goes on counting. ``budget`` is a new total
    (``"2h"``) or what is added to it (``"+30m"``). With more budget, or other ``limits``, ``objectives``, ``trials`` or
    number of ``finalists``, a run that is over searches on and chooses anew from all its trials; the test split is then
    opened once more, for that choice, and the report says so. ``data`` and ``space`` are those of a run that had them
    in memory, with the same further ``options``; they are checked against what the run knows of them. Code that the
    run's ``space.json`` names is loaded from the packages in ``trust`` only. ``store`` is the address of the database
    that keeps the log, where it needs a password: run folders hold none.

    Raises ``StoreError`` for a folder that is no run or that another process is working on, ``UsageError`` where
    there is nothing to do, ``DataError`` and ``SpaceError`` where data or space have changed, ``BudgetError`` where
    too little time is left, and what ``search`` raises.
    """
    for name, value in (limits or {}).items():
        if not isinstance(value, str | int | float):
            raise UsageError(f"The limit {name!r} has several values; a run that goes on takes one.")
    began = time.monotonic() if started is None else started
    folder = Path(run)
    before = read_request(folder)
    lease = take(folder)
    try:
        journal = Journal.of(folder)
        before = before if store is None else replace(before, store=store)
        request = _changed(before, journal, budget, limits, objectives, finalists, trials, options)
        finished = journal.state["status"] == "finished"
        if finished and request == replace(before, options=request.options):
            raise UsageError(
                f"{folder} is finished. Give it more time to go on searching, such as --budget +30m, or other limits, "
                "objectives or finalists."
            )
        left = request.budget - float(journal.state["elapsed_s"])
        again = request != replace(before, options=request.options) and journal.get("searched") is not None
        if again and left < SMALLEST_S:
            raise BudgetError(
                f"{duration(max(left, 0.0))} of the budget are left, and choosing and training anew takes "
                f"{duration(SMALLEST_S)} or more. Add some: --budget +{round(2 * SMALLEST_S)}s."
            )
        write_toml(folder / "run.toml", request.to_toml())
        if again:
            state = journal.state
            journal.save(
                round=int(state["round"]) + 1, base_s=state["elapsed_s"], spent={}, phase="", status="extended"
            )
    except BaseException:
        lease.release()
        raise
    listen = progress or (lambda event: None)
    if lease.taken_from:
        listen({"type": "note", "text": f"taken over from {lease.taken_from}, which has ended without saying so"})
    return conduct(folder, request, Given(data, space, trust), listen, began, pause or Pause(), lease)


def _changed(
    before: Request,
    journal: Journal,
    budget: str | float | None,
    limits: Mapping[str, str | float] | None,
    objectives: Sequence[str | Objective],
    finalists: int | None,
    trials: int | None,
    options: Mapping[str, Any],
) -> Request:
    seconds = before.budget
    if isinstance(budget, str) and budget.strip().startswith("+"):
        seconds += parse_duration(budget.strip()[1:])
    elif budget is not None:
        seconds = parse_duration(budget)
        if seconds < float(journal.state["elapsed_s"]):
            raise BudgetError(
                f"{duration(float(journal.state['elapsed_s']))} were spent already, so a budget of "
                f"{duration(seconds)} in all is over. Add to it instead, such as --budget +{duration(seconds)}."
            )
    bounds = resolve_limits(limits or {})
    return replace(
        before,
        budget=seconds,
        limits={**before.limits, **bounds},
        family={name: several for name, several in before.family.items() if name not in bounds},
        objectives=resolve_objectives(objectives) if objectives else before.objectives,
        finalists=finalists or before.finalists,
        trials=trials or before.trials,
        options={**before.options, **options},
    )
