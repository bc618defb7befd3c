"""HyperBand and synchronous successive halving: brackets of rungs, with a barrier after each rung."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from archsmith.errors import UsageError
from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.highest_rung import HighestRung, check_rungs, given_rungs
from archsmith.strategy.protocol import Strategy
from archsmith.strategy.random_search import RandomSearch
from archsmith.strategy.registry import Named
from archsmith.strategy.settings import around
from archsmith.trial import Evaluate, Proposal, Trial, order

__all__ = ["NAMED", "Brackets", "HyperBand", "SynchronousHalving", "bracket_sizes", "hyper_band_brackets"]


def bracket_sizes(ratio: float, eta: float) -> tuple[int, ...]:
    """Return how many architectures each bracket of HyperBand starts with, the one with the most rungs first.

    ``ratio`` is the largest budget over the smallest. With ``s_max = floor(log_eta(ratio))``, bracket ``s`` starts with
    ``ceil((s_max + 1) / (s + 1) * eta**s)``: 81, 34, 15, 8, 5 for a ratio of 81 and eta 3.
    """
    most = int(math.log(ratio) / math.log(eta) + 1e-9)
    return tuple(math.ceil((most + 1) / (s + 1) * eta**s - 1e-9) for s in range(most, -1, -1))


@dataclass
class Brackets:
    """One bracket after another, for ever; ``shapes`` are the levels and the first size of each in turn."""

    shapes: tuple[tuple[tuple[float, ...], int], ...]
    fidelity: str
    eta: float
    bracket: int = 0
    rung: int = 0
    size: int = 0
    entered: list[Trial] = field(default_factory=list)
    promoted: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = self.shapes[0][1]

    @property
    def levels(self) -> tuple[float, ...]:
        """What is spent on each rung of the open bracket."""
        return self.shapes[self.bracket % len(self.shapes)][0]

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial], inner: Strategy) -> list[Proposal]:
        """Return what the open rung still needs, new ones from ``inner``."""
        if self.rung == 0:
            fresh = [t for t in running if t.proposal.resume is None]
            wanted = min(n, self.size - len(self.entered) - len(fresh))
            new = inner.ask(wanted, rng, fresh) if wanted > 0 else ()
            if new or running or not self.entered:
                return [replace(p, fidelity={**p.fidelity, self.fidelity: self.levels[0]}) for p in new]
            return self._promotions(self._best(), 1, running)[:n]  # nothing new is left: on with what there is
        return self._promotions(self.promoted, self.rung, running)[:n]

    def tell(self, trial: Trial) -> None:
        """Enter a trial in the open rung, and close it when it is full."""
        if trial.state == "infeasible":  # never run: it does not fill the rung
            return
        if trial.proposal.resume is not None and self.rung == 0:
            self._close()
        self.entered.append(trial)
        if len(self.entered) >= self.size:
            self._close()

    def _best(self) -> list[Trial]:
        if self.rung + 1 >= len(self.levels):
            return []
        go_on = max(1, int(len(self.entered) / self.eta + 1e-9))  # of two, with a third to go on, one does
        return [t for t in order(self.entered)[:go_on] if t.usable]

    def _close(self) -> None:
        """End the rung: its best go on to the next, or a new bracket begins."""
        self.promoted = self._best()
        self.entered = []
        self.rung, self.size = self.rung + 1, len(self.promoted)
        if not self.promoted:
            self.bracket, self.rung = self.bracket + 1, 0
            self.size = self.shapes[self.bracket % len(self.shapes)][1]

    def _promotions(self, trials: list[Trial], rung: int, running: Sequence[Trial]) -> list[Proposal]:
        if rung >= len(self.levels):
            return []
        known = {t.proposal.resume for t in (*running, *(self.entered if rung == self.rung else ()))}
        return [
            Evaluate(t.arch, {**t.proposal.fidelity, self.fidelity: self.levels[rung]}, resume=t.number)
            for t in trials
            if t.number not in known
        ]


def _levels(minimum: float, maximum: float, eta: float) -> tuple[float, ...]:
    """Return ``maximum``, ``maximum / eta``, ... as far as they are at least ``minimum``, the lowest first."""
    rungs = int(math.log(maximum / minimum) / math.log(eta) + 1e-9)
    return tuple(max(minimum, maximum / eta**i) for i in range(rungs, -1, -1))


def hyper_band_brackets(
    fidelity: str, minimum: float, maximum: float, eta: float, rungs: tuple[float, ...] = ()
) -> Brackets:
    """Return the brackets of HyperBand; raises ``UsageError`` unless 0 < minimum <= maximum and eta > 1.

    With ``rungs`` those are the levels, and the brackets have the sizes of as many rungs that are ``eta`` apart.
    """
    check_rungs("HyperBand", fidelity, minimum, maximum, eta)
    levels = given_rungs(rungs) or _levels(minimum, maximum, eta)
    sizes = bracket_sizes(eta ** (len(levels) - 1), eta)
    return Brackets(tuple((levels[i:], size) for i, size in enumerate(sizes)), fidelity, eta)


@dataclass
class HyperBand:
    """Gives many a little or few much, in brackets of successive halving from bold to careful (Li et al., 2018).

    Bracket after bracket: the first starts the most architectures of ``strategy`` with the least of ``fidelity``, the
    last only a few at once with ``maximum``; their numbers are ``bracket_sizes``. When all of a rung ended, the best
    ``floor(size / eta)`` of them are resumed with ``eta`` times as much, or what the next of ``rungs`` says. Workers
    wait for the last of a rung; see ``SuccessiveHalving`` for a search that never waits. ``strategy`` is told each
    architecture's highest rung.
    """

    strategy: Strategy
    fidelity: str = "epochs"
    minimum: float = 1
    maximum: float = 9
    eta: float = 3
    rungs: tuple[float, ...] = ()
    _inner: HighestRung = field(init=False, repr=False, compare=False)
    _brackets: Brackets = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._inner = HighestRung(self.strategy)
        self._brackets = hyper_band_brackets(self.fidelity, self.minimum, self.maximum, self.eta, self.rungs)

    @property
    def abilities(self) -> Abilities:
        """Those of the strategy that is wrapped, at several fidelities."""
        return replace(abilities_of(self.strategy), fidelities=True)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return what the open rung still needs; nothing while its last trials run."""
        return self._brackets.ask(n, rng, running, self._inner.current)

    def tell(self, trial: Trial) -> None:
        """Enter the trial in the open rung."""
        self._brackets.tell(trial)
        self._inner.tell(trial)


