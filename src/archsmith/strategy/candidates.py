"""What a model is asked about: variations of good architectures, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

import numpy as np

from archsmith.errors import SpaceError
from archsmith.space import Answer, Arch, Decision, Space, always_asked, crossover, sample, valid, walk
from archsmith.space.walk import remembered
from archsmith.strategy.evidence import Evidence
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Proposal, Trial

__all__ = ["Candidates"]

_STEPS = (0.02, 0.1, 0.3)


@dataclass(frozen=True)
class Candidates:
    """Makes architectures of a space to choose from."""

    space: Space
    _plain: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Where every decision is always asked, a changed answer makes an architecture without a walk.
        plain = not self.space.defined_by_run and always_asked(self.space) == set(self.space.decisions)
        object.__setattr__(self, "_plain", plain)

    def pool(
        self,
        parents: Sequence[Arch],
        taken: Sequence[Container[Arch]],
        rng: np.random.Generator,
        size: int,
        fresh: float,
    ) -> list[Arch]:
        """Return up to ``size`` different architectures that no part of ``taken`` contains, a share ``fresh`` random.

        The others are variations. One changes one decision of a parent, two with probability a half, and comes from two
        parents crossed with probability a tenth.
        """
        found: dict[Arch, None] = {}
        for _ in range(size):
            try:
                arch = self._one(parents, rng, fresh)
            except SpaceError:  # a constraint refused a thousand: there is next to nothing to draw
                continue
            if not any(arch in part for part in taken) and (not self.space.valid or valid(self.space, arch)):
                found[arch] = None
        return list(found)

    def proposed(
        self,
        n: int,
        evidence: Evidence,
        initial: int,
        running: Sequence[Trial],
        rng: np.random.Generator,
        pool: tuple[int, float],
        chosen: Callable[[list[Arch]], Sequence[int]],
    ) -> list[Proposal]:
        """Return up to ``n`` architectures that were never tried: random ones until ``initial`` results are there.

        Then ``chosen`` names the places of the best few in a pool around the ten best, of the size and the share of
        random ones that ``pool`` says.
        """
        taken = (evidence.tried, {t.arch for t in running})
        if evidence.measured and evidence.measured + len(running) >= initial:
            archs = self.pool(evidence.best(10), taken, rng, *pool)
            if archs:
                return [Evaluate(archs[i]) for i in chosen(archs)]
        return [Evaluate(arch) for arch in distinct(n, self.space, rng, taken)]

    def vary(self, arch: Arch, rng: np.random.Generator, changes: int = 1) -> Arch:
        """Return the architecture with ``changes`` drawn decisions answered differently.

        As ``mutate``, except that a range takes a step, mostly a small one, and that nothing is tried again when a
        constraint refuses the result: the caller looks.
        """
        keys = list(arch)
        if not keys:
            return arch
        places = sorted({int(rng.random() * len(keys)) for _ in range(changes)})
        drawn = [keys[place] for place in places]
        if self._plain:
            answers = dict(arch.items())
            for key in drawn:
                answers[key] = _moved(self.space.decisions[key], answers[key], rng)
            return Arch(answers)

        def decide(decision: Decision) -> Answer:
            if decision.key in drawn and decision.key in arch and decision.contains(arch[decision.key]):
                return _moved(decision, arch[decision.key], rng)
            return remembered(decision, arch, rng)

        return walk(self.space, decide)

    def _one(self, parents: Sequence[Arch], rng: np.random.Generator, fresh: float) -> Arch:
        if not parents or rng.random() < fresh:
            if self._plain and not self.space.valid:
                return Arch({key: decision.sample(rng) for key, decision in self.space.decisions.items()})
            return sample(self.space, rng)
        parent = parents[int(rng.random() * len(parents))]
        if len(parents) > 1 and rng.random() < 0.1:
            parent = crossover(self.space, parent, parents[int(rng.random() * len(parents))], rng)
        return self.vary(parent, rng, 1 + int(rng.random() < 0.5))


def _moved(decision: Decision, answer: Answer, rng: np.random.Generator) -> Answer:
    if decision.kind == "choice" and len(decision.options) > 2:
        while (drawn := decision.sample(rng)) == answer and type(drawn) is type(answer):
            pass
        return drawn
    if decision.kind in ("integer", "real"):
        step = _STEPS[int(rng.random() * len(_STEPS))] * float(rng.standard_normal())
        moved = decision.at(min(max(decision.unit(answer) + step, 0.0), 1.0))
        if moved != answer:
            return moved
    return decision.sample_other(rng, answer)
