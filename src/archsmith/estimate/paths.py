"""Path samplers: which sub-networks of a bank one training step is taken on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from archsmith.estimate.extremes import narrowest, widest
from archsmith.space import Answer, Arch, Decision, Space, mutate, sample, valid, walk

__all__ = ["Sampler", "Score", "attentive", "fair", "phases", "sandwich", "shrinking", "uniform"]

Sampler = Callable[[Space, np.random.Generator, float], Sequence[Arch]]
"""From a space and a generator to the architectures of one step, whose gradients add up.

The third argument is how much of the training has passed, from 0 to 1, for what happens in phases.
"""

Score = Callable[[Arch, np.random.Generator], float]
"""How good an architecture is on the bank as it is now; larger is better. It may look at a drawn part of the data."""


def uniform(space: Space, rng: np.random.Generator, progress: float = 0.0) -> Sequence[Arch]:
    """Return one architecture, every decision drawn evenly (SPOS, Guo et al., 2020)."""
    return [sample(space, rng)]


def fair(space: Space, rng: np.random.Generator, progress: float = 0.0) -> Sequence[Arch]:
    """Return as many architectures as the largest choice has options, each option in equally many (FairNAS, Chu, 2021).

    Every choice runs through its options in a random order, a smaller one again and again, so that of two options none
    is ahead by more than one. Decisions below an option are asked only where it is taken, and are fair among those.
    Constraints of the space are not looked at; ranges are drawn evenly.
    """
    count = max((len(d.options) for d in space.decisions.values() if d.kind == "choice"), default=1)
    orders: dict[str, list[Answer]] = {}

    def decide(decision: Decision) -> Answer:
        if decision.kind != "choice":
            return decision.sample(rng)
        order = orders.setdefault(decision.key, [])
        if not order:
            order += [decision.options[i] for i in rng.permutation(len(decision.options))]
        return order.pop()

    return [walk(space, decide) for _ in range(count)]


def sandwich(space: Space, rng: np.random.Generator, progress: float = 0.0, between: int = 2) -> Sequence[Arch]:
    """Return the widest architecture, ``between`` random ones and a narrowest (BigNAS, Yu et al., 2020).

    The widest comes first: it is the teacher where a bank is trained by distillation. It has the largest numbers, and
    of modules those with the most parameters; the narrowest has the smallest numbers, and modules that are drawn.
    """
    return [widest(space), *(sample(space, rng) for _ in range(between)), narrowest(space, rng)]


def attentive(score: Score, candidates: int = 3, best: bool = True, between: int = 2) -> Sampler:
    """Return a sandwich whose random architectures are the best, or worst, of several (AttentiveNAS, Wang, 2021).

    Each is the one of ``candidates`` architectures that ``score`` puts first, or with ``best`` false last: the front of
    accuracy and cost is pushed up from where it is, or from where it lags most. For that the candidates have to cost
    about the same, which is too slow to be measured for each step: they are a random one and mutations of it in a
    quarter of its decisions. (The authors draw a number of multiply-adds, and candidates that have it.)
    """

    def draw(space: Space, rng: np.random.Generator, progress: float) -> Sequence[Arch]:
        def one() -> Arch:
            first = sample(space, rng)
            changes = max(1, len(first) // 4)
            drawn = [first, *(mutate(space, first, rng, changes) for _ in range(candidates - 1))]
            scores = [score(arch, rng) for arch in drawn]
            return drawn[int(np.argmax(scores) if best else np.argmin(scores))]

        return [widest(space), *(one() for _ in range(between)), narrowest(space, rng)]

    return draw


def shrinking(open_decisions: Callable[[str], bool], paths: int = 1, teacher: bool = False) -> Sampler:
    """Return a sampler for one phase of progressive shrinking (Once-for-All, Cai et al., 2020).

    Decisions whose key ``open_decisions`` accepts are drawn evenly; the others are those of the widest architecture.
    With ``teacher`` that one comes first in every step, to teach the others. ``phases`` is all of it in one training.
    """

    def draw(space: Space, rng: np.random.Generator, progress: float = 0.0) -> Sequence[Arch]:
        most = widest(space)

        def decide(decision: Decision) -> Answer:
            if open_decisions(decision.key) or decision.key not in most:
                return decision.sample(rng)
            return most[decision.key]

        drawn = [arch for arch in (walk(space, decide) for _ in range(paths)) if valid(space, arch)]
        return list(dict.fromkeys([most, *drawn])) if teacher else drawn or [most]

    return draw


def phases(*opening: Callable[[str], bool], paths: int = 1, teacher: bool = False) -> Sampler:
    """Return progressive shrinking as one sampler: as time passes more decisions are open, until all are.

    ``opening`` says what each phase opens beside what is open already, such as kernels, then depths. There is one phase
    more than that, with everything open; all are of equal length.
    """

    def draw(space: Space, rng: np.random.Generator, progress: float = 0.0) -> Sequence[Arch]:
        phase = int(progress * (len(opening) + 1))

        def is_open(key: str) -> bool:
            return phase >= len(opening) or any(opens(key) for opens in opening[: phase + 1])

        return shrinking(is_open, paths, teacher)(space, rng, progress)

    return draw
