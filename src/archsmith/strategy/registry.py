"""Every way of searching by its short name. There is no central list: each file says what it offers."""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from archsmith.errors import SpaceError, UsageError, nearest
from archsmith.space import Space, always_asked, wirings
from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.protocol import Strategy
from archsmith.strategy.settings import check_settings

__all__ = ["Named", "everything", "find", "make", "names", "require"]

_ROOM = "archsmith.strategy"


@dataclass(frozen=True)
class Named:
    """A way of searching under a short name: ``make(space, **settings)`` returns a new strategy.

    A file offers what it holds in a tuple called ``NAMED``, and is found by it. Its ``abilities`` are those that
    ``make``, usually a class, declares, unless others are given.
    """

    name: str
    make: Callable[..., Strategy]
    abilities: Abilities | None = None

    def __post_init__(self) -> None:
        if self.abilities is None:
            object.__setattr__(self, "abilities", abilities_of(self.make))


def everything() -> Iterator[Named]:
    """Yield every way of searching, file by file; this loads them all."""
    for module in _modules():
        yield from _offers(module)


def names() -> tuple[str, ...]:
    """Return every short name, sorted."""
    return tuple(sorted(named.name for named in everything()))


def find(name: str) -> Named:
    """Return what goes by a short name; ``package.module:Name`` is a strategy of your own.

    Raises ``UsageError`` with the nearest name where there is none.
    """
    if ":" in name:
        return _own(name)
    # Files that are called after it come first, so that little is loaded for what is well known.
    for module in sorted(_modules(), key=lambda m: name not in m):
        for named in _offers(module):
            if named.name == name:
                return named
    raise UsageError(
        f"There is no strategy called {name!r}. {nearest(name, names())} For one of your own, give its import path: "
        "package.module:Name."
    )


def make(name: str, space: Space, **settings: Any) -> Strategy:
    """Return a new strategy by its short name.

    Raises ``UsageError`` for a name or setting that there is not, and for a value that a setting does not take.
    """
    named = find(name)
    check_settings(f"The strategy {name!r}", named.make, settings)
    try:
        return named.make(space, **settings)
    except (TypeError, ValueError, OverflowError) as error:  # what no check of its own has caught
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items()) or "its default settings"
        raise UsageError(f"The strategy {name!r} cannot be made with {given}: {error}") from error


def require(strategy: Any, space: Space | None = None, *, objectives: int = 1, limits: bool = False) -> None:
    """Raise unless the strategy can handle what it is given, with a sentence that names those that can.

    ``strategy`` is one, or a ``Named`` way of making one. A strategy that cannot handle every space calls this with
    its space when it is constructed; a study calls it with its objectives and limits. Raises ``SpaceError`` for the
    space, ``UsageError`` for the rest.
    """
    able = abilities_of(strategy)

    def unfit(other: Abilities) -> bool:
        return _lacks(other, objectives, limits) or (space is not None and bool(_beyond(other, space)))

    if objectives > 1 and not able.many_objectives:
        raise UsageError(_refusal(strategy, unfit, f"one objective, and this search has {objectives}"))
    if limits and not able.limits:
        raise UsageError(_refusal(strategy, unfit, "no limits, and this search has some"))
    if space is not None and (what := _beyond(able, space)):
        raise SpaceError(_refusal(strategy, unfit, what))


def _lacks(able: Abilities, objectives: int, limits: bool) -> bool:
    return (objectives > 1 and not able.many_objectives) or (limits and not able.limits)


def _beyond(able: Abilities, space: Space) -> str:
    """Return what is handled where the space has something else; empty where it can be handled."""
    if not able.ranges:
        real = next((key for key, d in space.decisions.items() if d.size == math.inf), None)
        if real is not None:
            return f"decisions whose answers can be listed, and {real!r} is a real range"
    if not able.conditionals:
        sometimes = sorted(set(space.decisions) - always_asked(space))
        if sometimes:
            return f"decisions that are always asked, and {sometimes[0]!r} is asked in some architectures only"
    if able.cells and not wirings(space):
        return "spaces with a cell (a call whose target declares its `wiring`), and this one has none"
    return ""


def _refusal(strategy: Any, unfit: Callable[[Abilities], bool], what: str) -> str:
    others = sorted(named.name for named in everything() if not unfit(abilities_of(named)))
    called = strategy.name if isinstance(strategy, Named) else getattr(strategy, "called", type(strategy).__name__)
    return f"{called} handles {what}. These can: {', '.join(others)}."


def _modules() -> list[str]:
    return sorted(found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]))


def _offers(module: str) -> tuple[Named, ...]:
    return tuple(getattr(import_module(f"{_ROOM}.{module}"), "NAMED", ()))


def _own(path: str) -> Named:
    module, _, attribute = path.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"There is no strategy at {path!r}: {error}. Give package.module:Name.") from error
    if not callable(found):
        raise UsageError(f"{path!r} is of type {type(found).__name__}; it must make a strategy from a space.")
    return Named(path, found)
