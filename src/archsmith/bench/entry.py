"""A strategy in a comparison: its short name and its settings, as people write them."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, get_type_hints

from archsmith.bench.problem import Problem
from archsmith.errors import ArchsmithError, MissingExtra, UsageError
from archsmith.space import Space
from archsmith.strategy import Named, Strategy, everything, find, make, require
from archsmith.strategy.highest_rung import rising

__all__ = ["Entry", "entries", "listing"]

_ENTRY = re.compile(r"\s*([\w.:/-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
# Of tables with many levels, those about so far apart are rungs; and of how many a first rung consists at the least.
_ETA, _MANY, _FIRST = 3.0, 4, 27.0


@dataclass(frozen=True)
class Entry:
    """A way of making a strategy: a short name, or ``package.module:Name``, and the settings of its constructor."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The entry as it is written: ``evolution(population=10, sample=3)``."""
        inner = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"{self.name}({inner})" if inner else self.name

    def make(self, problem: Problem) -> Strategy:
        """Return a new strategy for a problem; one that spends little on most is given the table's levels.

        Raises ``UsageError`` or ``SpaceError`` when it cannot handle the problem.
        """
        named = _find(self.name)
        require(named, problem.table.space, objectives=len(problem.objectives), limits=bool(problem.limits))
        settings = dict(self.settings)
        if _fidelities(named):
            with suppress(TypeError, ValueError):  # a setting of the wrong kind, which is refused below
                settings = _taken(named, _rungs(self.label, problem, settings))
        made = self._made(named, problem.table.space, settings)
        lacking = [method for method in ("ask", "tell") if not callable(getattr(made, method, None))]
        if lacking:
            raise UsageError(
                f"{self.label} makes a {type(made).__name__}, which cannot {' and cannot '.join(lacking)}. A strategy "
                "has ask(n, rng, running) and tell(trial); see archsmith.strategy.Strategy."
            )
        return made

    def _made(self, named: Named, space: Space, settings: Mapping[str, Any]) -> Strategy:
        """Return what is made; what goes wrong in a person's own constructor is said as theirs."""
        try:
            if ":" in self.name:
                inspect.signature(named.make).bind(space, **settings)
            return make(self.name, space, **settings)
        except ArchsmithError:
            raise
        except Exception as error:
            if ":" not in self.name:
                raise
            raise UsageError(
                f"{self.label} cannot be made from a space: {type(error).__name__}: {error}. It is called with the "
                f"space alone; what else its constructor needs stands in brackets: {self.name}(setting=1)."
            ) from error


def entries(text: str, problem: Problem) -> tuple[list[Entry], list[str]]:
    """Return the entries that a person listed, random search always among them, and notes on what was left out.

    ``text`` is ``all``, or entries with commas between them. Raises ``UsageError`` for what cannot be; of ``all``
    only those that can handle the problem are taken.
    """
    notes: list[str] = []
    if text.strip() == "all":
        found = []
        for named in sorted(everything(), key=lambda n: (n.name != "random", n.name)):
            reason = _unfit(named, problem)
            if reason:
                notes.append(f"{named.name} is left out: {reason}")
            else:
                found.append(Entry(named.name))
    else:
        found = [_parse(part) for part in _split(text)]
        for entry in found:
            if problem.seconds is None and _fidelities(_find(entry.name)):
                raise UsageError(f"{entry.name} spends little on most trials. Compare it at equal cost, not by trials.")
            entry.make(problem)
    if not any(entry == Entry("random") for entry in found):
        found.insert(0, Entry("random"))
    return list({entry.label: entry for entry in found}.values()), notes


def _fidelities(named: Named) -> bool:
    return named.abilities is not None and named.abilities.fidelities


def _unfit(named: Named, problem: Problem) -> str:
    """Return why a strategy cannot take part, or nothing."""
    if _fidelities(named) and problem.seconds is None:
        return "it spends little on most trials, which is compared at equal cost only"
    try:
        Entry(named.name).make(problem)
    except (UsageError, MissingExtra) as error:
        return str(error)
    return ""


def _find(name: str) -> Named:
    """Return what goes by a name; what goes wrong in a person's own file is said as theirs."""
    try:
        return find(name)
    except ArchsmithError:
        raise
    except (Exception, SystemExit) as error:  # a script ends the process when it is imported
        if ":" not in name:
            raise
        raise UsageError(
            f"{name}: {name.partition(':')[0]!r} cannot be imported: {type(error).__name__}: {error}. Mend the file; "
            "importing it must only define the strategy."
        ) from error


