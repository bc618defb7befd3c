"""Read a table from CSV or Parquet, and take the target column out of it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from archsmith.errors import DataError, nearest
from archsmith.task.read_csv import CSV_SUFFIXES, MISSING, read_csv
from archsmith.task.read_parquet import read_parquet
from archsmith.task.values import ROLES, TEST, TRAIN, Cells, Raw

__all__ = ["find_tables", "is_missing", "is_table", "read_cells", "read_table"]

_USUAL = ("target", "label", "class", "y")


def is_table(path: Path) -> bool:
    """Return whether the name says CSV (``.csv``, ``.tsv``, ``.txt``, ``.data``, also ``.gz``) or Parquet."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith((*CSV_SUFFIXES, ".parquet", ".pq"))


def find_tables(folder: Path) -> dict[int, Path]:
    """Return the tables of a folder by split: the only one, or those named train, valid and test."""
    tables = sorted(f for f in folder.iterdir() if f.is_file() and is_table(f) and not f.name.startswith("."))
    tables = [t for t in tables if t.suffix.lower() != ".txt"] or tables  # a licence is not data
    if len(tables) == 1:
        return {TRAIN: tables[0]}
    named = {ROLES[stem]: t for t in tables if (stem := t.name.lower().split(".")[0]) in ROLES}
    return named if TRAIN in named and len(named) == len(tables) else {}


def read_cells(
    path: Path, header: bool | None = None, expected: Collection[str] = ()
) -> tuple[dict[str, Cells], list[str]]:
    """Return the columns of a table, float64 or strings, and notes."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return read_parquet(path)
    names, rows, notes = read_csv(path, header, expected)
    if not rows:
        raise DataError(f"{path}: there is a header line but no rows.")
    columns = (np.array(column, dtype=object) for column in zip(*rows, strict=True))
    return dict(zip(names, columns, strict=True)), notes


def is_missing(cells: Cells, but: Collection[str] = ()) -> Cells:
    """Return a mask of the missing cells: NaN, or text such as ``""``, ``"?"``, ``"NA"``, ``but`` not these."""
    if cells.dtype.kind == "f":
        return np.isnan(cells)
    words = MISSING.difference(but)
    return np.array([len(c) < 5 and c.lower() in words for c in map(str, cells)], dtype=bool)


def read_table(paths: dict[int, Path], target: str | int | None = None, header: bool | None = None) -> Raw:
    """Read the tables of each split; ``target`` is a column's name or number, usually the last column."""
    first = paths[TRAIN]
    expected = [target] if isinstance(target, str) and not target.lstrip("-").isdigit() else []
    columns, notes = read_cells(first, header, expected)
    names = tuple(columns)
    if len(names) < 2:
        raise DataError(f"{first}: there is only one column; a target and at least one other are needed. Separators "
                        "may be comma, semicolon, tab or |.")  # fmt: skip
    name, note = _find_target(names, target, first, "col0" in names and any("no header" in n for n in notes))
    notes += note
    parts = [np.full(len(columns[name]), TRAIN, dtype=np.int8)]
    for role, path in sorted(paths.items()):
        if role == TRAIN:
            continue
        more, _ = read_cells(path, header, expected)
        for wanted in names:
            if wanted not in more:
                raise DataError(f"{path}: there is no column {wanted!r} as in {first.name}. {nearest(wanted, more)}")
        for wanted in names:
            both = (columns[wanted], more[wanted])
            if both[0].dtype != both[1].dtype:
                both = (both[0].astype(str).astype(object), both[1].astype(str).astype(object))
            columns[wanted] = np.concatenate(both)
        parts.append(np.full(len(more[name]), role, dtype=np.int8))
    part, y = np.concatenate(parts), columns.pop(name)
    missing = is_missing(y, but=("none", "-"))  # which may well be the name of a class
    if missing.all():
        raise DataError(f"{first}: the target column {name!r} has no values.")
    if missing.any():
        notes.append(f"{int(missing.sum())} rows without a value in the target {name!r} were left out")
        y, part = y[~missing], part[~missing]
        columns = {n: c[~missing] for n, c in columns.items()}
    if TEST in paths:
        notes.append("the given test table is the locked test split")
    return Raw(y, part, columns=columns, names=names, target=name, notes=tuple(notes))


def _find_target(names: tuple[str, ...], target: str | int | None, path: Path, bare: bool) -> tuple[str, list[str]]:
    """Return the target's column name, and a note where it had to be guessed."""
    if target is None:
        usual = next((n for n in names if n.lower() in _USUAL), names[-1])
        return usual, [f"no target was named, so column {usual!r} is predicted (choose with target)"]
    if isinstance(target, str) and target in names:
        return target, []
    if str(target).lstrip("-").isdigit():
        index = int(target)
        if -len(names) <= index < len(names):
            return names[index], []
        raise DataError(f"{path}: there is no column number {index}; numbers go from 0 to {len(names) - 1}, -1 is the "
                        "last.")  # fmt: skip
    hint = nearest(str(target), names)
    if bare:
        hint = (f"The file has no header line, so its columns are col0 to col{len(names) - 1}; name one of them or "
                "give a number, -1 is the last.")  # fmt: skip
    raise DataError(f"{path}: there is no column {target!r} to be the target. {hint}")
