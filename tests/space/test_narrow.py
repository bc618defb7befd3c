"""A narrowed space holds the architectures that answer as was given, and no others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.errors import SpaceError
from archsmith.space import Space, call, check, choice, completed, count, enumerate_archs, narrow, real, sample
from archsmith.testing.spaces import spaces


@settings(max_examples=40, deadline=None)
@given(spaces(), st.integers(0, 2**16))
def test_what_is_completed_answers_as_given_and_belongs_to_the_space(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arch = sample(space, rng)
    kept = {key: arch[key] for key in arch if rng.random() < 0.5}
    narrowed = narrow(space, kept)
    assert kept.keys().isdisjoint(narrowed.decisions)
    for _ in range(3):
        whole = completed(space, sample(narrowed, rng), kept)
        check(space, whole)
        assert all(whole[key] == kept[key] for key in kept if key in whole)
    assert count(narrow(space, dict(arch))) == 1


def test_it_counts_and_lists_what_is_left() -> None:
    width = choice(1, 2, 3, name="width")
    space = Space(
        lambda a: a["width"] < 3,
        model=call(len, choice(width, [width, choice(4, 5, name="more")])),
        lr=real(0.1, 1.0, name="lr"),
    )
    narrowed = narrow(space, {"lr": 0.5})
    assert {frozenset(a.items()) for a in enumerate_archs(narrowed)} == {
        frozenset({("model/0", 0), ("width", w)}) for w in (1, 2)
    } | {frozenset({("model/0", 1), ("width", w), ("more", m)}) for w in (1, 2) for m in (4, 5)}


def test_answers_that_cannot_be_are_refused() -> None:
    space = Space(model=call(len, choice(1, 2, name="width")), lr=real(0.1, 1.0, name="lr"))
    with pytest.raises(SpaceError, match="Did you mean 'width'"):
        narrow(space, {"widht": 1})
    with pytest.raises(SpaceError, match="not allowed"):
        narrow(space, {"lr": 2.0})
