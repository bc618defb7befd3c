"""What every architecture answers is what every sampled one answers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.space import Space, always_asked, enumerate_archs, sample
from archsmith.testing.spaces import EXAMPLES, spaces


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_it_is_asked_in_every_architecture(space: Space, seed: int) -> None:
    always = always_asked(space)
    rng = np.random.default_rng(seed)
    assert all(always <= set(sample(space, rng)) for _ in range(10))


def test_nothing_that_is_always_asked_is_left_out() -> None:
    for name in ("flat", "tiny", "one", "constrained", "branches"):
        space = EXAMPLES[name]
        common = frozenset(space.decisions).intersection(*enumerate_archs(space))
        assert always_asked(space) == common, name
    assert always_asked(EXAMPLES["define_by_run"]) == {"model/width", "model/depth", "rate"}
