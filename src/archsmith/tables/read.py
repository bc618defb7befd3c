"""Read a person's own table: one column for each decision, one for each metric, one row for each combination."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsmith.errors import DataError, MissingExtra, UsageError, nearest
from archsmith.space import Answer
from archsmith.tables.table import Table, combination_codes

__all__ = ["METRIC_WORDS", "read_table"]

METRIC_WORDS = frozenset(
    "accuracy acc error loss score auc f1 rmse mae mse r2 perplexity latency energy memory params macs flops size "
    "seconds time cost runtime".split()
)
# What pandas calls the row numbers that it writes beside the columns, in CSV, read again, and in Parquet.
_INDEX = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
_WORD = re.compile(r"[a-z]+\d?|\d+")


@dataclass(frozen=True)
class _File:
    """A file as text: names, columns of cells, and the number by which people know each row."""

    path: Path
    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]

    def refuse(self, row: int, text: str) -> DataError:
        return DataError(f"{self.path}: row {self.lines[row]}: {text}")


def read_table(
    path: Path | str,
    decisions: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    fidelity: Sequence[str] = (),
    repeat: str | None = None,
    options: Mapping[str, Sequence[Answer]] | None = None,
) -> Table:
    """Return the table in a CSV file (also ``.tsv``, ``.gz``) or a Parquet file.

    ``decisions`` names the columns of decisions and ``metrics`` those of metrics; without either, the columns up to the
    first whose name says that it is a metric (a word of ``METRIC_WORDS``, as in ``val_accuracy`` or ``latency_ms``) are
    decisions and the rest are metrics. ``fidelity`` names columns that say how much was spent, such as ``epochs``;
    ``repeat`` one that tells repeated measurements of the same row apart, such as ``seed``. The options of a decision
    are its distinct values in ascending order, numbers where all are numbers, unless ``options`` says them.

    Raises ``DataError`` with the number of the row (of the line, in a CSV file) for values that are no option or no
    number, for rows that are there twice, and for combinations that are missing.
    """
    file = _parquet(Path(path)) if Path(path).suffix.lower() in (".parquet", ".pq") else _csv(Path(path))
    apart = [*fidelity, *([repeat] if repeat else [])]
    named, results = _roles(file, decisions, metrics, apart)
    choices = {name: _options(file, name, (options or {}).get(name)) for name in named}
    places = np.stack([_places(file, name, choices[name]) for name in named], axis=1)
    values = {name: _numbers(file, name) for name in results}
    levels, at = _levels(file, fidelity)
    repeats, again = _distinct(file, repeat)
    # Rows of one architecture at several levels, or measured several times, are one row of the table.
    codes = combination_codes(places, [len(c) for c in choices.values()])
    known, first, rows = np.unique(codes, return_index=True, return_inverse=True)
    keys = np.stack([rows.reshape(-1), at, again], axis=1)
    _refuse_repeated(file, named, apart, keys)
    _refuse_incomplete(file, named, apart, (len(known), len(levels), repeats), keys)
    columns = {}
    for name, column in values.items():
        cube = np.full((len(known), len(levels), repeats), np.nan)
        cube[rows, at, again] = column
        columns[name] = cube
    last = np.zeros(len(known), dtype=np.int64)
    np.maximum.at(last, rows.reshape(-1), np.arange(len(file.lines)))
    lines = [
        file.lines[i] for i in last.tolist()
    ]  # what is missing would stand after the last row of what comes before
    return Table(str(path), choices, places[first], columns, levels, lines)


def _csv(path: Path) -> _File:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (UnicodeDecodeError, EOFError):
        raise DataError(f"{path}: this is not a text file in UTF-8. Save the table as CSV in UTF-8.") from None
    head = text.splitlines()[0] if text.strip() else ""
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    rows, lines = [], []
    try:
        for row in reader:
            if any(row):
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: row {reader.line_num} cannot be read ({error}).") from None
    if len(rows) < 2:
        raise DataError(f"{path}: a table needs a line of names and at least one row below it.")
    names = rows[0]
    for row, line in zip(rows[1:], lines[1:], strict=True):
        if len(row) != len(names):
            raise DataError(f"{path}: row {line} has {len(row)} values, and the first line has {len(names)} names.")
    unnamed = [str(place) for place, name in enumerate(names, 1) if not name]
    if len(unnamed) > 1:
        raise DataError(f"{path}: columns {' and '.join(unnamed)} have no name. Give each column its own name.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: two columns are named {twice[0]!r}. Give each column its own name.")
    return _File(path, dict(zip(names, zip(*rows[1:], strict=True), strict=True)), lines[1:])


def _parquet(path: Path) -> _File:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("reading Parquet needs pyarrow: pip install 'archsmith[parquet]'") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from None
    if not table.num_rows:
        raise DataError(f"{path}: the table has no rows.")
    columns = {
        name: ["" if v is None else str(v) for v in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return _File(path, columns, range(1, table.num_rows + 1))


def _roles(
    file: _File, decisions: Sequence[str] | None, metrics: Sequence[str] | None, apart: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the columns of decisions and those of metrics."""
    for name in (*(decisions or ()), *(metrics or ()), *apart):
        if name not in file.columns:
            raise UsageError(f"{file.path}: there is no column {name!r}. {nearest(name, file.columns)}")
    rest = [name for name in file.columns if name not in apart]
    if decisions is not None:
        named = list(decisions)
        results = list(metrics) if metrics is not None else [n for n in rest if n not in named]
    elif metrics is not None:
        results = list(metrics)
        named = [n for n in rest if n not in results]
    else:
        first = next((i for i, n in enumerate(rest) if METRIC_WORDS & set(_WORD.findall(n.lower()))), len(rest))
        named, results = rest[:first], rest[first:]
    both = sorted({*named, *apart} & set(results)) + sorted(set(named) & set(apart))
    if both:
        raise UsageError(f"{file.path}: the column {both[0]!r} cannot be two things at once.")
    index = next((name for name in (*named, *results) if _INDEX.fullmatch(name)), None)
    if index is not None:
        place = list(file.columns).index(index) + 1
        called = f"is called {index!r}" if index else "has no name"
        raise DataError(
            f"{file.path}: column {place} {called}, so it is probably the row numbers of a pandas table, which are no "
            "decision. Write the file without them, table.to_csv(path, index=False), or give the column a name."
        )
    if not named or not results:
        raise UsageError(
            f"{file.path}: which columns are decisions and which are metrics cannot be told from the names "
            f"({', '.join(file.columns)}). Name the decisions."
        )
    return named, results