@dataclass
class SynchronousHalving:
    """Starts ``number`` architectures, and lets the best ``1/eta`` of each rung go on (Jamieson and Talwalkar, 2016).

    At least one goes on, so that the highest rung is reached. As one bracket of ``HyperBand``, again and again;
    ``rungs`` are its levels, if given.
    """

    strategy: Strategy
    number: int = 27
    fidelity: str = "epochs"
    minimum: float = 1
    maximum: float = 9
    eta: float = 3
    rungs: tuple[float, ...] = ()
    _inner: HighestRung = field(init=False, repr=False, compare=False)
    _brackets: Brackets = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_rungs("SynchronousHalving", self.fidelity, self.minimum, self.maximum, self.eta)
        if self.number < 1:
            raise UsageError(f"SynchronousHalving needs a number of at least 1, not {self.number}.")
        self._inner = HighestRung(self.strategy)
        levels = given_rungs(self.rungs) or _levels(self.minimum, self.maximum, self.eta)
        self._brackets = Brackets(((levels, self.number),), self.fidelity, self.eta)

    @property
    def abilities(self) -> Abilities:
        """Those of the strategy that is wrapped, at several fidelities."""
        return replace(abilities_of(self.strategy), fidelities=True)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return what the open rung still needs; nothing while its last trials run."""
        return self._brackets.ask(n, rng, running, self._inner.current)

    def tell(self, trial: Trial) -> None:
        """Enter the trial in the open rung."""
        self._brackets.tell(trial)
        self._inner.tell(trial)


NAMED = (
    Named("hyperband", around(HyperBand, RandomSearch), Abilities(fidelities=True)),
    Named("synchronous_halving", around(SynchronousHalving, RandomSearch), Abilities(fidelities=True)),
)
