"""Cut the samples into train, valid and test, stratified and fixed by a seed, and lock the test split away."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from archsmith.errors import ArchsmithError, DataError
from archsmith.task.targets import Target
from archsmith.task.values import TEST, TRAIN, VALID, Split

__all__ = ["Parts", "TestLock", "assign_folds", "assign_splits", "split_hash"]

Parts = NDArray[np.int8]


class TestLock:
    """Holds the test split; only ``open`` hands it out, and each opening is counted.

    A copy that is pickled, to another process say, keeps the count and the size but not the split.
    """

    __test__ = False  # not a test case, whatever its name suggests to a test runner

    def __init__(self, split: Split) -> None:
        self.size, self.openings = len(split), 0
        self.__split: Split | None = split

    def __repr__(self) -> str:
        return f"TestLock(size={self.size}, openings={self.openings})"

    def __getstate__(self) -> dict[str, object]:
        return {"size": self.size, "openings": self.openings, "_TestLock__split": None}

    def open(self) -> Split:
        """Return the test split and count the opening."""
        if self.__split is None:
            raise ArchsmithError("this copy of the task travels without its test split; open it where it was loaded.")
        self.openings += 1
        return self.__split


def assign_splits(
    target: Target, part: Parts, seed: int, valid_fraction: float | None, test_fraction: float | None, folds: int = 0
) -> Parts:
    """Return the split of each sample; splits that nobody fixed are cut from the training samples, class by class.

    Without fractions the test split is a fifth; the valid split a fifth of the rest, less for large data. With
    ``folds`` the valid split is the first of so many equal parts. Raises ``DataError`` where a class has fewer samples
    than there are splits.
    """
    part = part.copy()
    has_test, has_valid = bool((part == TEST).any()), bool((part == VALID).any())
    if folds and has_valid:
        part[part == VALID] = TRAIN  # folds take turns in being valid
        has_valid = False
    strata = _strata(target)
    _check_counts(target, part, (folds or 1 + (not has_valid)) + (not has_test))
    rng = np.random.default_rng([seed, 0])
    if not has_test:
        _cut(part, strata, TEST, 0.2 if test_fraction is None else test_fraction, folds or 1 + (not has_valid), rng)
    if folds:
        part[assign_folds(target, part, seed, folds) == 0] = VALID
    elif not has_valid:
        rest = int((part == TRAIN).sum())
        usual = 0.2 if rest < 5_000 else 0.15 if rest < 20_000 else 0.1
        _cut(part, strata, VALID, usual if valid_fraction is None else valid_fraction, 1, rng)
    _check_known(target, part)
    return part


def assign_folds(target: Target, part: Parts, seed: int, folds: int) -> NDArray[np.int64]:
    """Return the fold of each sample, -1 for test samples; every class is spread evenly over the folds."""
    fold = np.full(len(part), -1, dtype=np.int64)
    strata, rng, turn = _strata(target), np.random.default_rng([seed, 1]), 0
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero((strata == stratum) & (part != TEST)))
        fold[members] = (np.arange(len(members)) + turn) % folds
        turn += len(members)  # go on where the last class ended, so that the folds are equally large
    return fold


def split_hash(y: Tensor, part: Parts) -> str:
    """Return the SHA-256 of which samples, with which targets, are in which split."""
    digest = hashlib.sha256(b"archsmith split 1")
    for which in (TRAIN, VALID, TEST):
        index = np.flatnonzero(part == which).astype("<i8")
        values = y.numpy()[index]
        digest.update(index.tobytes() + b"|" + values.astype(values.dtype.newbyteorder("<")).tobytes() + b"|")
    return digest.hexdigest()


def _strata(target: Target) -> NDArray[np.int64]:
    """Return class numbers; for regression, tenths of the targets by rank."""
    y = target.y.numpy()
    if target.goal == "classification":
        return y.astype(np.int64)
    rank = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    return (rank * max(1, min(10, len(y) // 10))) // len(y)


def _cut(
    part: Parts, strata: NDArray[np.int64], which: int, fraction: float, keep: int, rng: np.random.Generator
) -> None:
    """Move a fraction of the training samples of each stratum, at least one, into ``which``; ``keep`` so many back."""
    for stratum in np.unique(strata[part == TRAIN]):
        members = rng.permutation(np.flatnonzero((strata == stratum) & (part == TRAIN)))
        count = min(max(1, round(fraction * len(members))), max(0, len(members) - keep))
        part[members[:count]] = which


def _check_counts(target: Target, part: Parts, needed: int) -> None:
    pool = target.y.numpy()[part == TRAIN]
    if target.goal == "regression":
        if len(pool) < max(10, 2 * needed):
            raise DataError(f"there are {len(pool)} samples to learn from; at least {max(10, 2 * needed)} are needed.")
        return
    counts = np.bincount(pool, minlength=len(target.labels))
    rare = [f"{label!r} has {count}" for label, count in zip(target.labels, counts, strict=True) if 0 < count < needed]
    if rare:
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        raise DataError(
            f"each class needs at least {needed} samples, one for each split to be cut, but class "
            f"{', '.join(rare[:5])}{more}; add samples, merge the class with another, or remove it."
        )


def _check_known(target: Target, part: Parts) -> None:
    """Refuse classes that are only in the valid or test split: no network can have learned them."""
    if target.goal == "regression":
        return
    counts = np.bincount(target.y.numpy()[part == TRAIN], minlength=len(target.labels))
    unknown = [label for label, count in zip(target.labels, counts, strict=True) if count == 0]
    if unknown:
        raise DataError(f"label {unknown[0]!r} is not among the training samples, so it cannot be learned; add samples "
                        "of it to the training split or remove it.")  # fmt: skip
