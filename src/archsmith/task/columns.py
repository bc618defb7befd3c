"""Type the columns of a table: numbers, categories, or of no use and left out with a note."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archsmith.errors import DataError
from archsmith.task.read_table import is_missing
from archsmith.task.values import TRAIN, Cells, Column, Raw

__all__ = ["encode_columns", "type_columns"]

_DATE = re.compile(r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]\d{1,2}:\d{2}.*)?$")
_ID_NAME = re.compile(r"^(unnamed.*|index|.*\b(row_?)?(id|uuid|guid)|.*_id)$", re.IGNORECASE)
# A category seen less often than this cannot be learned and shares the code of the unknown; so do those beyond the most
# frequent thousand.
_SELDOM, _MOST = 3, 1000


def type_columns(raw: Raw, part: NDArray[np.int8]) -> tuple[tuple[Column, ...], Mapping[str, Cells], tuple[str, ...]]:
    """Return the columns worth keeping, their cells with numbers parsed, and notes on the others.

    Categories are those of the training samples.
    """
    columns: list[Column] = []
    parsed: dict[str, Cells] = {}
    notes: list[str] = []
    for name, cells in raw.columns.items():
        missing = is_missing(cells)
        numbers, odd = (cells, "") if cells.dtype.kind == "f" else _mostly_numbers(cells, missing)
        found = _type_column(name, cells, numbers, missing, part == TRAIN, raw.fixed)
        if isinstance(found, Column):
            columns.append(found)
            parsed[name] = cells if numbers is None else numbers
            notes += [f"column {name!r}: {odd} count as missing"] if odd else []
        else:
            notes.append(f"column {name!r} was left out: {found}")
    if not columns:
        raise DataError("no column is left to learn from: " + "; ".join(notes))
    return tuple(columns), parsed, tuple(notes)


def encode_columns(cells: Mapping[str, Cells], columns: Sequence[Column]) -> Tensor:
    """Return raw rows, float32 ``[N, columns]``: numbers, NaN where missing, and category codes, 0 where unknown."""
    out = []
    for column in columns:
        values = cells[column.name]
        if column.kind == "numeric":
            numbers = values if values.dtype.kind == "f" else _numbers(values)
            if np.isinf(numbers).any():
                row = int(np.argmax(np.isinf(numbers)))
                raise DataError(f"column {column.name!r} holds infinity in row {row + 1}; correct it or empty it.")
            out.append(numbers.astype(np.float32))
            if (np.abs(out[-1]) > 1e37).any():
                raise DataError(f"column {column.name!r} holds numbers beyond 1e37; bring them to a smaller unit.")
        else:
            codes = {category: i + 1 for i, category in enumerate(column.categories)}
            out.append(np.array([codes.get(_text(v), 0) for v in values], dtype=np.float32))
    return torch.from_numpy(np.stack(out, axis=1))


def _type_column(
    name: str, cells: Cells, numbers: Cells | None, missing: Cells, train: NDArray[np.bool_], fixed: bool
) -> Column | str:
    """Return the typed column, or why it is left out."""
    if fixed:
        return Column(name, "numeric", missing=bool(missing[train].any()))
    if missing[train].all():
        return "it has no values in the training samples"
    if numbers is not None:
        known = numbers[~np.isnan(numbers)]
        missing = np.isnan(numbers)
        if len(np.unique(known)) == 1 and not missing.any():
            return f"it is {known[0]:g} in every row"
        if _is_row_id(name, known, len(cells)):
            return "it only numbers the rows"
        return Column(name, "numeric", missing=bool(missing[train].any()))
    texts = [_text(c) for c in cells[~missing]]
    if sum(bool(_DATE.match(t)) for t in texts) >= 0.95 * len(texts):
        return "dates are not used yet; add columns such as year or month"
    distinct = len(set(texts))
    if distinct == 1 and not missing.any():
        return f"it is {texts[0]!r} in every row"
    if distinct > 0.5 * len(texts) and distinct > 20:
        return f"almost every value is different ({distinct} in {len(texts)} rows), like names or free text"
    counts = Counter(_text(c) for c in cells[train & ~missing])
    kept = sorted(c for c, n in counts.most_common(_MOST) if n >= _SELDOM)
    if not kept:
        return f"no value is there {_SELDOM} times or more"
    return Column(name, "categorical", tuple(kept), bool(missing[train].any()))


def _text(cell: Any) -> str:
    """Return a category's name; numbers lose a needless ``.0`` so that 3 and 3.0 are one category."""
    return f"{cell:g}" if isinstance(cell, float) and math.isfinite(cell) else str(cell).strip()


def _numbers(cells: Cells) -> NDArray[np.float64]:
    """Return the cells as numbers, NaN where they are none."""
    try:
        return cells.astype(np.float64)  # all at once is faster, where it can be
    except ValueError:
        pass
    out = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        try:
            out[i] = float(cell)
        except ValueError:
            continue
    return out


def _mostly_numbers(cells: Cells, missing: Cells) -> tuple[NDArray[np.float64] | None, str]:
    """Return the column as numbers where nearly all cells are, and a phrase on the few that are not."""
    numbers = _numbers(np.where(missing, "nan", cells))
    known = ~np.isnan(numbers)
    odd = cells[~known & ~missing]
    if len(odd) == 0:
        return numbers, ""
    if len(odd) > 0.05 * int(known.sum()) or len(np.unique(numbers[known])) <= 50:
        return None, ""
    return numbers, f"{len(odd)} values that are not numbers, such as {str(odd[0])!r},"


def _is_row_id(name: str, known: NDArray[np.float64], rows: int) -> bool:
    if len(known) < rows or rows < 20 or (known != np.floor(known)).any():
        return False
    steps = np.diff(known)
    return bool((steps == 1).all()) or (bool(_ID_NAME.match(name)) and len(np.unique(known)) == rows)
