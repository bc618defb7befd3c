"""A table of known results: every architecture of a space, and what was measured of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsmith.errors import DataError, UsageError, nearest
from archsmith.space import Answer, Arch, Space, call, choice, graph

__all__ = ["Table", "combination_codes", "mean"]

# Of what is missing so many combinations are named, and of each so many decisions.
_SHOWN, _FEW = 3, 12


@dataclass(frozen=True, eq=False)
class Table:
    """Results of every combination of ``options``, one row each.

    ``options`` holds the answers of each decision; ``answers`` [rows, decisions] the place of each row's answer in
    them. ``columns`` are metrics by name, float64 [rows, levels or 1, repeats or 1]: what was measured at each of the
    ``levels`` of fidelity (ascending; one empty one where there is a single fidelity), and each time it was repeated,
    NaN where it was not. ``lines`` are the numbers by which people know the rows, such as lines of a file. Where the
    decisions are the operations on a cell's edges, ``wiring`` holds the nodes ``(from, to)`` that each of them joins.

    Raises ``DataError`` with the row's number for a row that is there twice, and with the combination and the row after
    which it would stand for one that is missing.
    """

    name: str
    options: Mapping[str, tuple[Answer, ...]]
    answers: NDArray[np.integer[Any]]
    columns: Mapping[str, NDArray[np.float64]]
    levels: Sequence[Mapping[str, float]] = ({},)
    lines: Sequence[int] = ()
    wiring: Sequence[tuple[int, int]] = ()
    _rows: NDArray[np.int64] = field(init=False, repr=False)
    _steps: tuple[tuple[str, dict[Answer, int]], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        steps, stride = [], math.prod(len(o) for o in self.options.values())
        for key, options in self.options.items():
            stride //= len(options)
            steps.append((key, {answer: place * stride for place, answer in enumerate(options)}))
        object.__setattr__(self, "_steps", tuple(steps))
        codes = combination_codes(self.answers, [len(o) for o in self.options.values()])
        # Not by an array of all combinations before it is known that each has a row: a few dozen decisions have 2**34.
        known, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        self._refuse_repeated(first[inverse.reshape(-1)])
        self._refuse_missing(known, first)
        object.__setattr__(self, "_rows", first)

    def __len__(self) -> int:
        return len(self.answers)

    @cached_property
    def space(self) -> Space:
        """The space of the table: one choice for each decision, under its name."""
        choices = {key: choice(*options, name=key) for key, options in self.options.items()}
        if self.wiring:
            return Space(cell=call(graph, tuple(self.wiring), *choices.values()))
        if "valid" in choices:  # a space takes this word for a constraint; decisions go by their own names anyway
            choices = {f"decision {key}": asked for key, asked in choices.items()}
        return Space(**choices)

    def row(self, arch: Mapping[str, Answer]) -> int:
        """Return the row of an architecture; raises ``UsageError`` for answers that the table does not know."""
        try:
            return int(self._rows[sum(places[arch[key]] for key, places in self._steps)])
        except KeyError:
            raise UsageError(self._unknown(arch)) from None

    def arch(self, row: int) -> Arch:
        """Return the architecture of a row."""
        places = self.answers[row].tolist()
        return Arch({key: options[i] for (key, options), i in zip(self.options.items(), places, strict=True)})

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a metric [rows, levels or 1, repeats or 1]; raises ``UsageError`` with the nearest name."""
        if name not in self.columns:
            raise UsageError(f"The table {self.name!r} has no metric {name!r}. {nearest(name, self.columns)}")
        return self.columns[name]

    def final(self, name: str) -> NDArray[np.float64]:
        """Return a metric at the highest level [rows], the mean of its repeats."""
        return mean(self.column(name)[:, -1])

    def level(self, fidelity: Mapping[str, float]) -> int:
        """Return the place of the highest level that ``fidelity`` pays for; the last one where it is empty.

        Raises ``UsageError`` where even the lowest costs more, or where something else is spent.
        """
        if not fidelity:
            return len(self.levels) - 1
        for place in reversed(range(len(self.levels))):
            level = self.levels[place]
            if level.keys() == fidelity.keys() and all(level[k] <= fidelity[k] for k in level):
                return place
        known = "; ".join(", ".join(f"{k}={v:g}" for k, v in level.items()) for level in self.levels if level)
        asked = ", ".join(f"{k}={v:g}" for k, v in fidelity.items())
        raise UsageError(f"The table {self.name!r} has no results at {asked}. Levels: {known or 'a single one'}.")

    def _unknown(self, arch: Mapping[str, Answer]) -> str:
        for key, options in self.options.items():
            if key not in arch:
                return f"The architecture does not answer {key!r}, a decision of the table {self.name!r}."
            if arch[key] not in options:
                hint = nearest(str(arch[key]), map(str, options))
                return f"The table {self.name!r} has no row with {key}={arch[key]!r}. {hint}"
        raise AssertionError("every answer is known")

    def _said(self, row: int) -> str:
        return f"row {self.lines[row] if len(self.lines) else row}"

    def _refuse_repeated(self, first: NDArray[np.int64]) -> None:
        """Refuse rows that are not the ``first`` [rows] of their combination."""
        twice = np.flatnonzero(first != np.arange(len(first)))
        if len(twice):
            row = int(twice[0])
            more = f", and {len(twice) - 1:,} more rows like it" if len(twice) > 1 else ""
            raise DataError(
                f"{self.name}: {self._said(row)} repeats {self._said(int(first[row]))}: "
                f"{_shown(self.arch(row))}{more}. Keep one of them."
            )

    def _refuse_missing(self, known: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Refuse combinations without a row; ``known`` are the codes of those with one, ascending, in ``rows``."""
        whole = math.prod(len(o) for o in self.options.values())
        missing = whole - len(known)
        if not missing:
            return
        wanted = _SHOWN if len(self.options) <= _FEW else 1
        examples: list[str] = []
        expected = 0
        for place, code in enumerate([*known.tolist(), whole]):
            for lacking in range(expected, min(code, expected + wanted - len(examples))):
                where = f"after {self._said(int(rows[place - 1]))}" if place else f"before {self._said(int(rows[0]))}"
                examples.append(f"{_shown(self._answers(lacking))} ({where})")
            if len(examples) == wanted:
                break
            expected = code + 1
        others = f" and {_count(missing - len(examples))} more" if missing > len(examples) else ""
        raise DataError(
            f"{self.name}: of {_count(whole)} combinations of options {_count(missing)} have no row. In the order of "
            f"options they would stand at: {'; '.join(examples)}{others}. A table must hold every combination. Add "
            "the rows, or say which columns are decisions if some of these are results."
        )

    def _answers(self, code: int) -> dict[str, Answer]:
        answers = {}
        for key, places in self._steps:
            answers[key] = next(a for a, place in reversed(places.items()) if place <= code)
            code -= places[answers[key]]
        return answers


def combination_codes(places: NDArray[np.integer[Any]], sizes: Sequence[int]) -> NDArray[Any]:
    """Return the number of each row's combination, [rows], of ``places`` [rows, decisions] among so many options.

    The numbers are exact: of more combinations than 64 bits hold, they are Python's own.
    """
    kind: Any = np.int64 if math.prod(sizes) <= np.iinfo(np.int64).max else object
    codes = np.zeros(len(places), dtype=kind)
    for size, column in zip(sizes, places.T, strict=True):
        codes = codes * size + column.astype(kind)
    return codes


def mean(repeats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis of what is there; NaN where nothing is."""
    there = np.isfinite(repeats)
    total, count = np.where(there, repeats, 0.0).sum(axis=-1), there.sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _shown(answers: Mapping[str, Answer]) -> str:
    said = [f"{key}={value}" for key, value in answers.items()]
    return ", ".join(said if len(said) <= _FEW else [*said[:_FEW], "…"])


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**30 else f"about {number:.0e}"
