"""REINFORCE: a policy learns from rewards, one result at a time."""

from __future__ import annotations

from collections import deque
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
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["NAMED", "Feasibility", "Reinforce", "Rewards"]


@dataclass
class Reinforce:
    """Raises the probability of what did better than the average so far (Williams, 1992; Zoph and Le, 2017).

    The reward is the negative loss, the baseline its exponential moving average over earlier results, and each result
    is one step of Adam. ``policy`` is ``"softmax"``, an independent softmax for each decision, which learns fastest
    from hundreds of trials and is what NAS-Bench-201 (Dong and Yang, 2020) calls REINFORCE; or ``"recurrent"``, the
    LSTM controller that reads its own answers and needs thousands. Use it where trials are cheap and many.

    Authors' values: Zoph and Le a two-layer controller of 35 units, rate 6e-4, 12,800 trials; NAS-Bench-201 softmaxes,
    ``rate`` 0.01, ``momentum`` 0.9. The default rates learn faster, for hundreds of trials: 0.1 for softmaxes and 0.01
    for the controller. Real ranges are cut into ``bins`` parts.

    A trial that breaks a limit is rejected, with the correction of TabNAS (Yang et al., 2022): what is learned is the
    distribution among feasible architectures, by the gradient of ``log p(arch) - log P(feasible)``. ``P(feasible)``
    is estimated from the last ``window`` trials, each weighted by how likely it has become. A trial that failed counts
    as the worst result so far.
    """

    space: Space
    policy: str = "softmax"
    rate: float | None = None
    momentum: float = 0.9
    entropy: float = 0.0
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
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rate = default_rate(self.policy) if self.rate is None else self.rate
        if not (rate > 0 and 0 <= self.momentum < 1 and self.entropy >= 0 and self.window >= 1):
            raise UsageError(
                f"Reinforce needs rate > 0, momentum in 0..1 (without 1), entropy >= 0 and window >= 1, not "
                f"rate={self.rate}, momentum={self.momentum}, entropy={self.entropy}, window={self.window}."
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
        """Take one step towards, or away from, what was tried."""
        self._tried.add(trial.arch)
        path = path_of(self.space, trial.arch, self._categories)
        self._feasible.saw(self._policy, path, not trial.broken)
        if trial.broken:
            return
        advantage = self._rewards.advantage(trial)
        if path and (advantage or self.entropy):
            gradient = self._policy.ascent(path, advantage, self.entropy)
            self._feasible.correct(gradient, self._policy, advantage)
            self._adam.ascend(self._policy.parameters, gradient)


@dataclass
class Rewards:
    """Rewards as they come in, and how far each is above the moving average of those before it."""

    momentum: float
    _average: float | None = None
    _worst: float | None = None

    def advantage(self, trial: Trial) -> float:
        """Return by how much a trial's reward is above the baseline; 0 for the first."""
        if trial.usable:
            reward = -trial.losses[0]
            self._worst = reward if self._worst is None else min(self._worst, reward)
        elif self._worst is None:
            return 0.0
        else:
            reward = self._worst
        before = reward if self._average is None else self._average
        self._average = self.momentum * before + (1 - self.momentum) * reward
        return reward - before


@dataclass
class Feasibility:
    """The probability of meeting the limits as a function of the policy, from the last trials (TabNAS)."""

    window: int
    _seen: deque[tuple[Path, float | None, bool]] = field(default_factory=deque)
    _broken: int = 0
    _ever: bool = False

    def saw(self, policy: Policy, path: Path, feasible: bool) -> None:
        """Remember a trial, with the probability it had when it was told, from the first broken limit on."""
        self._ever |= not feasible
        self._seen.append((path, log_probability(policy, path) if self._ever else None, feasible))
        self._broken += not feasible
        if len(self._seen) > self.window:
            self._broken -= not self._seen.popleft()[2]

    def correct(self, gradient: Gradient, policy: Policy, advantage: float) -> None:
        """Subtract ``advantage`` times the gradient of ``log P(feasible)``; nothing where no trial broke a limit."""
        if not self._broken or not advantage:
            return
        kept = [
            (path, 0.0 if before is None else log_probability(policy, path) - before)
            for path, before, feasible in self._seen
            if feasible
        ]
        if not kept:
            return
        weights = np.exp(np.array([w for _, w in kept]) - max(w for _, w in kept))
        for (path, _), share in zip(kept, weights / weights.sum(), strict=True):
            for name, slope in policy.ascent(path, -advantage * float(share), 0.0).items():
                gradient[name] = gradient[name] + slope if name in gradient else slope


NAMED = (Named("reinforce", Reinforce),)
