"""Decide what is to be predicted, classes or a number, and refuse targets from which nothing can be learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archsmith.errors import DataError
from archsmith.task.values import Cells, Goal

__all__ = ["FEW", "Target", "as_numbers", "encode_target"]

# So many distinct whole numbers still read as classes; more read as a quantity.
FEW = 20
_ID_NAMES = frozenset({"id", "index", "row", "row_id", "rowid", "uuid", "guid", "key"})


@dataclass(frozen=True, eq=False)
class Target:
    """The targets as tensors: int64 class numbers with their ``labels``, or float32 numbers without."""

    y: Tensor
    labels: tuple[str, ...]
    goal: Goal
    notes: tuple[str, ...] = ()


def as_numbers(cells: Cells) -> NDArray[np.float64] | None:
    """Return the cells as float64, or None where one of them is not a number."""
    if cells.dtype.kind in "biuf":
        return cells.astype(np.float64)
    try:
        return np.array([float(c) for c in cells], dtype=np.float64)
    except ValueError:
        return None


def encode_target(cells: Cells, name: str, goal: Goal | None = None, labels: tuple[str, ...] = ()) -> Target:
    """Return the targets as tensors; without a ``goal``, text and at most ``FEW`` whole numbers are classes.

    ``labels`` name the classes where the cells already number them from 0. Raises ``DataError``, naming ``name``.
    """
    if labels:
        return _numbered(cells, name, labels)
    numbers = as_numbers(cells)
    if numbers is not None and not np.isfinite(numbers).all():
        row = int(np.argmax(~np.isfinite(numbers)))
        raise DataError(f"{name} holds {numbers[row]} at sample {row}; remove that sample or fill the value in.")
    kinds = len(np.unique(numbers)) if numbers is not None else len(set(cells))
    whole = numbers is not None and bool((numbers == np.floor(numbers)).all())
    notes: tuple[str, ...] = ()
    if goal is None:
        _refuse_odd(cells, numbers, kinds, name)
        goal = "classification" if numbers is None or (whole and kinds <= FEW) else "regression"
        _refuse_row_id(cells, numbers, kinds, whole, name)
        if goal == "classification" and whole and kinds > 2:
            notes = (f"{name} has {kinds} distinct whole numbers, so they are classes (or choose goal='regression')",)
    if kinds < 2:
        raise DataError(f"{name} is {cells[0]!r} for every sample; at least two different values are needed.")
    if goal == "regression":
        if numbers is None:
            odd = next(c for c in cells if not _is_number(c))
            raise DataError(f"{name} holds {odd!r}, which is not a number; regression needs numbers in every row.")
        return Target(torch.from_numpy(numbers.astype(np.float32)), (), goal, notes)
    if kinds > len(cells) / 2:
        raise DataError(
            f"{name} has {kinds} different values in {len(cells)} samples, too many to be classes; choose another "
            "target" + (", or goal='regression'." if numbers is not None else ".")
        )
    values: Any = numbers if numbers is not None else np.array([str(c) for c in cells])
    distinct, codes = np.unique(values, return_inverse=True)
    named = tuple(f"{v:g}" if abs(v) < 1e6 else repr(v) for v in distinct) if numbers is not None else tuple(distinct)
    return Target(torch.from_numpy(codes.reshape(-1).astype(np.int64)), tuple(str(v) for v in named), goal, notes)


def _numbered(cells: Cells, name: str, labels: tuple[str, ...]) -> Target:
    numbers = as_numbers(cells)
    bad = list(cells) if numbers is None else [f"{c:g}" for c in numbers if c not in range(len(labels))]
    if numbers is None or bad:
        raise DataError(
            f"{name} holds the label {str(bad[0])!r}; with {len(labels)} class names labels must be whole numbers from "
            f"0 to {len(labels) - 1}."
        )
    if len(np.unique(numbers)) < 2:
        only = labels[int(numbers[0])]
        raise DataError(f"{name} holds one class only, {only!r}; at least two are needed.")
    return Target(torch.from_numpy(numbers.astype(np.int64)), labels, "classification")


def _refuse_row_id(cells: Cells, numbers: NDArray[np.float64] | None, kinds: int, whole: bool, name: str) -> None:
    if kinds < len(cells) or len(cells) < 10:
        return
    counting = numbers is not None and whole and numbers.max() - numbers.min() == len(numbers) - 1
    text = numbers is None
    if text or counting or (whole and name.lower() in _ID_NAMES):
        raise DataError(
            f"{name} is different in each of the {len(cells)} rows, like a row number or a name: nothing can be "
            "learned about new rows. Choose another target"
            + (", or goal='regression' if it is a quantity." if whole else ".")
        )


def _refuse_odd(cells: Cells, numbers: NDArray[np.float64] | None, kinds: int, name: str) -> None:
    """Refuse a column of many numbers that a few words turn into text."""
    if numbers is not None or kinds <= FEW:
        return
    odd = [str(c) for c in cells if not _is_number(c)]
    if len(odd) <= 0.1 * len(cells):
        raise DataError(f"{name} is a number in most rows but holds {odd[0]!r} too ({len(odd)} such values); correct "
                        "them or leave them empty.")  # fmt: skip


def _is_number(cell: object) -> bool:
    try:
        float(str(cell))
    except ValueError:
        return False
    return True
