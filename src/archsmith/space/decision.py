"""One choice that must be answered, as a frozen value that strategies see."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np

from archsmith.errors import SpaceError
from archsmith.space.arch import Answer

__all__ = ["Decision"]


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


@dataclass(frozen=True)
class Decision:
    """What is asked: a key that is stable across processes, and what may be answered.

    ``kind`` says which fields count: ``choice`` has ``options`` (labels) and is answered by one of them; ``pick`` is
    answered by a tuple of ``k`` of its ``options``, in their order; ``integer`` and ``real`` are answered by a number
    from ``low`` to ``high``, both included, on a logarithmic scale where ``log``.
    """

    key: str
    kind: Literal["choice", "pick", "integer", "real"]
    options: tuple[Answer, ...] = ()
    k: int = 1
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @cached_property
    def size(self) -> float:
        """The number of answers there are; infinite for a real range."""
        if self.kind == "choice":
            return len(self.options)
        if self.kind == "pick":
            return math.comb(len(self.options), self.k)
        if self.kind == "integer":
            return int(self.high) - int(self.low) + 1
        return 1 if self.low == self.high else math.inf

    def answers(self) -> Iterator[Answer]:
        """Yield every answer in a fixed order; raises ``SpaceError`` for a real range of more than one point."""
        if self.kind == "choice":
            yield from self.options
        elif self.kind == "pick":
            yield from combinations(self.options, self.k)
        elif self.kind == "integer":
            yield from range(int(self.low), int(self.high) + 1)
        elif self.low == self.high:
            yield self.low
        else:
            raise SpaceError(
                f"Decision {self.key!r} is a real range from {self.low} to {self.high}: its answers cannot be listed. "
                "Use a choice of values where every architecture must be enumerable."
            )

    def contains(self, answer: Answer) -> bool:
        """Return whether ``answer`` is allowed; 1, 1.0 and True are three different answers."""
        if self.kind == "choice":
            for option in self.options:  # a plain loop: this runs for every decision of every walk
                if option is answer or (type(option) is type(answer) and option == answer):
                    return True
            return False
        if self.kind == "pick":
            if not isinstance(answer, tuple) or len(answer) != self.k:
                return False
            places = [i for i, o in enumerate(self.options) if any(_same(a, o) for a in answer)]
            return len(places) == self.k and all(_same(self.options[p], a) for p, a in zip(places, answer, strict=True))
        if self.kind == "integer":
            return isinstance(answer, int) and not isinstance(answer, bool) and self.low <= answer <= self.high
        return isinstance(answer, float) and self.low <= answer <= self.high

    def sample(self, rng: np.random.Generator) -> Answer:
        """Return an answer drawn uniformly (over the logarithm where ``log``)."""
        if self.kind == "choice":
            return self.options[int(rng.random() * len(self.options))]  # five times faster than rng.integers
        if self.kind == "pick":
            places = sorted(rng.choice(len(self.options), size=self.k, replace=False).tolist())
            return tuple(self.options[p] for p in places)
        return self.at(float(rng.random()))

    def sample_other(self, rng: np.random.Generator, answer: Answer) -> Answer:
        """Return an answer different from ``answer``; needs ``size`` of at least two."""
        if self.kind == "choice":
            others = [o for o in self.options if not _same(o, answer)]
            return others[int(rng.integers(len(others)))]
        if self.kind == "integer" and not self.log and isinstance(answer, int):
            drawn = int(rng.integers(int(self.low), int(self.high)))
            return drawn + (drawn >= answer)
        while _same(drawn_ := self.sample(rng), answer):  # ends: at least one other answer has a fixed probability
            pass
        return drawn_

    def at(self, unit: float) -> int | float:
        """Return the number of a range at ``unit`` in 0..1, the inverse of ``unit``."""
        if self.kind == "integer":
            low, high = self.low - 0.5, self.high + 0.5
            if self.log:
                value = math.exp(math.log(max(low, 0.5)) + unit * (math.log(high) - math.log(max(low, 0.5))))
            else:
                value = low + unit * (high - low)
            return int(min(max(round(value), self.low), self.high))
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        return float(min(max(value, self.low), self.high))

    def unit(self, answer: Answer) -> float:
        """Return where a number lies in its range, 0 at ``low`` and 1 at ``high``."""
        if self.low == self.high or not isinstance(answer, int | float):
            return 0.0
        if self.log:
            return (math.log(answer) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (answer - self.low) / (self.high - self.low)
