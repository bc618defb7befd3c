"""The frozen values of the task room: a split, a column, and what every reader hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ROLES", "TEST", "TRAIN", "VALID", "Cells", "Column", "Goal", "Raw", "Split"]

Goal = Literal["classification", "regression"]
Cells = NDArray[Any]

# Which split a sample belongs to, as the person fixed it; splits that nobody fixed are cut from TRAIN.
TRAIN, VALID, TEST = 0, 1, 2
ROLES: Mapping[str, int] = {
    "train": TRAIN, "training": TRAIN, "valid": VALID, "val": VALID, "validation": VALID, "dev": VALID,
    "test": TEST, "testing": TEST, "t10k": TEST,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and their targets, as the person has them, before preprocessing.

    ``x`` is uint8 ``[N, C, H, W]`` for images or float32 ``[N, columns]`` for tables (NaN missing, category codes from
    1, code 0 missing or never seen). ``y`` is int64 ``[N]`` class numbers, or float32 ``[N]``.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"Split({len(self)} samples of {tuple(self.x.shape[1:])})"


@dataclass(frozen=True)
class Column:
    """One column of a table as the network sees it; category ``i`` has the code ``i + 1``.

    ``missing`` says whether training samples lack a value; a numeric column then has an indicator feature.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    categories: tuple[str, ...] = ()
    missing: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the column as JSON-ready data."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Column:
        """Return the column that ``to_json`` wrote."""
        return Column(data["name"], data["kind"], tuple(data["categories"]), data["missing"])


@dataclass(frozen=True, eq=False)
class Raw:
    """What a reader found: samples that are not yet checked, typed or split.

    Images have ``x``, uint8 ``[N, C, H, W]``; tables have ``columns``, each float64 ``[N]`` (NaN missing) or strings
    (``""`` missing). ``y`` holds numbers or strings, ``part`` the split of each sample. ``names`` are all columns of
    the file in order, the target and the ignored ones too. ``fixed`` columns came as an array: none may be left out.
    ``pixels`` are the two values that became 0 and 255. ``labels`` name the classes where ``y`` already counts them.
    """

    y: Cells
    part: NDArray[np.int8]
    x: Tensor | None = None
    columns: Mapping[str, Cells] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    target: str | None = None
    fixed: bool = False
    pixels: tuple[float, float] = (0.0, 255.0)
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
