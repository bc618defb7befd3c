"""Local search: climb to the best neighbour, and start again at the top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Arch, Space, neighbours
from archsmith.strategy.registry import Named
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial, order

__all__ = ["NAMED", "LocalSearch"]


@dataclass
class LocalSearch:
    """Tries all neighbours of the best of a few random architectures, and moves on while one is better.

    White, Nolen and Savani (2021), who found it as good as anything where measurements carry little noise; with much
    noise it stops at lucky ones. Each climb begins at the best of ``initial`` random architectures (the authors use
    10). All neighbours, one decision away, are tried in random order; a better one is taken as soon as it is told
    with ``eager``, else when all were told. When none is better, the next climb begins. In spaces of thousands of
    neighbours a climb takes as many trials for each step: prefer evolution there.

    "Better" is ``archsmith.trial.order``; with several objectives it is to dominate.
    """

    space: Space
    initial: int = 10
    eager: bool = True
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)
    _starts: list[Trial] = field(default_factory=list, init=False, repr=False, compare=False)
    _current: Trial | None = field(default=None, init=False, repr=False, compare=False)
    _better: Trial | None = field(default=None, init=False, repr=False, compare=False)
    _around: dict[Arch, None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.initial < 1:
            raise UsageError(f"LocalSearch needs initial >= 1, not {self.initial}.")

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return untried neighbours, and random architectures for the next climb where there are too few."""
        busy = {t.arch: None for t in running}
        waiting = [arch for arch in self._around if arch not in busy]
        chosen = [waiting[i] for i in rng.permutation(len(waiting))[:n].tolist()]
        taken = (self._tried, busy, set(chosen))
        return [Evaluate(arch) for arch in (*chosen, *distinct(n - len(chosen), self.space, rng, taken))]

    def tell(self, trial: Trial) -> None:
        """Move on to a better one; begin the next climb when there is none."""
        self._tried.add(trial.arch)
        self._around.pop(trial.arch, None)
        if self._current is None:
            self._starts.append(trial)
            best = order(self._starts)[0]
            if len(self._starts) >= self.initial and (best.usable or best.broken):
                self._move(best)
        else:
            best = self._better or self._current
            if _beats(trial, best):
                self._better = trial
                if self.eager:
                    self._move(trial)
        if self._current is not None and not self._around:
            if self._better is not None:
                self._move(self._better)
            if not self._around:
                self._current = None

    def _move(self, trial: Trial) -> None:
        self._current, self._better = trial, None
        self._starts.clear()
        self._around = {arch: None for arch in neighbours(self.space, trial.arch) if arch not in self._tried}


def _beats(a: Trial, b: Trial) -> bool:
    """Return whether ``a`` comes before ``b`` for a better reason than its number."""
    if not (a.usable or a.broken):
        return False
    if a.usable and b.usable:
        return all(x <= y for x, y in zip(a.losses, b.losses, strict=True)) and a.losses != b.losses
    return a.usable or (a.broken and b.broken and a.violation < b.violation)


NAMED = (Named("local", LocalSearch),)
