"""A policy that learns from trials: what REINFORCE and proximal policy optimisation have in common."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.errors import UsageError
from archsmith.space import Arch, Space
from archsmith.strategy.categories import Categories
from archsmith.strategy.policies import (
    Adam,
    Gradient,
    Path,
    Policy,
    Tried,
    default_rate,
    draw,
    log_probability,
    make_policy,
    path_of,
)
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["Feasibility", "Learner", "Rewards", "learner"]


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
    """The probability of meeting the limits as a function of the policy, from the last trials (TabNAS).

    It begins with the first trial that breaks a limit: before, there is nothing to correct, and most searches have no
    limit at all, so the probabilities of those trials are not noted.
    """

    window: int
    _seen: deque[tuple[Path, float, bool]] = field(default_factory=deque)
    _broken: int = 0
    _ever: bool = False

    def saw(self, policy: Policy, path: Path, feasible: bool) -> None:
        """Remember a trial, with the probability it had when it was told, from the first broken limit on."""
        self._ever |= not feasible
        if not self._ever:
            return
        self._seen.append((path, log_probability(policy, path), feasible))
        self._broken += not feasible
        if len(self._seen) > self.window:
            self._broken -= not self._seen.popleft()[2]

    def correct(self, gradient: Gradient, policy: Policy, advantage: float) -> None:
        """Subtract ``advantage`` times the gradient of ``log P(feasible)``; nothing where no trial broke a limit."""
        if not self._broken or not advantage:
            return
        kept = [(path, log_probability(policy, path) - before) for path, before, feasible in self._seen if feasible]
        if not kept:
            return
        weights = np.exp(np.array([w for _, w in kept]) - max(w for _, w in kept))
        for (path, _), share in zip(kept, weights / weights.sum(), strict=True):
            for name, slope in policy.ascent(path, -advantage * float(share), 0.0).items():
                gradient[name] = gradient[name] + slope if name in gradient else slope


@dataclass
class Learner:
    """A policy with what it learns by; draws architectures that were not tried, and takes steps up a gradient."""

    space: Space
    policy: Policy
    categories: Categories
    adam: Adam
    rewards: Rewards
    feasible: Feasibility
    tries: int
    tried: set[Arch] = field(default_factory=set)
    paths: Tried = field(default_factory=Tried)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial], again: bool = False) -> list[Proposal]:
        """Return up to ``n`` architectures drawn from the policy; what was tried is drawn anew, unless ``again``."""
        taken = () if again else (self.tried, {t.arch for t in running})
        known: dict[str, list[float]] = {}

        def one() -> Arch:
            return draw(self.policy, self.space, self.categories, rng, known, self.paths)

        drawn = distinct(n, self.space, rng, taken, one, self.tries)
        return [Evaluate(arch) for arch in drawn]

    def saw(self, trial: Trial) -> tuple[Path, float] | None:
        """Take note of a trial: return its path and its advantage, or None where it breaks a limit."""
        path = path_of(self.space, trial.arch, self.categories)
        self.tried.add(trial.arch)
        self.paths.add(path, trial.arch)
        self.feasible.saw(self.policy, path, not trial.broken)
        return None if trial.broken else (path, self.rewards.advantage(trial))

    def ascend(self, gradient: Gradient, advantage: float) -> None:
        """Take one step up a gradient that has ``advantage`` in it, corrected for what breaks a limit."""
        self.feasible.correct(gradient, self.policy, advantage)
        self.adam.ascend(self.policy.parameters, gradient)


def learner(
    space: Space,
    policy: str,
    rate: float | None,
    momentum: float,
    hidden: int,
    bins: int,
    window: int,
    tries: int,
    seed: int,
) -> Learner:
    """Return a new learner by the settings that these strategies share; without a rate the policy's own is taken.

    Raises ``UsageError`` for what makes no sense.
    """
    step = default_rate(policy) if rate is None else rate
    if not (step > 0 and 0 <= momentum < 1 and min(hidden, bins, window, tries) >= 1 and seed >= 0):
        raise UsageError(
            "A policy is learned with rate > 0, momentum in 0..1 (without 1), hidden, bins, window and tries >= 1 and "
            f"seed >= 0, not rate={rate}, momentum={momentum}, hidden={hidden}, bins={bins}, window={window}, "
            f"tries={tries}, seed={seed}."
        )
    made = make_policy(policy, hidden, seed)
    return Learner(space, made, Categories(bins), Adam(step), Rewards(momentum), Feasibility(window), tries)
