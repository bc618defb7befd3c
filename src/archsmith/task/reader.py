"""The facts about a task's inputs that a new sample needs: enough to predict without the original data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from archsmith.task.values import Column, Goal

__all__ = ["Reader"]


@dataclass(frozen=True)
class Reader:
    """How the person's files become raw samples, and what the outputs mean; JSON-ready.

    ``shape`` is the shape of one raw sample: ``(channels, height, width)`` or ``(columns,)``. ``labels`` are the class
    names in the order of the outputs, empty for regression. For tables ``columns`` are those used, ``names`` all the
    columns of the file in order. ``pixels`` are the two values of an array that became 0 and 255.
    """

    kind: Literal["image", "table"]
    goal: Goal
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    names: tuple[str, ...] = ()
    target: str | None = None
    pixels: tuple[float, float] = (0.0, 255.0)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-ready data."""
        return {
            "kind": self.kind,
            "goal": self.goal,
            "shape": list(self.shape),
            "labels": list(self.labels),
            "columns": [c.to_json() for c in self.columns],
            "names": list(self.names),
            "target": self.target,
            "pixels": list(self.pixels),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Reader:
        """Return the reader that ``to_json`` wrote; other keys are ignored."""
        low, high = data["pixels"]
        return Reader(
            data["kind"],
            data["goal"],
            tuple(data["shape"]),
            tuple(data["labels"]),
            tuple(Column.from_json(c) for c in data["columns"]),
            tuple(data["names"]),
            data["target"],
            (float(low), float(high)),
        )
