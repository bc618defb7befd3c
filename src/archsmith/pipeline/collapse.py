"""Whether a search has collapsed: onto options without weights, or onto gates that never decided."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from archsmith.build.module import build_with_paths
from archsmith.build.relax import Gates, Member, Mixed, opened, relaxable
from archsmith.build.relaxations import softmax
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, sample

__all__ = ["free_options", "usual_free_options"]


def free_options(space: Space, arch: Arch) -> tuple[int, int]:
    """Return how many of the modules that were chosen have no weights (skips, pools, nothing), and of how many.

    Every use counts. Differentiable searches collapse onto such options, because they are the first to work (Zela et
    al., 2020). There are none to count in a space that does not choose between modules.
    """
    return _counted(space, [arch])[0]


def usual_free_options(space: Space, rng: np.random.Generator, draws: int = 16) -> float:
    """Return the share of modules without weights in random architectures, for comparison; NaN where there are none."""
    counts = _counted(space, [sample(space, rng) for _ in range(draws)])
    shares = [free / of for free, of in counts if of]
    return statistics.fmean(shares) if shares else float("nan")


def _counted(space: Space, archs: Sequence[Arch]) -> list[tuple[int, int]]:
    """Count for each architecture, with one network of all options for those that differ in nothing else."""
    try:
        gates = Gates(relaxable(space).values(), softmax)
    except SpaceError:  # define-by-run
        return [(0, 0)] * len(archs)
    others = Space(model=space.roots["model"]).decisions.keys() - gates.decisions.keys()
    networks: dict[Arch, nn.Module] = {}
    counts = []
    for arch in archs:
        rest = Arch({key: answer for key, answer in arch.items() if key in others})
        try:
            if rest not in networks:
                everything, mixed = opened(space, gates, arch)
                with torch.device("meta"):
                    networks[rest], _ = build_with_paths(space, everything, None, mixed)
        except SpaceError:  # parts that no network has side by side
            counts.append((0, 0))
            continue
        chosen = list(_chosen(networks[rest], arch))
        counts.append((sum(not any(True for _ in module.parameters()) for module in chosen), len(chosen)))
    return counts


def _chosen(module: nn.Module, arch: Arch) -> Iterator[nn.Module]:
    """Yield the option that each choice takes, and those inside it."""
    if isinstance(module, Mixed):
        labels = list(module.gates.decisions[module.key].options)
        taken = module.options[labels.index(arch[module.key])]
        yield taken
        yield from _chosen(taken, arch)
        return
    if isinstance(module, Member):
        labels = list(module.gates.decisions[module.key].options)
        if labels.index(arch[module.key]) not in module.places:
            return
    for child in module.children():
        yield from _chosen(child, arch)