def _rungs(label: str, problem: Problem, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with rungs that are levels of the table, so that none is measured as another one is."""
    levels = problem.table.levels
    names = set(levels[0])
    if len(levels) < 2 or len(names) != 1:
        raise UsageError(f"{label} needs a table with several levels of one fidelity, such as epochs.")
    (name,) = names
    spent = [level[name] for level in levels]
    known = ", ".join(f"{s:g}" for s in spent)
    low, high = settings.get("minimum", spent[0]), settings.get("maximum", spent[-1])
    rungs = tuple(settings.get("rungs", ())) or _thinned([s for s in spent if low <= s <= high], settings.get("eta"))
    if len(rungs) < 2 or not set(rungs) <= set(spent) or list(rungs) != sorted(set(rungs)):
        raise UsageError(
            f"{label} needs two or more ascending rungs that are levels of the table, whose {name} are {known}."
        )
    eta = settings.get("eta", _factor(rungs))
    return {**settings, "fidelity": name, "minimum": rungs[0], "maximum": rungs[-1], "eta": eta, "rungs": rungs}


def _thinned(spent: Sequence[float], eta: float | None) -> tuple[float, ...]:
    """Return levels as rungs: a few all, of many those that are about a factor apart."""
    if len(spent) < _MANY:
        return tuple(spent)
    factor, rungs = _ETA if eta is None else eta, [spent[0]]
    for level in spent[1:-1]:
        # What is almost the highest level would be a rung for nothing.
        if level >= rungs[-1] * factor * (1 - 1e-9) and level * math.sqrt(factor) <= spent[-1]:
            rungs.append(level)
    return (*rungs, spent[-1])


def _factor(rungs: Sequence[float]) -> float:
    """Return what part goes on: two rungs by what the higher one costs more, of several no less than a third.

    Rungs may be far apart, and of the few dozen that a search starts some are to reach the highest one.
    """
    mean: float = (rungs[-1] / rungs[0]) ** (1 / (len(rungs) - 1))
    return min(mean, _FIRST if len(rungs) == 2 else _ETA)


def _taken(named: Named, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the settings about rungs that a strategy takes, all others as they are."""
    parameters = inspect.signature(named.make).parameters
    if "rungs" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(settings)
    # One that multiplies by itself meets all of them, or else it gets the lowest and the highest.
    rungs, low, high = settings["rungs"], settings["minimum"], settings["maximum"]
    factors = (settings["eta"], rungs[1] / low, high / low)
    eta = next(
        (factor for factor in factors if factor > 1 and set(rising(low, high, factor)) <= set(rungs)), factors[-1]
    )
    settings = {**settings, "eta": eta}
    about = ("fidelity", "minimum", "maximum", "eta", "rungs")
    return {key: value for key, value in settings.items() if key in parameters or key not in about}


def _split(text: str) -> list[str]:
    """Return the parts between commas that stand in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def _parse(text: str) -> Entry:
    found = _ENTRY.fullmatch(text)
    example = "Write for example random, or evolution(population=10, sample=3)."
    if found is None:
        raise UsageError(f"{text.strip()!r} is no strategy. {example}")
    name, inner = found[1], found[2] or ""
    try:
        tree = ast.parse(f"f({inner})", mode="eval").body
        assert isinstance(tree, ast.Call) and not tree.args
        settings = {str(k.arg): ast.literal_eval(k.value) for k in tree.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise UsageError(f"The settings of {text.strip()!r} are not understood. {example}") from None
    return Entry(name, settings)


def listing() -> list[tuple[str, str]]:
    """Return every strategy that has a short name, and what it does in one sentence."""
    return [(named.name, _sentence(named)) for named in sorted(everything(), key=lambda n: n.name)]


def _sentence(named: Named) -> str:
    given = named.make.keywords if isinstance(named.make, partial) else {}
    settings = ", ".join(f"{key}={value!r}" for key, value in given.items())
    text = (inspect.getdoc(_class(named)) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "")
    first = text.partition(". ")[0].rstrip(".")
    return f"{first}; {settings}" if settings else first


def _class(named: Named) -> Any:
    """Return the class of a strategy of ours; of a function that wraps one strategy in another, the outer class."""
    made: Any = named.make.func if isinstance(named.make, partial) else named.make
    return made if isinstance(made, type) else get_type_hints(made).get("return", made)
