"""The person's problem: data with a locked test split, what the network receives, and what its outputs mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archsmith.errors import UsageError
from archsmith.spec import Spec
from archsmith.task.reader import Reader
from archsmith.task.splits import TestLock
from archsmith.task.values import Column, Split

__all__ = ["Task"]


@dataclass(frozen=True, eq=False)
class Task:
    """A task, checked and split.

    A network receives ``preprocess(x)``, of ``spec.input_shape``, and gives ``[N, spec.outputs]``: logits, or one
    standardised number that ``postprocess`` brings back to the target's unit, ``y * scale + center``. The shipped
    network is ``nn.Sequential(preprocess, network, postprocess)``. The test split is behind ``open_test`` only.
    """

    name: str
    spec: Spec
    reader: Reader
    train: Split = field(repr=False)
    valid: Split = field(repr=False)
    preprocess: nn.Module = field(repr=False)
    postprocess: nn.Module = field(repr=False)
    split_hash: str
    seed: int
    notes: tuple[str, ...] = ()
    augment: Literal["image", "none"] = "none"
    class_weights: Tensor | None = None
    center: float = 0.0
    scale: float = 1.0
    folds: int = 0
    lock: TestLock = field(repr=False, kw_only=True)
    pool: tuple[Split, NDArray[np.int64]] | None = field(default=None, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the outputs; empty for regression."""
        return self.reader.labels

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a raw row; empty for images."""
        return self.reader.columns

    @property
    def target(self) -> str | None:
        """The name of the target column of a table."""
        return self.reader.target

    @property
    def sizes(self) -> dict[str, int]:
        """The number of samples of each split."""
        return {"train": len(self.train), "valid": len(self.valid), "test": self.lock.size}

    @property
    def unbalanced(self) -> bool:
        """Whether the largest class has at least ten times the samples of the smallest."""
        return self.class_weights is not None

    @property
    def test_openings(self) -> int:
        """How often the test split was opened."""
        return self.lock.openings

    def open_test(self) -> Split:
        """Return the locked test split and count the opening; for the last step, after the choice is frozen."""
        return self.lock.open()

    def fold(self, number: int) -> Task:
        """Return the task in which the given fold is the valid split, preprocessing unchanged; fold 0 is this task."""
        if self.pool is None or not 0 <= number < self.folds:
            have = f"folds 0 to {self.folds - 1}" if self.folds else "no folds (load it with folds=5)"
            raise UsageError(f"there is no fold {number}; the task has {have}.")
        pool, fold = self.pool
        inside = torch.from_numpy(fold == number)
        train, valid = (Split(pool.x[there], pool.y[there]) for there in (~inside, inside))
        return replace(self, train=train, valid=valid)

    def to_json(self) -> dict[str, Any]:
        """Return the facts of the task, without its data; ``Reader.from_json`` reads them too."""
        return {
            **self.reader.to_json(),
            "name": self.name,
            "spec": self.spec.to_json(),
            "split_hash": self.split_hash,
            "seed": self.seed,
            "sizes": self.sizes,
            "folds": self.folds,
            "notes": list(self.notes),
            "unbalanced": self.unbalanced,
            "preprocess": repr(self.preprocess),
            "postprocess": repr(self.postprocess),
        }
