"""Every decision as a choice of a few categories, for methods that count or weigh what they may answer."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from archsmith.space import Answer, Decision

__all__ = ["BINS", "Categories", "Split"]

BINS = 16


@dataclass(frozen=True)
class Split:
    """One decision's answers in ``size`` groups, of which ``single`` says that each holds one answer.

    Each option of a choice is a group. Ranges and picks of more answers than ``bins`` are cut into at most so many
    neighbouring groups: equal parts of a range's scale, or of the list of a pick's combinations.
    """

    decision: Decision
    edges: tuple[float, ...]
    single: bool
    places: dict[tuple[type, Answer], int] = field(repr=False)

    @staticmethod
    def of(decision: Decision, bins: int = BINS) -> Split:
        """Return the groups of a decision."""
        if decision.kind == "choice":
            places = {(type(option), option): i for i, option in enumerate(decision.options)}
            return Split(decision, tuple(range(len(decision.options) + 1)), True, places)
        if decision.kind == "real":
            return Split(decision, tuple(i / bins for i in range(bins + 1)), False, {})
        first = decision.low if decision.kind == "integer" else 0
        if decision.size <= bins:
            edges = [first + i for i in range(int(decision.size) + 1)]
        elif decision.log:
            edges = [*sorted({decision.at(i / bins) for i in range(bins)}), decision.high + 1]
        else:
            edges = [first + i * int(decision.size) // bins for i in range(bins + 1)]
        return Split(decision, tuple(edges), all(b - a == 1 for a, b in pairwise(edges)), {})

    @property
    def size(self) -> int:
        """The number of groups."""
        return len(self.edges) - 1

    def answer(self, group: int, rng: np.random.Generator) -> Answer:
        """Return an answer of the group, drawn uniformly where it holds several."""
        decision, low, high = self.decision, self.edges[group], self.edges[group + 1]
        if decision.kind == "choice":
            return decision.options[group]
        if decision.kind == "real":
            return decision.at(low + (high - low) * float(rng.random()))
        number = int(low) if high - low == 1 else int(rng.integers(int(low), int(high)))
        return number if decision.kind == "integer" else _combination(decision, number)

    def group(self, answer: Answer) -> int:
        """Return the group that an answer is in, the inverse of ``answer``."""
        decision = self.decision
        if decision.kind == "choice":
            return self.places[type(answer), answer]
        if decision.kind == "real":
            at = decision.unit(answer)
        else:
            at = answer if isinstance(answer, int) else _rank(decision, answer)
        return min(max(bisect_right(self.edges, at) - 1, 0), self.size - 1)


class Categories:
    """The groups of every decision that was met so far, by key."""

    def __init__(self, bins: int = BINS) -> None:
        self.bins = bins
        self._splits: dict[str, Split] = {}

    def __call__(self, decision: Decision) -> Split:
        """Return the groups of a decision."""
        found = self._splits.get(decision.key)
        if found is None:
            found = self._splits[decision.key] = Split.of(decision, self.bins)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)


def _combination(decision: Decision, rank: int) -> tuple[Answer, ...]:
    """Return the pick at a place of the lexicographic list, without listing it."""
    found: list[Answer] = []
    place, left = 0, decision.k
    while left:
        with_it = math.comb(len(decision.options) - place - 1, left - 1)
        if rank < with_it:
            found.append(decision.options[place])
            left -= 1
        else:
            rank -= with_it
        place += 1
    return tuple(found)


def _rank(decision: Decision, answer: Answer) -> int:
    """Return the place of a pick in the lexicographic list."""
    assert isinstance(answer, tuple)
    rank, left, taken = 0, decision.k, iter(answer)
    following = next(taken, None)
    for place, option in enumerate(decision.options):
        if not left:
            break
        if type(option) is type(following) and option == following:
            left -= 1
            following = next(taken, None)
        else:
            rank += math.comb(len(decision.options) - place - 1, left - 1)
    return rank
