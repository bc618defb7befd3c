"""The socket that every way of searching fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from archsmith.errors import UsageError
from archsmith.trial import Proposal, Trial, leaders, order

__all__ = ["Recommends", "Strategy", "fresh", "recommended"]


class Strategy(Protocol):
    """Proposes what to try next. Sees decisions and losses, never a module, never a data set.

    The laws, which ``archsmith.testing.strategy`` checks:

    * ``ask`` is pure: asked twice with equal generators and running trials, it answers the same, however often it was
      asked in between. Only ``tell`` changes what a later ``ask`` answers.
    * All randomness comes from the generator that is handed in.
    * A strategy is a dataclass whose constructor stores its arguments; ``dataclasses.replace(strategy)`` is a fresh
      one, and telling it the same trials in the same order makes it equal to the first: resuming is replaying.
    * Losses are minimised, as a tuple; directions, limits and scaling were settled before. A trial that breaks a
      limit ranks behind every trial that does not, and an infinite loss never wins.
    * Results may arrive in any order; failed, stopped, infeasible and cached trials are told too.
    * Every proposal is an architecture of the space. Fewer than ``n`` proposals mean that nothing more is worth
      starting now; none, while nothing runs, that the search is over.
    * What it cannot handle it declares in ``abilities`` (``archsmith.strategy.Abilities``), and refuses when it is
      constructed with it. A strategy that declares nothing handles everything.
    * An architecture may be proposed again, and a study answers it from its log at no cost: nothing is evaluated
      twice. Where everything was tried, nothing more is proposed, or nothing new.
    """

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` proposals, given the trials that run now."""
        ...

    def tell(self, trial: Trial) -> None:
        """Take note of a trial that has ended, in any of its terminal states."""
        ...


@runtime_checkable
class Recommends(Protocol):
    """A strategy that names its final answer by more than the luckiest measurement. Optional.

    Measurements are noisy, so the best single one is too good to be true more often than not. A strategy with a model
    of what it was told may know better. The laws, which ``archsmith.testing.strategy`` checks:

    * ``recommend`` returns one of the trials that it is handed, a usable one, or None where none is usable.
    * It is pure, as ``ask`` is, and has no randomness: the same trials told and handed in give the same answer.
    """

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the trial whose architecture is the answer, of ``trials``, all of which were told before."""
        ...


def fresh(strategy: Strategy) -> Strategy:
    """Return a strategy with the same arguments that was told nothing; raises ``UsageError`` for what is none."""
    made = is_dataclass(strategy) and not isinstance(strategy, type)
    if not (made and hasattr(strategy, "ask") and hasattr(strategy, "tell")):
        raise UsageError(
            f"What is wrapped must be a strategy, a dataclass that was made, with ask and tell, not {strategy!r}. "
            "archsmith.strategy.make(name, space) makes one by its name."
        )
    again: Strategy = replace(cast(Any, strategy))
    return again


def recommended(strategy: Strategy, trials: Sequence[Trial]) -> Trial | None:
    """Return the final answer of a search: what the strategy recommends, else the best single measurement.

    Only trials at the highest fidelity reached are candidates. None when no trial is usable.
    """
    candidates = leaders(trials)
    if isinstance(strategy, Recommends):
        return strategy.recommend(candidates)
    return order(candidates)[0] if candidates else None
