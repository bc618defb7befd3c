"""Rank correlations equal the textbook's, and pair only what belongs together."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from archsmith.report.ranks import fidelity_pairs, kendall, spearman
from archsmith.report.record import RunRecord
from archsmith.space import Arch
from archsmith.trial import Evaluate, Trial

PAIRS = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=25)


@settings(deadline=None, max_examples=60)
@given(PAIRS)
def test_rank_correlations_are_those_of_scipy_with_ties(pairs: list[tuple[int, int]]) -> None:
    x, y = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=20, unique=True))
def test_any_growing_function_keeps_the_order(x: list[float]) -> None:
    ranks = [float(sorted(x).index(v)) for v in x]
    assert spearman(x, ranks) == pytest.approx(1.0) and kendall(x, ranks) == pytest.approx(1.0)
    assert spearman(x, [-v for v in ranks]) == pytest.approx(-1.0)


@pytest.mark.parametrize("correlation", [spearman, kendall])
def test_without_an_order_there_is_no_correlation(correlation: Any) -> None:
    assert math.isnan(correlation([], []))
    assert math.isnan(correlation([1.0], [2.0]))
    assert math.isnan(correlation([1.0, 1.0], [1.0, 2.0]))


def trial(number: int, width: int, accuracy: float, epochs: float | None, state: Any = "complete") -> Trial:
    fidelity = {} if epochs is None else {"epochs": epochs}
    return Trial(number, Evaluate(Arch({"width": width}), fidelity), state, {"accuracy": accuracy}, (-accuracy,))


def test_pairs_are_the_lowest_against_the_highest_fidelity_of_an_architecture() -> None:
    trials = (trial(0, 1, 0.5, 1), trial(1, 2, 0.6, 1), trial(2, 1, 0.7, 3), trial(3, 1, 0.8, 9), trial(4, 3, 0.4, 9),
              trial(5, 2, 0.9, 9, "failed"))  # fmt: skip
    pairs = fidelity_pairs(RunRecord(Path(), {}, trials))
    assert [(p.trial, p.cheap, p.full, p.kind) for p in pairs] == [(0, 0.5, 0.8, "search")]


def test_no_fidelity_is_the_full_cost() -> None:
    pairs = fidelity_pairs(RunRecord(Path(), {}, (trial(0, 1, 0.5, 9), trial(1, 1, 0.8, None))))
    assert [(p.cheap, p.full) for p in pairs] == [(0.5, 0.8)]


def test_finalists_pair_their_search_score_with_their_trainings() -> None:
    result = {"finalists": [{"trial": 0, "mean": 0.91}, {"trial": 7, "mean": 0.9}, {"trial": None, "mean": 0.9}]}
    pairs = fidelity_pairs(RunRecord(Path(), result, (trial(0, 1, 0.5, 9),)))
    assert [(p.trial, p.cheap, p.full, p.kind) for p in pairs] == [(0, 0.5, 0.91, "finalist")]
