"""Path samplers: which sub-networks of a bank one training step is taken on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from archsmith.space import Answer, Arch, Decision, Space, largest, sample, smallest, valid, walk

__all__ = ["Sampler", "fair", "sandwich", "shrinking", "uniform"]

Sampler = Callable[[Space, np.random.Generator], Sequence[Arch]]
"""From a space and a generator to the architectures of one step, whose losses are averaged."""


def uniform(space: Space, rng: np.random.Generator) -> Sequence[Arch]:
    """Return one architecture, every decision drawn evenly (SPOS, Guo et al., 2020)."""
    return [sample(space, rng)]


def fair(space: Space, rng: np.random.Generator) -> Sequence[Arch]:
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


def sandwich(space: Space, rng: np.random.Generator, between: int = 2) -> Sequence[Arch]:
    """Return the largest architecture, ``between`` random ones and the smallest (BigNAS, Yu et al., 2020).

    The largest comes first: it is the teacher where a bank is trained by distillation. An extreme that breaks a
    constraint is left out.
    """
    ends = [arch for arch in (largest(space), smallest(space)) if valid(space, arch)]
    return [*ends[:1], *(sample(space, rng) for _ in range(between)), *ends[1:]]


def shrinking(open_decisions: Callable[[str], bool], paths: int = 1) -> Sampler:
    """Return a sampler for one phase of progressive shrinking (Once-for-All, Cai et al., 2020).

    Decisions whose key ``open_decisions`` accepts are drawn evenly; the others take their largest number, or their
    first option. Train a bank phase by phase, with more decisions open in each: kernels, then depths, then widths.
    """

    def draw(space: Space, rng: np.random.Generator) -> Sequence[Arch]:
        most = largest(space)

        def decide(decision: Decision) -> Answer:
            if open_decisions(decision.key) or decision.key not in most:
                return decision.sample(rng)
            return most[decision.key]

        return [walk(space, decide) for _ in range(paths)]

    return draw
