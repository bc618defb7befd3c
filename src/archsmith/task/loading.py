"""From what a person has to a checked and split task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from archsmith.errors import DataError, UsageError, nearest
from archsmith.spec import Spec
from archsmith.task.columns import encode_columns, type_columns
from archsmith.task.fit import table_features
from archsmith.task.read_arrays import raw_from_parts, read_dataset, train_and_test
from archsmith.task.read_digits import read_digits
from archsmith.task.read_idx import find_idx, read_idx
from archsmith.task.read_images import read_images
from archsmith.task.read_npz import read_npz
from archsmith.task.read_table import find_tables, is_table, read_table
from archsmith.task.reader import Reader
from archsmith.task.splits import TestLock, assign_folds, assign_splits, split_hash
from archsmith.task.targets import Target, encode_target
from archsmith.task.task import Task, make_task
from archsmith.task.values import TEST, TRAIN, VALID, Column, Goal, Raw, Split

__all__ = ["load"]

_OPTIONS = ("target", "goal", "seed", "valid_fraction", "test_fraction", "folds", "image_size", "labels", "header",
            "test", "name")  # fmt: skip


def load(
    source: Any,
    *,
    target: str | int | None = None,
    goal: Goal | None = None,
    seed: int = 0,
    valid_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int = 0,
    image_size: int | tuple[int, int] | None = None,
    labels: tuple[str, ...] | list[str] = (),
    header: bool | None = None,
    test: Any = None,
    name: str | None = None,
    **unknown: object,
) -> Task:
    """Return the task of a data source, checked and split; whatever is wrong is found here, as a ``DataError``.

    ``source`` is ``"digits"``, a folder of images by class, a folder of idx files, a ``.npz``, ``.csv`` or
    ``.parquet`` file or a folder with one of them, a pair of arrays or tensors ``(x, y)``, a torch ``Dataset`` or
    ``DataLoader``, or a ``Task``, which is returned as it is. ``test`` gives official test samples for what is in
    memory. ``target`` names or numbers the column of a table to predict. ``seed`` fixes the splits. ``image_size`` is
    the side, or (height, width), that images are brought to. ``labels`` name the classes of targets that count from 0.
    """
    for option in unknown:
        raise UsageError(f"there is no data option {option!r}. {nearest(option, _OPTIONS)}")
    _check_options(goal, valid_fraction, test_fraction, folds, image_size)
    if isinstance(source, Task):
        return source
    raw, usual = _read(source, target, image_size, header, test)
    what = f"target {raw.target!r}" if raw.target else "y"
    if raw.labels:
        labels = raw.labels
    if goal is None and raw.x is not None and raw.y.dtype.kind in "iu":
        goal = "classification"  # whole numbers beside images are classes, however many
    encoded = encode_target(raw.y, what, goal, tuple(labels))
    part = assign_splits(encoded, raw.part, seed, valid_fraction, test_fraction, folds)
    return _assemble(raw, encoded, part, seed, folds, name or usual)


def _assemble(raw: Raw, target: Target, part: NDArray[np.int8], seed: int, folds: int, name: str) -> Task:
    notes = raw.notes
    kind: Literal["image", "table"] = "table" if raw.x is None else "image"
    columns: tuple[Column, ...] = ()
    cardinalities: tuple[int, ...] = ()
    if raw.x is not None:
        x = raw.x
        features = tuple(x.shape[1:])
    else:
        columns, more = type_columns(raw, part)
        x, notes = encode_columns(raw.columns, columns), notes + more
        width, cardinalities = table_features(columns)
        features = (width,)
    train, valid, test = (_cut(x, target, part == which) for which in (TRAIN, VALID, TEST))
    spec = Spec(kind, target.goal, features, len(target.labels) or 1, len(train), cardinalities)
    reader = Reader(kind, target.goal, tuple(x.shape[1:]), target.labels, columns, raw.names, raw.target, raw.pixels)
    pool = None
    if folds:
        kept = part != TEST
        pool = (_cut(x, target, kept), assign_folds(target, part, seed, folds)[kept])
    task = make_task(
        Task(
            name, spec, reader, train, valid, nn.Identity(), nn.Identity(), split_hash(target.y, part), seed,
            notes + target.notes, "image" if kind == "image" else "none",
            folds=folds, lock=TestLock(test), pool=pool,
        )
    )  # fmt: skip
    if task.unbalanced:
        note = "classes are very unequal, so the loss weights them and balanced accuracy is the goal"
        task = replace(task, notes=(*task.notes, note))
    return task


def _cut(x: torch.Tensor, target: Target, inside: NDArray[np.bool_]) -> Split:
    index = torch.from_numpy(np.flatnonzero(inside))
    return Split(x[index], target.y[index])


def _read(source: Any, target: str | int | None, size: Any, header: bool | None, test: Any) -> tuple[Raw, str]:
    """Return the raw samples of any source, and a name for the task."""
    if isinstance(source, (str, Path)):
        if test is not None:
            raise UsageError("test= is for data in memory; put test files beside the training files instead.")
        if str(source) == "digits" and not Path(source).exists():
            return read_digits(), "digits"
        path = Path(source).expanduser()
        name = path.resolve().name if path.is_dir() else path.name.split(".")[0]
        return _read_path(path, target, size, header), name or "data"
    if target is not None:
        raise UsageError(f"target={target!r} names a column of a table file; arrays and datasets bring their targets.")
    given = [source] if test is None else [source, test]
    pairs = []
    for data in given:
        if isinstance(data, (Dataset, DataLoader)):
            pairs.append(read_dataset(data))
        elif isinstance(data, (tuple, list)) and len(data) == 2:
            pairs.append((data[0], data[1]))
        else:
            raise DataError(
                f"cannot read data of type {type(data).__name__}; allowed are a path, 'digits', a pair (x, y) of "
                "arrays or tensors, a torch Dataset or DataLoader, or a Task."
            )
    kind = "arrays" if isinstance(source, (tuple, list)) else type(source).__name__.lower()
    return raw_from_parts(train_and_test(pairs[0], pairs[1] if len(pairs) > 1 else None), kind), kind


def _read_path(path: Path, target: str | int | None, size: Any, header: bool | None) -> Raw:
    if not path.exists():
        folder = path.parent if path.parent.is_dir() else Path()
        raise DataError(f"{path}: there is no such file or folder. "
                        f"{nearest(path.name, [*(p.name for p in folder.iterdir()), 'digits'])}")  # fmt: skip
    if path.is_file() and path.suffix.lower() == ".npz":
        return read_npz(path)
    if path.is_file() and is_table(path):
        return read_table({TRAIN: path}, target, header)
    if path.is_file():
        raise DataError(f"{path}: files of this kind cannot be read; allowed are .csv, .tsv, .csv.gz, .parquet and "
                        ".npz, or a folder.")  # fmt: skip
    if not any(path.iterdir()):
        raise DataError(f"{path}: the folder is empty.")
    if find_idx(path):
        return read_idx(path)
    archives = sorted(path.glob("*.npz"))
    tables = find_tables(path)
    if any(f.is_dir() and not f.name.startswith(".") for f in path.iterdir()) or not (archives or tables):
        return read_images(path, size)
    if tables:
        return read_table(tables, target, header)
    if len(archives) > 1:
        raise DataError(f"{path}: there are {len(archives)} .npz files; name the one to read, such as {archives[0]}.")
    return read_npz(archives[0])


def _check_options(goal: Any, valid: float | None, test: float | None, folds: int, size: Any) -> None:
    if goal not in (None, "classification", "regression"):
        raise UsageError(f"goal={goal!r} is not a goal. {nearest(str(goal), ['classification', 'regression'])}")
    for option, value in (("valid_fraction", valid), ("test_fraction", test)):
        if value is not None and not 0 < value <= 0.5:
            raise UsageError(f"{option}={value!r} must be above 0 and at most 0.5.")
    if folds != 0 and not 2 <= folds <= 20:
        raise UsageError(f"folds={folds!r} must be 0 (no cross-validation) or 2 to 20.")
    if folds and valid is not None:
        raise UsageError("valid_fraction and folds cannot both be given: each fold is valid once.")
    if size is not None and not all(isinstance(s, int) and 8 <= s <= 1024 for s in np.atleast_1d(size).tolist()):
        raise UsageError(f"image_size={size!r} must be a whole number of pixels from 8 to 1024, or (height, width).")
