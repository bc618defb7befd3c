"""Proximal policy optimisation: several careful steps on each batch of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Space
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.categories import BINS
from archsmith.strategy.learner import Learner, learner
from archsmith.strategy.policies import Gradient, Path, log_probability
from archsmith.strategy.registry import Named
from archsmith.trial import Proposal, Trial

__all__ = ["NAMED", "PPO"]


@dataclass
class PPO:
    """Learns a policy from batches, with a clipped ratio that keeps it near what drew them (Schulman et al., 2017).

    After ``batch`` results the policy takes ``epochs`` steps of Adam up the mean of
    ``min(ratio * advantage, clip(ratio, 1 - clip, 1 + clip) * advantage)``, where ``ratio`` is how much more likely an
    architecture is now than when the batch began, and ``advantage`` is the reward above its moving average, in standard
    deviations of the batch. NASNet (Zoph et al., 2018) and MnasNet (Tan et al., 2019) searched by it; use it like
    ``Reinforce`` where trials are many, for it is the steadier of the two.

    Authors' values: NASNet a recurrent controller of 100 units, rate 3.5e-4, 20,000 trials; Schulman et al. ``clip``
    0.2. The default rates learn faster, for hundreds of trials: 0.1 for softmaxes, 0.01 for the controller. Limits are
    handled as in ``Reinforce``.
    """

    space: Space
    policy: str = "recurrent"
    rate: float | None = None
    batch: int = 10
    epochs: int = 4
    clip: float = 0.2
    momentum: float = 0.9
    entropy: float = 0.01
    hidden: int = 100
    bins: int = BINS
    window: int = 32
    tries: int = 10
    seed: int = 0
    abilities: ClassVar[Abilities] = Abilities(many_objectives=False)
    _learner: Learner = field(init=False, repr=False, compare=False)
    _batch: list[tuple[Path, float, float]] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings = (self.momentum, self.hidden, self.bins, self.window, self.tries, self.seed)
        self._learner = learner(self.space, self.policy, self.rate, *settings)
        if min(self.batch, self.epochs) < 1 or self.clip <= 0 or self.entropy < 0:
            raise UsageError(
                f"PPO needs batch >= 1, epochs >= 1, clip > 0 and entropy >= 0, not batch={self.batch}, "
                f"epochs={self.epochs}, clip={self.clip}, entropy={self.entropy}."
            )

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures drawn from the policy; what was tried is drawn again."""
        return self._learner.ask(n, rng, running)

    def tell(self, trial: Trial) -> None:
        """Keep the result, and learn when the batch is full."""
        found = self._learner.saw(trial)
        if found is None or not found[0]:
            return
        path, advantage = found
        self._batch.append((path, advantage, log_probability(self._learner.policy, path)))
        if len(self._batch) == self.batch:
            self._learn()
            self._batch.clear()

    def _learn(self) -> None:
        advantages = np.array([advantage for _, advantage, _ in self._batch])
        advantages = advantages / (advantages.std() or np.abs(advantages).max() or 1.0)
        policy = self._learner.policy
        for _ in range(self.epochs):
            total: Gradient = {}
            weights = 0.0
            for (path, _, before), advantage in zip(self._batch, advantages.tolist(), strict=True):
                ratio = math.exp(min(log_probability(policy, path) - before, 20.0))
                beyond = ratio > 1 + self.clip if advantage > 0 else ratio < 1 - self.clip
                weight = 0.0 if beyond else ratio * advantage / self.batch
                weights += weight
                for name, slope in policy.ascent(path, weight, self.entropy / self.batch).items():
                    total[name] = total[name] + slope if name in total else slope
            self._learner.ascend(total, weights)


NAMED = (Named("ppo", PPO),)
