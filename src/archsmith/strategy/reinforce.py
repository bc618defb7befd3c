"""REINFORCE: a policy learns from rewards, one result at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Space
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.categories import BINS
from archsmith.strategy.learner import Learner, learner
from archsmith.strategy.registry import Named
from archsmith.trial import Proposal, Trial

__all__ = ["NAMED", "Reinforce"]


@dataclass
class Reinforce:
    """Raises the probability of what did better than the average so far (Williams, 1992; Zoph and Le, 2017).

    The reward is the negative loss, the baseline its exponential moving average over earlier results, and each result
    is one step of Adam. ``policy`` is ``"softmax"``, an independent softmax for each decision, which learns fastest
    from hundreds of trials and is what NAS-Bench-201 (Dong and Yang, 2020) calls REINFORCE; or ``"recurrent"``, the
    LSTM controller that reads its own answers and needs thousands. Use it where trials are cheap and many.

    Authors' values: Zoph and Le a two-layer controller of 35 units, rate 6e-4, 12,800 trials; NAS-Bench-201 softmaxes,
    ``rate`` 0.01, ``momentum`` 0.9. The default rates learn faster, for hundreds of trials: 0.1 for softmaxes and 0.01
    for the controller. Real ranges are cut into ``bins`` parts. With ``again`` the policy is drawn from as it is, what
    was tried included: for scores that change, such as those of weights that are still in training (ENAS).

    A trial that breaks a limit is rejected, with the correction of TabNAS (Yang et al., 2022): what is learned is the
    distribution among feasible architectures, by the gradient of ``log p(arch) - log P(feasible)``. ``P(feasible)``
    is estimated from the last ``window`` trials, from the first that broke a limit on, each weighted by how likely it
    has become. A trial that failed counts as the worst result so far.
    """

    space: Space
    policy: str = "softmax"
    rate: float | None = None
    momentum: float = 0.9
    entropy: float = 0.0
    hidden: int = 100
    bins: int = BINS
    window: int = 32
    tries: int = 10
    seed: int = 0
    again: bool = False
    abilities: ClassVar[Abilities] = Abilities(many_objectives=False)
    _learner: Learner = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings = (self.momentum, self.hidden, self.bins, self.window, self.tries, self.seed)
        self._learner = learner(self.space, self.policy, self.rate, *settings)
        if self.entropy < 0:
            raise UsageError(f"Reinforce needs entropy >= 0, not {self.entropy}.")

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures drawn from the policy; what was tried is drawn once more, or kept."""
        return self._learner.ask(n, rng, running, self.again)

    def tell(self, trial: Trial) -> None:
        """Take one step towards, or away from, what was tried."""
        found = self._learner.saw(trial)
        if found is None:
            return
        path, advantage = found
        if path and (advantage or self.entropy):
            self._learner.ascend(self._learner.policy.ascent(path, advantage, self.entropy), advantage)


NAMED = (Named("reinforce", Reinforce),)
