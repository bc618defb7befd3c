"""Proposals that borrow or inherit weights, from any strategy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from archsmith.strategy.abilities import Abilities, abilities_of
from archsmith.strategy.protocol import Strategy, fresh, recommended
from archsmith.trial import Proposal, Trial

__all__ = ["Sharing", "inherits", "weights_of"]


@dataclass
class Sharing:
    """Lets what a strategy proposes borrow or inherit its weights, where the proposal does not say so itself.

    With ``weights``, the folder of a bank, it is measured on shared weights and not trained (Guo et al., 2020). With
    ``inherit`` a child's training begins with its parent's weights, where the strategy says who that is, as evolution
    does (Real et al., 2017); the study needs a folder then, in which they are kept.
    """

    strategy: Strategy
    weights: str = ""
    inherit: bool = False
    _inner: Strategy = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._inner = fresh(self.strategy)

    @property
    def abilities(self) -> Abilities:
        """Those of the strategy inside."""
        return abilities_of(self.strategy)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return the proposals of the strategy inside, with where their weights come from."""
        asked = self._inner.ask(n, rng, running)
        return [
            replace(p, weights=p.weights or self.weights, inherit=p.inherit or (self.inherit and p.parent is not None))
            for p in asked
        ]

    def tell(self, trial: Trial) -> None:
        """Pass the trial on."""
        self._inner.tell(trial)

    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        """Return what the strategy inside recommends."""
        return recommended(self._inner, trials)


def weights_of(strategy: Any) -> str:
    """Return the folder of the bank that a strategy's proposals are measured on, as far as it says; "" for none."""
    return next((sharing.weights for sharing in _sharings(strategy) if sharing.weights), "")


def inherits(strategy: Any) -> bool:
    """Whether a strategy's proposals inherit weights, as far as it says."""
    return any(sharing.inherit for sharing in _sharings(strategy))


def _sharings(strategy: Any) -> Iterator[Sharing]:
    """Yield what shares in a strategy, from the outside in."""
    inside: Any = strategy
    while inside is not None:
        if isinstance(inside, Sharing):
            yield inside
        inside = getattr(inside, "strategy", None)
