"""Read CSV files, gzipped or not: separator, encoding and header are found out; rows must be equally long."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Collection, Sequence
from pathlib import Path

from archsmith.errors import DataError
from archsmith.task.limits import check_memory

__all__ = ["CSV_SUFFIXES", "MISSING", "read_csv"]

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "-", "<na>", "#n/a"})
_SEPARATORS = ",;\t|"


def read_csv(
    path: Path, header: bool | None = None, expected: Collection[str] = ()
) -> tuple[tuple[str, ...], list[list[str]], list[str]]:
    """Return names, rows of stripped cells, and notes; files without a header get the names ``col0``, ``col1``, ...

    ``header`` says whether the first line holds names; None finds out, and a first line with one of the ``expected``
    names is always a header. Raises ``DataError``.
    """
    text, notes = _text(path)
    separator = _separator(text)
    cells: dict[str, str] = {}  # equal cells share one string: tables repeat themselves
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        for row in reader:
            if any(row):
                rows.append([cells.setdefault(c, c) for c in map(str.strip, row)])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} cannot be read ({error}).") from error
    if not rows:
        raise DataError(f"{path}: the file is empty.")
    width = len(rows[0])
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            raise DataError(
                f"{path}: line {line} has {len(row)} values but the first line has {width}; mend the line (a value "
                f"that holds the separator {separator!r} must stand in quotes)."
            )
    if header is None:
        header = any(name in rows[0] for name in expected if name) or _is_header(rows)
    if not header:
        notes.append(f"the file has no header line, so its columns are named col0 to col{width - 1}")
        return tuple(f"col{i}" for i in range(width)), rows, notes
    names = tuple(name or f"col{i}" for i, name in enumerate(rows[0]))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: two columns are named {twice[0]!r}; give each column its own name.")
    return names, rows[1:], notes


def _text(path: Path) -> tuple[str, list[str]]:
    limit = 2**34
    check_memory(12 * path.stat().st_size, str(path), "Use fewer rows.")  # cells take more room than bytes
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            parts, size = [], 0
            while piece := file.read(2**24):
                size += len(piece)
                check_memory(12 * size if size < limit else 2**60, str(path), "Use fewer rows.")
                parts.append(piece)
        data = b"".join(parts)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error
    if b"\0" in data[:4096]:
        raise DataError(f"{path}: this is not a text file; save the table as CSV in UTF-8.")
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return data.decode("latin-1"), ["the file is not UTF-8, so it was read as Latin-1"]


def _separator(text: str) -> str:
    """Return the separator that gives most of the first lines as many values as the first, and many."""
    lines = [line for line in text[:65536].splitlines()[:21] if line.strip()]
    lines = lines[:-1] if len(lines) > 20 else lines

    def quality(separator: str) -> tuple[bool, int, int]:
        widths = [len(r) for r in csv.reader(lines, delimiter=separator, skipinitialspace=True)] or [0]
        return widths[0] > 1, widths.count(widths[0]), widths[0]

    return max(_SEPARATORS, key=quality)


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line looks like names: no number in it, and below it numbers, or other words."""
    first, rest = rows[0], rows[1:1001]
    if not rest or len({c for c in first if c}) < len([c for c in first if c]):
        return False
    numbered = [_is_number(c) for c in first]
    if any(numbered):  # names may be numbers only where they count the columns: 0, 1, 2, ...
        return all(c == str(i) for i, c in enumerate(first) if numbered[i]) and any(float(c) > 1 for c in first
                                                                                if _is_number(c))  # fmt: skip
    columns = list(zip(*rest, strict=True))
    if any(_is_number(v) for column in columns for v in column[:20]):
        return any(all(_is_number(v) or v.lower() in MISSING for v in column) for column in columns)
    return not any(cell in column for cell, column in zip(first, columns, strict=True))


def _is_number(cell: str) -> bool:
    try:
        return not math.isnan(float(cell))
    except ValueError:
        return False