def _options(file: _File, name: str, given: Sequence[Answer] | None) -> tuple[Answer, ...]:
    if given is not None:
        return tuple(given)
    cells = file.columns[name]
    if "" in cells:
        raise file.refuse(cells.index(""), f"the decision {name!r} has no value.")
    distinct = sorted(set(cells))
    for read in (_whole, _finite):
        numbers = [read(cell) for cell in distinct]
        if None not in numbers:
            return tuple(sorted({n for n in numbers if n is not None}))
    return tuple(distinct)


def _places(file: _File, name: str, options: tuple[Answer, ...]) -> NDArray[np.int64]:
    """Return where each cell is among the options."""
    place = {option: i for i, option in enumerate(options)}
    read: Callable[[str], Answer] = str
    if all(isinstance(o, int | float) and not isinstance(o, bool) for o in options):
        read = _finite
    found = {cell: place.get(read(cell)) for cell in set(file.columns[name])}
    for row, cell in enumerate(file.columns[name]):
        if found[cell] is None:
            hint = nearest(cell, map(str, options))
            raise file.refuse(row, f"{name!r} is {cell!r}, which is no option of it. {hint}")
    return np.array([found[cell] for cell in file.columns[name]], dtype=np.int64)


def _numbers(file: _File, name: str) -> NDArray[np.float64]:
    numbers = [_finite(cell) for cell in file.columns[name]]
    if None in numbers:
        row = numbers.index(None)
        raise file.refuse(row, f"the metric {name!r} is {file.columns[name][row]!r}, which is not a finite number.")
    return np.array(numbers, dtype=np.float64)


def _levels(file: _File, fidelity: Sequence[str]) -> tuple[tuple[Mapping[str, float], ...], NDArray[np.int64]]:
    """Return the levels of fidelity, ascending by what they spend, and the place of each row's among them."""
    if not fidelity:
        return ({},), np.zeros(len(file.lines), dtype=np.int64)
    spent = np.stack([_numbers(file, name) for name in fidelity], axis=1)
    for name, column in zip(fidelity, spent.T, strict=True):
        if column.min() <= 0:
            row = int(column.argmin())
            raise file.refuse(row, f"the fidelity {name!r} is {column[row]:g}; what is spent is above 0.")
    distinct, at = np.unique(spent, axis=0, return_inverse=True)
    order = np.argsort(distinct.prod(axis=1), kind="stable")
    levels = tuple(dict(zip(fidelity, distinct[i].tolist(), strict=True)) for i in order)
    return levels, np.argsort(order)[at.reshape(-1)]


def _distinct(file: _File, repeat: str | None) -> tuple[int, NDArray[np.int64]]:
    if repeat is None:
        return 1, np.zeros(len(file.lines), dtype=np.int64)
    names, again = np.unique(np.array(file.columns[repeat], dtype=str), return_inverse=True)
    return len(names), again


def _refuse_repeated(file: _File, named: Sequence[str], apart: Sequence[str], keys: NDArray[np.int64]) -> None:
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    twice = np.flatnonzero(first[inverse.reshape(-1)] != np.arange(len(keys)))
    if len(twice):
        row = int(twice[0])
        said = ", ".join(f"{n}={file.columns[n][row]}" for n in (*named, *apart))
        more = f" ({len(twice):,} rows are like it.)" if len(twice) > 1 else ""
        raise file.refuse(row, f"it repeats row {file.lines[first[inverse.reshape(-1)[row]]]}: {said}. Keep one.{more}")


def _refuse_incomplete(
    file: _File, named: Sequence[str], apart: Sequence[str], shape: tuple[int, ...], keys: NDArray[np.int64]
) -> None:
    """Refuse an architecture that lacks a level or a repeat which others have."""
    there = np.zeros(shape, dtype=bool)
    there[tuple(keys.T)] = True
    lacking = np.argwhere(~there)
    if not len(lacking):
        return
    row = int(np.flatnonzero(keys[:, 0] == lacking[0][0])[0])
    said = ", ".join(f"{n}={file.columns[n][row]}" for n in named)
    raise file.refuse(
        row, f"{said} is not there for every value of {' and '.join(apart)}; {len(lacking):,} rows are missing."
    )


def _whole(cell: str) -> int | None:
    return int(cell) if re.fullmatch(r"[+-]?\d{1,18}", cell) else None


def _finite(cell: str) -> float | None:
    if "_" in cell:  # a name such as 3_3, which Python would read as 33
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
