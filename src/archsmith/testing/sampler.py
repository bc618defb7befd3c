"""The laws of path samplers, as functions of what makes a new one, and a space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from archsmith.estimate.paths import Sampler
from archsmith.space import Space, check

__all__ = [
    "SAMPLER_LAWS",
    "SamplerLaw",
    "drawn_are_architectures_of_the_space",
    "equal_generators_draw_equal_paths",
    "in_the_end_every_option_is_drawn",
]

SamplerLaw = Callable[[Callable[[], Sampler], Space], None]


def drawn_are_architectures_of_the_space(make: Callable[[], Sampler], space: Space) -> None:
    """Every step has at least one path, and every path is an architecture of the space, early and late."""
    sampler, rng = make(), np.random.default_rng(0)
    for progress in np.linspace(0.0, 1.0, 12):
        archs = sampler(space, rng, float(progress))
        assert archs
        for arch in archs:
            check(space, arch)


def equal_generators_draw_equal_paths(make: Callable[[], Sampler], space: Space) -> None:
    """All randomness is the generator's, so that every process of a training takes the same paths."""
    runs = []
    for _ in range(2):
        sampler, rng = make(), np.random.default_rng(7)
        runs.append([list(sampler(space, rng, step / 6)) for step in range(6)])
    assert runs[0] == runs[1]


def in_the_end_every_option_is_drawn(make: Callable[[], Sampler], space: Space) -> None:
    """Whatever is closed at first: at the end every option of every choice is trained now and then."""
    sampler, rng = make(), np.random.default_rng(0)
    drawn = [arch for _ in range(150) for arch in sampler(space, rng, 0.99)]
    for key, decision in space.decisions.items():
        if decision.kind == "choice":
            assert {repr(arch[key]) for arch in drawn if key in arch} == set(map(repr, decision.options)), key


SAMPLER_LAWS: Sequence[SamplerLaw] = (
    drawn_are_architectures_of_the_space,
    equal_generators_draw_equal_paths,
    in_the_end_every_option_is_drawn,
)
