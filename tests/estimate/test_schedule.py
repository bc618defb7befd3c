"""The learning rate rises, holds and falls, and its plateau does not know the end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsmith.estimate.schedule import cosine, warm

share = st.floats(0.0, 1.0)


@given(share, share, st.floats(0.05, 1.0))
def test_the_factor_never_rises_and_stays_between_one_and_zero(a: float, b: float, cooldown: float) -> None:
    early, late = sorted((a, b))
    assert 1.0 >= cosine(early, cooldown) >= cosine(late, cooldown) >= 0.0


@given(st.floats(0.05, 1.0))
def test_it_is_one_up_to_the_cool_down_and_zero_at_the_end(cooldown: float) -> None:
    assert cosine(0.0, cooldown) == 1.0
    assert cosine(1.0 - cooldown, cooldown) == 1.0
    assert cosine(1.0 - cooldown / 2, cooldown) == pytest.approx(0.5)
    assert cosine(1.0, cooldown) == pytest.approx(0.0)


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 50), st.floats(0.0, 0.9))
def test_two_plans_agree_before_the_first_cools(total: int, more: int, warmup: int, cooldown: float) -> None:
    for step in range(int(total * (1.0 - cooldown))):
        short = warm(step, warmup) * cosine(step / total, cooldown)
        assert short == warm(step, warmup) * cosine(step / (total + more), cooldown)


@given(st.integers(0, 300))
def test_the_warm_up_is_linear_and_never_starts_at_zero(steps: int) -> None:
    factors = [warm(step, steps) for step in range(steps + 2)]
    assert factors[0] > 0.0 and factors[-2:] == [1.0, 1.0]
    assert all(b - a == pytest.approx(1 / (steps + 1)) for a, b in itertools.pairwise(factors[: steps + 1]))
