"""Groups of answers cover every decision, each answer in one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.space import Decision
from archsmith.strategy.categories import Split

DECISIONS = [
    Decision("few", "choice", options=(1, 1.0, True, None, "a")),
    Decision("picks", "pick", options=tuple("abcde"), k=2),
    Decision("many_picks", "pick", options=tuple(range(12)), k=5),
    Decision("small", "integer", low=-3, high=3),
    Decision("large", "integer", low=0, high=1000),
    Decision("log", "integer", low=1, high=1000, log=True),
    Decision("real", "real", low=0.5, high=2.0),
    Decision("log_real", "real", low=1e-4, high=1.0, log=True),
]


def test_every_answer_is_in_one_group_that_can_give_it():
    rng = np.random.default_rng(0)
    for decision in DECISIONS:
        split = Split.of(decision)
        assert split.size <= max(16, len(decision.options))
        for group in range(split.size):
            for _ in range(5):
                answer = split.answer(group, rng)
                assert decision.contains(answer)
                assert split.group(answer) == group, (decision.key, group, answer)
        if decision.size < 2000:
            groups = [split.group(answer) for answer in decision.answers()]
            assert sorted(set(groups)) == list(range(split.size))
            assert split.single == (len(groups) == split.size)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 20))
def test_picks_are_numbered_without_gaps(k, more, bins):
    decision = Decision("pick", "pick", options=tuple(range(k + more)), k=k)
    split = Split.of(decision, bins)
    sizes = np.bincount([split.group(answer) for answer in decision.answers()], minlength=split.size)
    assert sizes.max() - sizes.min() <= 1, "groups are equally large"
