"""What strategies that give more to the best have in common: the rungs, and the strategy that they wrap."""

from __future__ import annotations

from dataclasses import dataclass, field

from archsmith.strategy.protocol import Strategy, fresh
from archsmith.trial import Trial

__all__ = ["HighestRung", "rising"]


@dataclass
class HighestRung:
    """Keeps a fresh copy of ``strategy`` up to date with trials that may continue earlier ones.

    When a promotion supersedes what it was told, another fresh copy is told everything again, each architecture at the
    age of its first result.
    """

    strategy: Strategy
    _inner: Strategy = field(init=False, repr=False)
    _stale: bool = field(default=False, init=False, repr=False)
    _first: dict[int, int] = field(default_factory=dict, init=False, repr=False)
    _highest: dict[int, Trial] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._inner = fresh(self.strategy)

    @property
    def current(self) -> Strategy:
        """The strategy, told all that counts."""
        if self._stale:
            self._inner = fresh(self.strategy)
            for trial in self._highest.values():
                self._inner.tell(trial)
            self._stale = False
        return self._inner

    def tell(self, trial: Trial) -> None:
        """Take note of a trial; a promotion that was measured supersedes what it resumed."""
        resumed = trial.proposal.resume
        first = trial.number if resumed is None else self._first.get(resumed, resumed)
        self._first[trial.number] = first
        if first not in self._highest:
            self._highest[first] = trial
            if not self._stale:
                self._inner.tell(trial)
        elif trial.state in ("complete", "cached"):
            self._highest[first] = trial
            self._stale = True


def rising(minimum: float, maximum: float, eta: float) -> tuple[float, ...]:
    """Return ``minimum``, ``minimum * eta``, ... and at last ``maximum``."""
    found = []
    level = minimum
    while level < maximum * (1 - 1e-9):
        found.append(level)
        level *= eta
    return (*found, maximum)
