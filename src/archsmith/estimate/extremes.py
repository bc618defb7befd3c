"""The two ends of a space as shared weights see them: what contains most others, and what all others contain."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch

from archsmith.build import ExpectedCost, Gates, build, expected_cost, relaxable
from archsmith.build.relaxations import softmax
from archsmith.errors import SpaceError
from archsmith.space import Answer, Arch, Decision, Space, sample, valid, walk
from archsmith.space.cover import ends

__all__ = ["narrowest", "widest"]

_DRAWN = 50  # architectures of which the one with the most parameters is taken, where a constraint forbids the largest


@lru_cache(maxsize=8)
def widest(space: Space) -> Arch:
    """Return the architecture of the largest numbers, and of modules those with the most parameters.

    Modules are not ordered, and the first option of many spaces is one that computes nothing: it could not teach.
    Where a constraint forbids it, it is the one with the most parameters of some random ones.
    """
    heaviest = _heaviest(space)
    arch = walk(space, lambda decision: heaviest.get(decision.key, ends(decision)[1]))
    if valid(space, arch):
        return arch
    rng = np.random.default_rng(0)
    return max((sample(space, rng) for _ in range(_DRAWN)), key=lambda a: _parameters(space, a))


def narrowest(space: Space, rng: np.random.Generator) -> Arch:
    """Return an architecture of the smallest numbers, with any modules; any at all where a constraint forbids it."""

    def decide(decision: Decision) -> Answer:
        least, most = ends(decision)
        return least if least != most else decision.sample(rng)

    arch = walk(space, decide)
    return arch if valid(space, arch) else sample(space, rng)


def _heaviest(space: Space) -> Mapping[str, Answer]:
    """Return for each choice of modules the option with the most parameters; nothing where they cannot be told."""
    try:
        decisions = relaxable(space)
        if not decisions:
            return {}
        every = expected_cost(space, Gates(decisions.values(), softmax), (), "params")
    except SpaceError:  # defined by run, or of lists that nobody adds up
        return {}
    found: defaultdict[str, Counter[int]] = defaultdict(Counter)
    _weigh(every, found)
    return {key: decision.options[found[key].most_common(1)[0][0]] for key, decision in decisions.items()}


def _weigh(cost: ExpectedCost, found: Mapping[str, Counter[int]]) -> int:
    """Return the most that this may cost, and note what each option adds wherever it stands."""
    total = int(cost.own)
    for key, options in cost.choices:
        weights = [_weigh(option, found) for option in options]
        for place, weight in enumerate(weights):
            found[key][place] += weight
        total += max(weights)
    return total


def _parameters(space: Space, arch: Arch) -> int:
    with torch.device("meta"):
        network = build(space, arch)
    return sum(p.numel() for p in network.parameters())
