"""Asynchronous successive halving: a little for many, more for the best."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.highest_rung import HighestRung, check_rungs, given_rungs, rising
from archsmith.strategy.protocol import Strategy
from archsmith.strategy.registry import Named
from archsmith.strategy.regularized_evolution import RegularizedEvolution
from archsmith.strategy.settings import around
from archsmith.trial import Evaluate, Proposal, Trial, order, rank

__all__ = ["NAMED", "SuccessiveHalving"]


_Rank = tuple[int, tuple[float, ...], int]


@dataclass
class _Rung:
    """The trials that ended at one level of spending, and those of them that were not promoted."""

    trials: dict[int, Trial] = field(default_factory=dict)
    ranks: list[_Rank] = field(default_factory=list)
    waiting: list[_Rank] = field(default_factory=list)

    def enter(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        insort(self.ranks, rank(trial))
        if trial.usable:
            insort(self.waiting, rank(trial))

    def promoted(self, number: int) -> None:
        if number in self.trials and (ranked := rank(self.trials[number])) in self.waiting:
            self.waiting.remove(ranked)

    def due(self, eta: float) -> list[Trial]:
        """Return what waits among the best ``1/eta`` of the rung as completed so far, the best first."""
        allowed = int(len(self.ranks) / eta)
        if not allowed or not self.waiting:
            return []
        if len(self.waiting[0][1]) == 1:  # kept sorted, so that a rung of thousands costs nothing
            return [self.trials[r[2]] for r in self.waiting[: bisect_right(self.waiting, self.ranks[allowed - 1])]]
        waiting = {number for _, _, number in self.waiting}
        return [t for t in order(list(self.trials.values()))[:allowed] if t.number in waiting]


@dataclass
class SuccessiveHalving:
    """Gives every proposal of ``strategy`` a small budget, and the best of them more (ASHA; Li et al., 2020).

    The rungs are ``minimum``, ``minimum * eta``, ... and at last ``maximum`` of ``fidelity``, or ``rungs``. A trial is
    promoted as soon as it is among the best ``1/eta`` of its rung *as completed so far*, the highest rung first;
    otherwise ``strategy`` is asked for something new. There is no barrier, so no worker waits. A promotion is a new
    trial that resumes the old one's checkpoint; whatever becomes of it, the old one is not promoted again.

    ``strategy`` is told of each architecture's highest rung only; see ``HighestRung``.
    """

    strategy: Strategy
    fidelity: str = "epochs"
    minimum: float = 1
    maximum: float = 9
    eta: float = 3
    rungs: tuple[float, ...] = ()
    _inner: HighestRung = field(init=False, repr=False, compare=False)
    _rungs: dict[float, _Rung] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_rungs("SuccessiveHalving", self.fidelity, self.minimum, self.maximum, self.eta)
        self._inner = HighestRung(self.strategy)
        self._rungs = {level: _Rung() for level in self.levels}

    @property
    def abilities(self) -> Abilities:
        """Those of the strategy that is wrapped, at several fidelities."""
        return replace(abilities_of(self.strategy), fidelities=True)

    @property
    def levels(self) -> tuple[float, ...]:
        """What is spent at each rung, from the lowest to the highest."""
        return given_rungs(self.rungs) or rising(self.minimum, self.maximum, self.eta)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return promotions as far as there are any, then proposals of the wrapped strategy at the lowest rung."""
        promotions = self._promotions({t.proposal.resume for t in running})[:n]
        if len(promotions) == n:
            return promotions
        started = [t for t in running if t.proposal.resume is None]
        new = self._inner.current.ask(n - len(promotions), rng, started)
        lowest = next(iter(self._rungs))
        return [*promotions, *(replace(p, fidelity={**p.fidelity, self.fidelity: lowest}) for p in new)]

    def tell(self, trial: Trial) -> None:
        """Enter the trial in its rung; a promotion that was measured supersedes what it resumed."""
        resumed = trial.proposal.resume
        if resumed is not None:
            for rung in self._rungs.values():
                rung.promoted(resumed)
        if trial.state != "infeasible":  # never run: it does not widen the eta'th of those that were
            spent = trial.proposal.fidelity.get(self.fidelity, max(self._rungs))
            self._rungs[min(self._rungs, key=lambda level: abs(level - spent))].enter(trial)
        self._inner.tell(trial)

    def _promotions(self, in_flight: set[int | None]) -> list[Proposal]:
        """Return every promotion that is due, the highest rung first and its best trial first."""
        return [
            Evaluate(trial.arch, {**trial.proposal.fidelity, self.fidelity: above}, resume=trial.number)
            for level, above in reversed(list(pairwise(self._rungs)))
            for trial in self._rungs[level].due(self.eta)
            if trial.number not in in_flight
        ]


NAMED = (Named("halving", around(SuccessiveHalving, RegularizedEvolution), Abilities(fidelities=True)),)
