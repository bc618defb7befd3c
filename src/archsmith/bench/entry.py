"""A strategy in a comparison: its short name and its settings, as people write them."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archsmith.bench.problem import Problem
from archsmith.errors import MissingExtra, UsageError
from archsmith.strategy import Named, Strategy, everything, find, make, require

__all__ = ["Entry", "entries"]

_ENTRY = re.compile(r"\s*([\w.:/-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
# Where rungs are not the levels of a table themselves.
_ETA = 3.0


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
        named = find(self.name)
        require(named, problem.table.space, objectives=len(problem.objectives), limits=bool(problem.limits))
        settings = dict(self.settings)
        if named.abilities is not None and named.abilities.fidelities:
            settings = {**_rungs(self.label, problem), **settings}
        return make(self.name, problem.table.space, **settings)


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
            if problem.seconds is None and _fidelities(find(entry.name)):
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


def _rungs(label: str, problem: Problem) -> dict[str, Any]:
    levels = problem.table.levels
    names = set(levels[0])
    if len(levels) < 2 or len(names) != 1:
        raise UsageError(f"{label} needs a table with several levels of one fidelity, such as epochs.")
    (name,) = names
    spent = [level[name] for level in levels]
    # With two levels they are the rungs; of many, those that the factor meets.
    eta = spent[1] / spent[0] if len(spent) < 4 else _ETA
    return {"fidelity": name, "minimum": spent[0], "maximum": spent[-1], "eta": eta}


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
