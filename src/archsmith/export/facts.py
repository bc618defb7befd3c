"""What travels along with a network: the facts a person needs to use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archsmith.spec import Spec

__all__ = ["Facts"]


@dataclass(frozen=True)
class Facts:
    """The facts of a shipped network.

    ``input_shape`` is one raw sample: ``(channels, height, width)`` in pixels 0 to 255, or ``(columns,)``. ``labels``
    name the outputs, in order; empty for regression. ``columns`` are the columns of a raw row as JSON-ready data
    (``name``, ``kind``, ``categories``; category ``i`` has the code ``i + 1``). ``measured`` and ``tested`` are metrics
    of the valid and the test split; ``notes`` are sentences for the model card.
    """

    name: str
    spec: Spec
    input_shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    columns: tuple[Mapping[str, Any], ...] = ()
    target: str | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    tested: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def input(self) -> str:
        """One phrase that says what the network takes."""
        shape = ", ".join(map(str, ("batch", *self.input_shape)))
        if self.spec.kind == "image":
            return f"pixels 0 to 255, float32 or uint8 [{shape}]"
        return f"raw rows, float32 [{shape}]: the columns in their order, NaN for missing, categories as codes"

    @property
    def output(self) -> str:
        """One phrase that says what the network returns."""
        if self.spec.goal == "classification":
            return f"logits, float32 [batch, {self.spec.outputs}]: one per label; their softmax are probabilities"
        return f"float32 [batch, {self.spec.outputs}]: the target, in its own unit"
