"""The contract is worth something: each law catches a strategy that breaks it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from archsmith.space import Arch, Space, enumerate_archs, sample
from archsmith.strategy import Abilities
from archsmith.testing import strategy as laws
from archsmith.trial import Evaluate, Proposal, Trial


@dataclass
class Sound:
    """Random, with a memory of the last loss: the smallest strategy that has state."""

    space: Space
    _last: list[float] = field(default_factory=list, init=False, repr=False, compare=False)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        skipped = int(sum(abs(v) for v in self._last if np.isfinite(v)) * 1000) % 5
        rng.random(skipped)
        return [Evaluate(sample(self.space, rng)) for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        self._last[:] = trial.losses


class AsksChange(Sound):
    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        self._last.append(1.001)
        return super().ask(n, rng, running)


@dataclass
class RemembersAsks(Sound):
    """Counts what it proposed, which a replay of the results cannot know."""

    _asks: list[int] = field(default_factory=list, init=False, repr=False, compare=False)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        self._asks.append(n)
        rng.random(len(self._asks))
        return super().ask(n, rng, running)


class OwnGenerator(Sound):
    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        return super().ask(n, np.random.default_rng(), running)


class Unseeded(Sound):
    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        return super().ask(n, np.random.default_rng(0), running)


class TooMany(Sound):
    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        return super().ask(n + 1, rng, running)


class Foreign(Sound):
    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        return [replace(p, arch=Arch({**p.arch, "other": 1})) for p in super().ask(n, rng, running)]


class ResumesAnything(Sound):
    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        return [replace(p, resume=0) for p in super().ask(n, rng, running)]


class OneLoss(Sound):
    def tell(self, trial: Trial) -> None:
        (loss,) = trial.losses
        self._last[:] = [loss]


@dataclass
class ResumesBroken(Sound):
    """Gives more to whatever was measured, within the limit or not."""

    _ended: list[Trial] = field(default_factory=list, init=False, repr=False, compare=False)

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        if n and len(self._ended) % 2:
            return [Evaluate(self._ended[-1].arch, {"epochs": 3.0}, resume=self._ended[-1].number)]
        return super().ask(n, rng, running)

    def tell(self, trial: Trial) -> None:
        self._ended.append(trial)


class FiniteOnly(Sound):
    def tell(self, trial: Trial) -> None:
        self._last[:] = [int(v) for v in trial.losses]


class SeesMetrics(Sound):
    def tell(self, trial: Trial) -> None:
        self._last[:] = [trial.metrics.get("accuracy", 0.0) * 1.001]


class GivesUp(Sound):
    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        return () if self._last and not np.isfinite(self._last[0]) else super().ask(n, rng, running)


@dataclass
class Shared(Sound):
    """Keeps its state in its argument, so that a copy is not fresh."""

    memory: Any = None

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        rng.random(len(self.memory))
        return super().ask(n, rng, running)

    def tell(self, trial: Trial) -> None:
        self.memory.append(trial)


@dataclass
class Rewrites(Sound):
    """Changes an argument while it runs."""

    rate: float = 1.0

    def tell(self, trial: Trial) -> None:
        self.rate *= 0.9


class RecommendsAnything(Sound):
    def recommend(self, trials: Sequence[Trial]) -> Trial | None:
        return trials[0] if trials else None


@dataclass
class ClaimsLess(Sound):
    """Says that it cannot handle ranges, and takes them all the same."""

    abilities: ClassVar[Abilities] = Abilities(ranges=False)


@dataclass
class TriesOneThing(Sound):
    """Proposes the first architecture again and again."""

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        return [Evaluate(next(enumerate_archs(self.space)))] if n else []


BROKEN: dict[str, tuple[laws.MakeStrategy, laws.StrategyLaw]] = {
    "asks_change": (AsksChange, laws.asking_changes_nothing),
    "remembers_asks": (RemembersAsks, laws.replaying_restores),
    "own_generator": (OwnGenerator, laws.randomness_is_handed_in),
    "unseeded": (Unseeded, laws.randomness_is_handed_in),
    "too_many": (TooMany, laws.batches_belong_to_the_space),
    "foreign": (Foreign, laws.proposals_belong_to_the_space),
    "resumes_anything": (ResumesAnything, laws.trouble_is_survived),
    "one_loss": (OneLoss, laws.several_objectives_are_taken),
    "resumes_broken": (ResumesBroken, laws.objectives_and_limits_go_together),
    "finite_only": (FiniteOnly, laws.trouble_is_survived),
    "sees_metrics": (SeesMetrics, laws.only_losses_are_seen),
    "gives_up": (GivesUp, laws.failure_alone_is_survived),
    "shared": (lambda space: Shared(space, memory=[]), laws.replacing_makes_fresh),
    "recommends_anything": (RecommendsAnything, laws.recommendations_are_of_the_trials),
    "claims_less": (ClaimsLess, laws.what_is_not_claimed_is_refused),
    "tries_one_thing": (TriesOneThing, laws.nothing_is_evaluated_twice),
    "rewrites": (Rewrites, laws.constructors_store_their_arguments),
}


@pytest.mark.parametrize("law", laws.STRATEGY_LAWS, ids=lambda law: law.__name__)
def test_a_sound_strategy_breaks_no_law(law: laws.StrategyLaw) -> None:
    law(Sound)


@pytest.mark.parametrize(("make", "law"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_strategy_is_caught(make: laws.MakeStrategy, law: laws.StrategyLaw) -> None:
    with pytest.raises(Exception) as caught:
        law(make)
    assert not isinstance(caught.value, KeyboardInterrupt)


def test_every_law_catches_something() -> None:
    assert {law for _, law in BROKEN.values()} == set(laws.STRATEGY_LAWS)
