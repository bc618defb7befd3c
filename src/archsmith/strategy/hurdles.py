"""Progressive dynamic hurdles: more training for what beats the average of those before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Space
from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.highest_rung import HighestRung, check_rungs, given_rungs, rising
from archsmith.strategy.protocol import Strategy
from archsmith.strategy.registry import Named
from archsmith.strategy.regularized_evolution import RegularizedEvolution
from archsmith.strategy.settings import around
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["NAMED", "Hurdles"]


_FEW = 3  # the mean of one or two would be a hurdle that luck has set up


@dataclass
class Hurdles:
    """Gives every proposal of ``strategy`` a small budget, and more for each hurdle it takes (So et al., 2019).

    The levels are ``minimum``, ``minimum * eta``, ... and at last ``maximum`` of ``fidelity``, or ``rungs``. At first
    there is no hurdle, so everything stays at the lowest. After every ``models`` new architectures a hurdle is set up
    at the highest level reached so far: the mean loss of those that reached it, if three or more did. From then on,
    what does better than the hurdle of its level goes on to the next one, as a new trial that resumes the old. So the
    search is cheap while it knows little, and what is good is told from what is better later on.

    The Evolved Transformer's search put tournaments inside (population 100, sample 30), and added a hurdle after each
    of a few thousand models. Compared with ``SuccessiveHalving`` more goes on, and late comers are judged by all that
    came before. ``strategy`` is told of each architecture's highest level only; see ``HighestRung``.
    """

    strategy: Strategy
    fidelity: str = "epochs"
    minimum: float = 1
    maximum: float = 9
    eta: float = 3
    models: int = 20
    rungs: tuple[float, ...] = ()
    _inner: HighestRung = field(init=False, repr=False, compare=False)
    _hurdles: list[float] = field(default_factory=list, init=False, repr=False, compare=False)
    _reached: dict[int, list[float]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _new: int = field(default=0, init=False, repr=False, compare=False)
    _due: dict[int, Proposal] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_rungs("Hurdles", self.fidelity, self.minimum, self.maximum, self.eta)
        if self.models < 1:
            raise UsageError(f"Hurdles needs models >= 1, not models={self.models}.")
        given_rungs(self.rungs)
        self._inner = HighestRung(self.strategy)

    @property
    def abilities(self) -> Abilities:
        """Those of the strategy that is wrapped, for one objective, at several fidelities."""
        return replace(abilities_of(self.strategy), many_objectives=False, fidelities=True)

    @property
    def levels(self) -> tuple[float, ...]:
        """What is spent at each level, from the lowest to the highest."""
        return tuple(self.rungs) or rising(self.minimum, self.maximum, self.eta)

    @property
    def hurdles(self) -> tuple[float, ...]:
        """The hurdles so far: the loss to be under at each level for the next one."""
        return tuple(self._hurdles)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return those that took a hurdle, then proposals of the wrapped strategy at the lowest level."""
        busy = {t.proposal.resume for t in running}
        going_on = [p for number, p in self._due.items() if number not in busy][:n]
        if len(going_on) == n:
            return going_on
        started = [t for t in running if t.proposal.resume is None]
        new = self._inner.current.ask(n - len(going_on), rng, started)
        return [*going_on, *(replace(p, fidelity={**p.fidelity, self.fidelity: self.levels[0]}) for p in new)]

    def tell(self, trial: Trial) -> None:
        """Let the trial go on if it takes the hurdle of its level; set up the next hurdle when it is time."""
        resumed = trial.proposal.resume
        if resumed is not None:
            self._due.pop(resumed, None)
        level = self._level(trial)
        if trial.usable:
            if level < len(self._hurdles) and level + 1 < len(self.levels) and trial.losses[0] < self._hurdles[level]:
                more = {**trial.proposal.fidelity, self.fidelity: self.levels[level + 1]}
                self._due[trial.number] = Evaluate(trial.arch, more, resume=trial.number)
            self._reached.setdefault(level, []).append(trial.losses[0])
        if resumed is None and trial.state != "infeasible":
            self._new += 1
            top = len(self._hurdles)
            if self._new >= self.models and top + 1 < len(self.levels) and len(self._reached.get(top, ())) >= _FEW:
                self._hurdles.append(float(np.mean(self._reached[top])))
                self._new = 0
        self._inner.tell(trial)

    def _level(self, trial: Trial) -> int:
        levels = self.levels
        spent = trial.proposal.fidelity.get(self.fidelity, levels[-1])
        return min(range(len(levels)), key=lambda i: abs(levels[i] - spent))


def _small(space: Space) -> RegularizedEvolution:
    return RegularizedEvolution(space, 20, 5)


NAMED = (Named("hurdles", around(Hurdles, _small), Abilities(many_objectives=False, fidelities=True)),)
