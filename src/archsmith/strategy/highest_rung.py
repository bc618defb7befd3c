"""What strategies that give more to the best have in common: the rungs, and the strategy that they wrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from archsmith.errors import UsageError
from archsmith.strategy.protocol import Strategy, fresh
from archsmith.trial import Trial

__all__ = ["HighestRung", "check_rungs", "given_rungs", "rising"]

_SHARE = 200  # how many may be told again for each that was superseded


@dataclass
class HighestRung:
    """Keeps a fresh copy of ``strategy`` up to date with trials that may continue earlier ones.

    When promotions supersede what it was told, another fresh copy is told everything again, each architecture at the
    age of its first result: at once, or among hundreds as soon as half a percent of them is superseded, so that telling
    costs the same however many there are.
    """

    strategy: Strategy
    current: Strategy = field(init=False, repr=False)
    _superseded: int = field(default=0, init=False, repr=False)
    _first: dict[int, int] = field(default_factory=dict, init=False, repr=False)
    _highest: dict[int, Trial] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.current = fresh(self.strategy)

    def tell(self, trial: Trial) -> None:
        """Take note of a trial; a promotion that was measured supersedes what it resumed."""
        resumed = trial.proposal.resume
        first = trial.number if resumed is None else self._first.get(resumed, resumed)
        self._first[trial.number] = first
        if first not in self._highest:
            self._highest[first] = trial
            self.current.tell(trial)
        elif trial.state in ("complete", "cached"):
            self._highest[first] = trial
            self._superseded += 1
            if self._superseded * _SHARE >= len(self._highest):
                self._again()

    def _again(self) -> None:
        self.current, self._superseded = fresh(self.strategy), 0
        for trial in self._highest.values():
            self.current.tell(trial)


def check_rungs(name: str, fidelity: str, minimum: float, maximum: float, eta: float) -> None:
    """Raise ``UsageError`` unless there is a fidelity, 0 < minimum <= maximum and eta > 1."""
    if not (fidelity and 0 < minimum <= maximum < math.inf and 1 < eta < math.inf):
        raise UsageError(
            f"{name} needs a fidelity such as 'epochs', 0 < minimum <= maximum and eta > 1, not fidelity={fidelity!r}, "
            f"minimum={minimum}, maximum={maximum}, eta={eta}."
        )


def given_rungs(rungs: Sequence[float]) -> tuple[float, ...]:
    """Return rungs that a person gave, or none; raises ``UsageError`` unless they rise from above 0."""
    if any(low >= high for low, high in pairwise((0.0, *rungs))):
        raise UsageError(f"Rungs rise from above 0, such as rungs=(12, 36, 200), not {tuple(rungs)}.")
    return tuple(rungs)


def rising(minimum: float, maximum: float, eta: float) -> tuple[float, ...]:
    """Return ``minimum``, ``minimum * eta``, ... and at last ``maximum``."""
    found = []
    level = minimum
    while level < maximum * (1 - 1e-9):
        found.append(level)
        level *= eta
    return (*found, maximum)
