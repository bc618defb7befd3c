"""No architecture twice: draw again what was tried, a bounded number of times."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from functools import lru_cache

import numpy as np

from archsmith.space import Arch, Space, count, enumerate_archs, sample, valid

__all__ = ["LISTABLE", "TRIES", "distinct", "untried"]

LISTABLE = 4096
TRIES = 100


def untried(
    space: Space,
    rng: np.random.Generator,
    taken: Sequence[Container[Arch]],
    draw: Callable[[], Arch] | None = None,
    tries: int = TRIES,
) -> Arch | None:
    """Return the first architecture that ``draw`` gives, random without it, and that no part of ``taken`` contains.

    ``draw`` may give what a constraint of the space refuses: that is drawn again, too. After ``tries`` draws in vain, a
    space of at most 4,096 architectures is listed and one of the rest is drawn uniformly; in a larger one random
    architectures are tried as often again. None when that found nothing.
    """

    def is_taken(arch: Arch) -> bool:
        return any(arch in part for part in taken)

    for propose in (draw, None) if draw is not None else (None,):
        for _ in range(tries):
            arch = sample(space, rng) if propose is None else propose()
            if not is_taken(arch) and (propose is None or valid(space, arch)):
                return arch
        if _most(space) <= LISTABLE:
            rest = [arch for arch in enumerate_archs(space) if not is_taken(arch)]
            return rest[int(rng.integers(len(rest)))] if rest else None
    return None


def distinct(
    n: int,
    space: Space,
    rng: np.random.Generator,
    taken: Sequence[Container[Arch]],
    draw: Callable[[], Arch] | None = None,
    tries: int = TRIES,
) -> list[Arch]:
    """Return up to ``n`` architectures that are not taken and differ from each other; fewer when no more are found."""
    found: dict[Arch, None] = {}
    for _ in range(n):
        arch = untried(space, rng, (*taken, found), draw, tries)
        if arch is None:
            break
        found[arch] = None
    return list(found)


@lru_cache(maxsize=16)
def _most(space: Space) -> float:
    """Return an upper bound on the number of architectures, quickly: constraints are left out."""
    if space.defined_by_run:
        return math.prod(decision.size for decision in space.decisions.values())
    return count(Space(**space.roots)) if space.valid else count(space)
