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

__all__ = ["Table", "mean"]

_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Table:
    """Results of every combination of ``options``, one row each.

    ``options`` holds the answers of each decision; ``answers`` [rows, decisions] the place of each row's answer in
    them. ``columns`` are metrics by name, float64 [rows, levels or 1, repeats or 1]: what was measured at each of the
    ``levels`` of fidelity (ascending; one empty one where there is a single fidelity), and each time it was repeated,
    NaN where it was not. ``lines`` are the numbers by which people know the rows, such as lines of a file. Where the
    decisions are the operations on a cell's edges, ``wiring`` holds the nodes ``(from, to)`` that each of them joins.

    Raises ``DataError`` with the row's number for a row that is there twice, and with the combination for one that
    is missing.
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
        codes = np.zeros(len(self.answers), dtype=np.int64)
        for (key, options), column in zip(self.options.items(), self.answers.T, strict=True):
            stride //= len(options)
            steps.append((key, {answer: place * stride for place, answer in enumerate(options)}))
            codes += column.astype(np.int64) * stride
        rows = np.full(math.prod(len(o) for o in self.options.values()), -1, dtype=np.int64)
        rows[codes[::-1]] = np.arange(len(codes))[::-1]  # the first of equals stays
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_steps", tuple(steps))
        self._refuse_repeated(codes)
        self._refuse_missing()

    def __len__(self) -> int:
        return len(self.answers)

    @cached_property
    def space(self) -> Space:
        """The space of the table: one choice for each decision, under its name."""
        choices = {key: choice(*options, name=key) for key, options in self.options.items()}
        return Space(cell=call(graph, tuple(self.wiring), *choices.values())) if self.wiring else Space(**choices)

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

    def _refuse_repeated(self, codes: NDArray[np.int64]) -> None:
        twice = np.flatnonzero(self._rows[codes] != np.arange(len(codes)))
        if len(twice):
            row = int(twice[0])
            more = f", and {len(twice) - 1:,} more rows like it" if len(twice) > 1 else ""
            raise DataError(
                f"{self.name}: {self._said(row)} repeats {self._said(int(self._rows[codes[row]]))}: "
                f"{_shown(self.arch(row))}{more}. Keep one of them."
            )

    def _refuse_missing(self) -> None:
        missing = np.flatnonzero(self._rows < 0)
        if not len(missing):
            return
        examples = []
        for code in missing[:_SHOWN].tolist():
            answers = {}
            for key, places in self._steps:
                answers[key] = next(a for a, place in reversed(places.items()) if place <= code)
                code -= places[answers[key]]
            examples.append(_shown(answers))
        others = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        raise DataError(
            f"{self.name}: of {len(self._rows):,} combinations of options {len(missing):,} have no row: "
            f"{'; '.join(examples)}{others}. A table must hold every combination; the last row is "
            f"{self._said(len(self) - 1)}. Say which columns are decisions if some of these are results."
        )


def mean(repeats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis of what is there; NaN where nothing is."""
    there = np.isfinite(repeats)
    total, count = np.where(there, repeats, 0.0).sum(axis=-1), there.sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _shown(answers: Mapping[str, Answer]) -> str:
    return ", ".join(f"{key}={value}" for key, value in answers.items())
