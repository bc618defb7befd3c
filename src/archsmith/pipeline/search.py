"""The main job: from data and limits to a shipped network, phase by phase, inside one budget."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archsmith.errors import UsageError
from archsmith.execute.ray_cluster import need_ray
from archsmith.lease import take
from archsmith.pipeline.clock import plan
from archsmith.pipeline.conduct import Given, conduct
from archsmith.pipeline.folder import make_folder, write_toml
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.methods import FAMILY, find_method
from archsmith.pipeline.pause import Pause
from archsmith.pipeline.result import Result
from archsmith.pipeline.warm import find_weights
from archsmith.pipeline.work import Progress
from archsmith.quantities import parse_duration
from archsmith.request import FORMATS, OWN, Request, resolve_family, resolve_objectives
from archsmith.space import Space
from archsmith.store import PostgreSQLStore
from archsmith.strategy import abilities_of, find
from archsmith.task import Task
from archsmith.trial import Objective

__all__ = ["search"]


def search(
    data: Any,
    *,
    budget: str | float,
    target: str | int | None = None,
    limits: Mapping[str, str | float | Sequence[str | float]] | None = None,
    objectives: Sequence[str | Objective] = (),
    space: str | Space | None = None,
    strategy: str | None = None,
    method: str | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
    trials: int | None = None,
    out: str | Path = "runs",
    name: str | None = None,
    executor: str | None = None,
    device: str | None = None,
    folds: int = 0,
    formats: Sequence[str] = FORMATS,
    store: str | None = None,
    finalists: int | None = None,
    progress: Progress | None = None,
    started: float | None = None,
    pause: Pause | None = None,
    **options: Any,
) -> Result:
    """Find, train, compare, export and explain a network for a person's data, inside their limits and their time.

    ``data`` is whatever ``archsmith.load_task`` takes, with its further ``options``: a path, ``"digits"``, arrays, a
    torch ``Dataset`` or ``DataLoader``, or a ``Task``. ``budget`` is the wall time for everything together
    (``"30m"``). ``limits`` are upper bounds (``{"latency_ms": 5, "params": "500k"}``) that the result never breaks; of
    one of them there may be several, ``{"latency_ms": [2, 5, 10]}``, and then there is a network for each.
    ``space`` is the name of a ready-made one, ``"mynet.py:space"`` or a ``Space``. With ``method``, such as ``"spos"``
    or ``"darts"``, one set of shared weights is trained and searched on; it begins with ``weights``, which are those of
    an earlier run or in a folder. ``trials``  bounds the search beside the time.
    ``progress`` is called with each event; ``started`` is the time of ``time.monotonic`` the budget counts from.
    ``finalists`` is how many get a final training, ``pause`` a way to stop from elsewhere. Everything is written to a
    new folder under ``out``, from which ``resume`` goes on with whatever was stopped; with ``store``, such as
    ``"postgresql://me@host/database"``, the log is kept in that database, and its plain-text copy in the folder.

    Raises ``DataError``, ``SpaceError`` and ``BudgetError`` before anything is trained, and ``LimitError`` as soon as
    it is known that nothing can satisfy the limits.
    """
    began = time.monotonic() if started is None else started
    seconds = parse_duration(budget)
    plan(seconds, exports=len(formats))
    strict, family = resolve_family(limits or {})
    chosen = find_method(method or (FAMILY if family else "spos")) if method or weights or family else None
    if chosen is not None and strategy is not None and abilities_of(find(strategy)).fidelities:
        raise UsageError(
            f"{strategy!r} trains for longer what is promising, and on shared weights nothing is trained. With "
            f"--method {chosen.name} name another strategy, such as {chosen.strategy}, or none."
        )
    if weights is not None:
        find_weights(weights)
    if store is not None:
        PostgreSQLStore(store).close()  # a database that cannot be written is told before the data is read
    if executor == "ray":
        need_ray()
    in_memory = not isinstance(data, str | Path)
    request = Request(
        type(data).__name__ if in_memory else str(data),
        seconds,
        target,
        strict,
        resolve_objectives(objectives),
        OWN if isinstance(space, Space) else space or "",
        strategy or ("halving" if chosen is None else "nsga2" if family else chosen.strategy),
        seed,
        trials,
        device or "auto",
        executor or "auto",
        folds,
        tuple(formats),
        name or _name(data),
        in_memory=in_memory,
        store=store,
        finalists=finalists,
        options=options,
        started_in=os.getcwd(),
        method=chosen.name if chosen else "",
        family=family,
        weights=str(Path(weights).expanduser().absolute()) if weights else "",
    )
    folder = make_folder(out, request.name)
    lease = take(folder)
    try:
        write_toml(folder / "run.toml", request.to_toml())
        given = Given(data if in_memory else None, space if isinstance(space, Space) else None)
        return conduct(folder, request, given, progress or (lambda event: None), began, pause or Pause(), lease)
    except UsageError:
        if Journal.of(folder).get("check") is None:  # nothing was begun
            lease.release()
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _name(data: Any) -> str:
    """Return what a run is called where nobody says: the data's name."""
    if isinstance(data, Task):
        return data.name
    if isinstance(data, str | Path):
        path = Path(data).expanduser()
        return (path.resolve().name if path.is_dir() else path.name.split(".")[0]) or "data"
    return "arrays" if isinstance(data, tuple | list) else type(data).__name__.lower()
