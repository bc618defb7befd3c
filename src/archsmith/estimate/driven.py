"""Paths that a strategy proposes: it is asked for the networks to train, and told how they do on the shared weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from archsmith.estimate.paths import Score
from archsmith.space import Arch, Space, sample
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["Asks", "Driven"]


class Asks(Protocol):
    """What is needed of a strategy; ``archsmith.strategy.Strategy`` says which laws it keeps."""

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` proposals."""
        ...

    def tell(self, trial: Trial) -> None:
        """Take note of a trial that has ended."""
        ...


class Driven:
    """A sampler that draws from a strategy, and teaches it by the score of what was drawn (ENAS, Pham et al., 2018).

    With a policy that learns by REINFORCE this is ENAS; any other strategy drives the paths in the same way. Every
    ``every`` steps the architecture that was drawn is scored on the bank and told. Where the strategy has nothing to
    propose, a random architecture is trained. ``log`` is what it was told, from which ``replay`` makes it again: an
    interrupted training goes on exactly.
    """

    def __init__(self, strategy: Asks, score: Score, every: int = 1) -> None:
        self.strategy, self.score, self.every = strategy, score, every
        self.calls = 0
        self.log: list[tuple[Arch, float]] = []

    def __call__(self, space: Space, rng: np.random.Generator, progress: float = 0.0) -> Sequence[Arch]:
        """Return the architecture of one step."""
        asked = self.strategy.ask(1, rng, ())
        arch = asked[0].arch if asked else sample(space, rng)
        if self.calls % self.every == 0:
            self._tell(arch, self.score(arch, rng))
        self.calls += 1
        return [arch]

    def to_json(self) -> dict[str, Any]:
        """Return what it was told, as JSON-ready data."""
        return {"calls": self.calls, "log": [[arch.to_json(), score] for arch, score in self.log]}

    def replay(self, data: dict[str, Any]) -> None:
        """Become what wrote this data; the strategy begins anew and is told everything again."""
        if len(data["log"]) > len(self.log):
            self.strategy, self.log = dataclasses.replace(self.strategy), []  # type: ignore[type-var]
            for arch, score in data["log"]:
                self._tell(Arch.from_json(arch), score)
            self.calls = data["calls"]

    def _tell(self, arch: Arch, score: float) -> None:
        self.strategy.tell(Trial(len(self.log), Evaluate(arch), "complete", {"score": score}, (-score,)))
        self.log.append((arch, score))
