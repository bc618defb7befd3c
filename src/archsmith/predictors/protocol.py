"""The socket that every predictor fits: from architectures to what is expected of them, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from archsmith.space import Arch
from archsmith.space.encode import Vector

__all__ = ["Fitted", "Predictor"]


class Fitted(Protocol):
    """A predictor that has learned; a value that never changes."""

    def predict(self, archs: Sequence[Arch]) -> tuple[Vector, Vector]:
        """Return the expected loss of each architecture and its standard deviation, ``[len(archs)]`` each."""
        ...


class Predictor(Protocol):
    """Learns losses from architectures. The laws, which ``archsmith.testing.predictor`` checks:

    * A predictor is a frozen dataclass of settings; ``fit`` returns a new value and changes nothing.
    * It is a function: equal results fitted give equal predictions, and what is predicted for an architecture does not
      depend, beyond rounding, on what else is predicted beside it.
    * One result is enough, equal losses and the same architecture twice are no trouble, and every architecture of the
      space can be predicted: conditionals, ranges, picks. Means and deviations are finite, deviations not negative.
    * It has learned something: on losses that depend on the decisions one by one its means rank new architectures
      better than chance.
    """

    def fit(self, archs: Sequence[Arch], losses: Sequence[float]) -> Fitted:
        """Return what was learned from at least one architecture with its finite loss."""
        ...
