"""What a search space must know about a person's data: frozen facts, and nothing that computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Spec"]


@dataclass(frozen=True)
class Spec:
    """The facts of a task that a ready-made space is scaled to.

    ``input_shape`` is the shape of one sample as the *network* receives it, after preprocessing and without the
    batch axis: ``(channels, height, width)`` for images, ``(features,)`` for tables. A table's last
    ``len(cardinalities)`` features are category codes stored as numbers, code 0 meaning missing or never seen;
    ``cardinalities`` counts the codes of each, 0 included. ``outputs`` is the number of classes, or 1 for regression.
    """

    kind: Literal["image", "table"]
    goal: Literal["classification", "regression"]
    input_shape: tuple[int, ...]
    outputs: int
    samples: int
    cardinalities: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-ready data."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Spec:
        """Return the ``Spec`` that ``to_json`` wrote."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return Spec(**values)
