"""The wall: one clock for everything together, and each phase's share of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archsmith.errors import BudgetError

__all__ = ["MOST_GIVEN", "SMALLEST_S", "Clock", "Shares", "plan"]

SMALLEST_S = 30.0
MOST_GIVEN = 0.4


@dataclass(frozen=True)
class Shares:
    """How many seconds each phase may take, in the order in which they run.

    A search on shared weights has two more: ``bank`` before the search, and ``ranks`` after the comparisons.
    """

    check: float
    measure: float
    search: float
    final: float
    compare: float
    ship: float
    bank: float = 0.0
    ranks: float = 0.0

    def items(self) -> Mapping[str, float]:
        """Return the shares by the phase's name."""
        return {
            "check the data": self.check,
            "measure the machine": self.measure,
            **({"train the bank": self.bank} if self.bank else {}),
            "search": self.search,
            "train the finalists": self.final,
            "train the comparisons": self.compare,
            **({"check the ranking": self.ranks} if self.ranks else {}),
            "test, export and report": self.ship,
        }

    def shared(self) -> Shares:
        """Return the shares of a search on shared weights: most of the search's part, and more, trains the bank.

        Measuring a network on the bank takes a moment, so the search itself needs little.
        """
        both = self.search + self.final
        return replace(self, bank=0.35 * both, search=0.1 * both, final=0.47 * both, ranks=0.08 * both)

    def lengthened(self, wanted: float) -> Shares:
        """Return the shares where one good final training takes ``wanted`` seconds.

        If it does not fit, the search gives up to ``MOST_GIVEN`` of its share: to train well what was chosen is worth
        more than to choose longer.
        """
        more = min(max(0.0, wanted - self.final), MOST_GIVEN * self.search)
        return replace(self, search=self.search - more, final=self.final + more)

    def slowed(self, factor: float) -> Shares:
        """Return the shares on a machine where shipping takes ``factor`` times as long; the trainings pay for it."""
        more = min((factor - 1.0) * self.ship, 0.5 * self.final)
        return replace(self, final=self.final - more, ship=self.ship + more)


def plan(budget: float, exports: int = 3, networks: int = 0) -> Shares:
    """Return how a budget in seconds is shared out, with ``networks`` to be shipped beside the best one.

    Checking, measuring and shipping cost about the same whatever the budget, so they are taken off first; of the rest
    the final training gets the largest part, because a good training is worth more accuracy than a longer search
    (Yang et al., 2020), and comparisons at most a fifth of the whole. Raises ``BudgetError`` when nothing would be
    left to train with.
    """
    if budget < SMALLEST_S:
        raise BudgetError(
            f"A budget of {budget:g} s is too small: checking, measuring, exporting and reporting alone take most of "
            f"{SMALLEST_S:g} s. Give --budget {SMALLEST_S:g}s or more."
        )
    check = min(0.03 * budget, 10.0)
    measure = min(max(0.04 * budget, 3.0), 20.0)
    ship = min(6.0 + 6.0 * exports + 2.0 * networks, 0.4 * budget, 60.0)
    left = budget - check - measure - ship
    return Shares(check, measure, 0.28 * left, 0.6 * left, 0.12 * left, ship)


@dataclass
class Clock:
    """Monotonic time against the budget, and what each phase took.

    ``started`` is a time of ``time.monotonic``: the command line passes the moment it was called, so that importing
    libraries counts as well. ``before`` is what earlier processes spent on the same run.
    """

    budget: float
    started: float = field(default_factory=time.monotonic)
    before: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)

    def elapsed(self) -> float:
        """Return the seconds that were spent on the run."""
        return self.before + time.monotonic() - self.started

    def left(self, reserve: float = 0.0) -> float:
        """Return the seconds that are left when ``reserve`` is kept back; never negative."""
        return max(0.0, self.budget - reserve - self.elapsed())
