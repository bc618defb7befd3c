"""Proximal policy optimisation: several careful steps on each batch of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Arch, Space
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.categories import BINS, Categories
from archsmith.strategy.policies import (
    Adam,
    Gradient,
    Path,
    Policy,
    default_rate,
    draw,
    log_probability,
    make_policy,
    path_of,
)
from archsmith.strategy.registry import Named
from archsmith.strategy.reinforce import Feasibility, Rewards
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

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
    tries: int = 30
    seed: int = 0
    abilities: ClassVar[Abilities] = Abilities(many_objectives=False)
    _policy: Policy = field(init=False, repr=False, compare=False)
    _categories: Categories = field(init=False, repr=False, compare=False)
    _adam: Adam = field(init=False, repr=False, compare=False)
    _rewards: Rewards = field(init=False, repr=False, compare=False)
    _feasible: Feasibility = field(init=False, repr=False, compare=False)
    _batch: list[tuple[Path, float, float]] = field(default_factory=list, init=False, repr=False, compare=False)
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rate = default_rate(self.policy) if self.rate is None else self.rate
        if not (rate > 0 and self.batch >= 1 and self.epochs >= 1 and self.clip > 0 and 0 <= self.momentum < 1):
            raise UsageError(
                f"PPO needs rate > 0, batch >= 1, epochs >= 1, clip > 0 and momentum in 0..1 (without 1), not rate="
                f"{self.rate}, batch={self.batch}, epochs={self.epochs}, clip={self.clip}, momentum={self.momentum}."
            )
        self._policy = make_policy(self.policy, self.hidden, self.seed)
        self._categories = Categories(self.bins)
        self._adam = Adam(rate)
        self._rewards = Rewards(self.momentum)
        self._feasible = Feasibility(self.window)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures drawn from the policy; what was tried is drawn again."""
        taken = (self._tried, {t.arch for t in running})
        drawn = distinct(
            n, self.space, rng, taken, lambda: draw(self._policy, self.space, self._categories, rng), self.tries
        )
        return [Evaluate(arch) for arch in drawn]

    def tell(self, trial: Trial) -> None:
        """Keep the result, and learn when the batch is full."""
        self._tried.add(trial.arch)
        path = path_of(self.space, trial.arch, self._categories)
        self._feasible.saw(self._policy, path, not trial.broken)
        if trial.broken or not path:
            return
        self._batch.append((path, self._rewards.advantage(trial), log_probability(self._policy, path)))
        if len(self._batch) == self.batch:
            self._learn()
            self._batch.clear()

    def _learn(self) -> None:
        advantages = np.array([advantage for _, advantage, _ in self._batch])
        advantages = advantages / (advantages.std() or np.abs(advantages).max() or 1.0)
        for _ in range(self.epochs):
            total: Gradient = {}
            weights = 0.0
            for (path, _, before), advantage in zip(self._batch, advantages.tolist(), strict=True):
                ratio = math.exp(min(log_probability(self._policy, path) - before, 20.0))
                beyond = ratio > 1 + self.clip if advantage > 0 else ratio < 1 - self.clip
                weight = 0.0 if beyond else ratio * advantage / self.batch
                weights += weight
                for name, slope in self._policy.ascent(path, weight, self.entropy / self.batch).items():
                    total[name] = total[name] + slope if name in total else slope
            self._feasible.correct(total, self._policy, weights)
            self._adam.ascend(self._policy.parameters, total)


NAMED = (Named("ppo", PPO),)
