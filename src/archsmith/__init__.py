"""Archsmith finds, trains, explains and ships a neural network for your own data, inside your limits and your time.

The names here are a front door: each is loaded from its room when it is first asked for, so that importing the
package, and every command that only reads, starts at once and without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archsmith import build as build
    from archsmith import errors as errors
    from archsmith import spaces as spaces
    from archsmith.build.cost import cost as cost
    from archsmith.build.source import source as source
    from archsmith.elasticity import elastic as elastic
    from archsmith.elasticity import shrink as shrink
    from archsmith.errors import ArchsmithError as ArchsmithError
    from archsmith.execute import Inline as Inline
    from archsmith.execute import Processes as Processes
    from archsmith.execute import Ray as Ray
    from archsmith.pipeline import Result as Result
    from archsmith.pipeline import compare as compare
    from archsmith.pipeline import predict as predict
    from archsmith.pipeline import resume as resume
    from archsmith.pipeline import search as search
    from archsmith.run import Run as Run
    from archsmith.space import Arch as Arch
    from archsmith.space import Space as Space
    from archsmith.space import call as call
    from archsmith.space import choice as choice
    from archsmith.space import integer as integer
    from archsmith.space import pick as pick
    from archsmith.space import program as program
    from archsmith.space import real as real
    from archsmith.space import repeat as repeat
    from archsmith.space import round_to as round_to
    from archsmith.space import switch as switch
    from archsmith.spec import Spec as Spec
    from archsmith.store import PostgreSQLStore as PostgreSQLStore
    from archsmith.store import SQLiteStore as SQLiteStore
    from archsmith.strategy import RandomSearch as RandomSearch
    from archsmith.strategy import RegularizedEvolution as RegularizedEvolution
    from archsmith.strategy import SuccessiveHalving as SuccessiveHalving
    from archsmith.study import Study as Study
    from archsmith.task import Task as Task
    from archsmith.task import load as load_task
    from archsmith.trial import Evaluate as Evaluate
    from archsmith.trial import Objective as Objective
    from archsmith.trial import Trial as Trial
    from archsmith.trial import maximize as maximize
    from archsmith.trial import minimize as minimize
    from archsmith.trial import tradeoff as tradeoff

__version__ = "0.1.0"

# Room by room, the names that come from it. One given as "here=there" is called differently in its room.
_ROOMS = {
    "build.cost": "cost",
    "build.source": "source",
    "elasticity": "elastic shrink",
    "errors": "ArchsmithError",
    "execute": "Inline Processes Ray",
    "pipeline": "Result compare predict resume search",
    "run": "Run",
    "space": "Arch Space call choice integer pick program real repeat round_to switch",
    "spec": "Spec",
    "store": "PostgreSQLStore SQLiteStore",
    "strategy": "RandomSearch RegularizedEvolution SuccessiveHalving",
    "study": "Study",
    "task": "Task load_task=load",
    "trial": "Evaluate Objective Trial maximize minimize tradeoff",
}
_HOMES = {
    entry.partition("=")[0]: (room, entry.partition("=")[2] or entry)
    for room, entries in _ROOMS.items()
    for entry in entries.split()
}
_MODULES = ("build", "errors", "spaces")

__all__ = [
    "Arch",
    "ArchsmithError",
    "Evaluate",
    "Inline",
    "Objective",
    "PostgreSQLStore",
    "Processes",
    "RandomSearch",
    "Ray",
    "RegularizedEvolution",
    "Result",
    "Run",
    "SQLiteStore",
    "Space",
    "Spec",
    "Study",
    "SuccessiveHalving",
    "Task",
    "Trial",
    "__version__",
    "build",
    "call",
    "choice",
    "compare",
    "cost",
    "elastic",
    "errors",
    "integer",
    "load_task",
    "maximize",
    "minimize",
    "pick",
    "predict",
    "program",
    "real",
    "repeat",
    "resume",
    "round_to",
    "search",
    "shrink",
    "source",
    "spaces",
    "switch",
    "tradeoff",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"archsmith.{name}")
    if name in _HOMES:
        room, there = _HOMES[name]
        value = getattr(import_module(f"archsmith.{room}"), there)
        globals()[name] = value
        return value
    if name.startswith("_"):
        raise AttributeError(f"module 'archsmith' has no attribute {name!r}")
    hint = import_module("archsmith.errors").nearest(name, __all__)
    raise AttributeError(f"module 'archsmith' has no attribute {name!r}. {hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
