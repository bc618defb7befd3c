"""From what a person has to a checked and split task."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from archsmith.build.preprocess import Unstandardize
from archsmith.errors import UsageError, nearest
from archsmith.spec import Spec
from archsmith.task.columns import encode_columns, type_columns
from archsmith.task.fit import fit_pixels, fit_table, fit_weights
from archsmith.task.reader import Reader
from archsmith.task.sources import read_source
from archsmith.task.splits import TestLock, assign_folds, assign_splits, split_hash
from archsmith.task.targets import Target, encode_target
from archsmith.task.task import Task
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
    raw, usual = read_source(source, target, image_size, header, test)
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
    x = raw.x
    if x is None:
        columns, cells, more = type_columns(raw, part)
        x, notes = encode_columns(cells, columns), notes + more
    train, valid, test = (_cut(x, target, part == which) for which in (TRAIN, VALID, TEST))
    preprocess = fit_pixels(train.x) if kind == "image" else fit_table(train.x, columns)
    shape = tuple(preprocess(train.x[:1]).shape[1:])
    cardinalities = tuple(len(c.categories) + 1 for c in columns if c.kind == "categorical")
    weights: torch.Tensor | None = None
    center, scale, after = 0.0, 1.0, cast(nn.Module, nn.Identity())
    if target.goal == "classification":
        weights = fit_weights(train.y, len(target.labels))
    else:
        center, scale = float(train.y.double().mean()), max(float(train.y.double().std()), 1e-12)
        after = Unstandardize(center, scale)
    if weights is not None:
        notes += ("classes are very unequal, so the loss weights them and balanced accuracy is the goal",)
    pool = None
    if folds:
        kept = part != TEST
        pool = (_cut(x, target, kept), assign_folds(target, part, seed, folds)[kept])
    return Task(
        name=name,
        spec=Spec(kind, target.goal, shape, len(target.labels) or 1, len(train), cardinalities),
        reader=Reader(kind, target.goal, tuple(x.shape[1:]), target.labels, columns, raw.names, raw.target, raw.pixels),
        train=train,
        valid=valid,
        preprocess=preprocess,
        postprocess=after,
        split_hash=split_hash(target.y, part),
        seed=seed,
        notes=notes + target.notes,
        augment="image" if kind == "image" else "none",
        class_weights=weights,
        center=center,
        scale=scale,
        folds=folds,
        lock=TestLock(test),
        pool=pool,
    )


def _cut(x: torch.Tensor, target: Target, inside: NDArray[np.bool_]) -> Split:
    index = torch.from_numpy(np.flatnonzero(inside))
    return Split(x[index], target.y[index])


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
