"""What comes before what: order, front and leaders, for any outcomes."""

import math

from hypothesis import given
from hypothesis import strategies as st

from archsmith.space import Arch
from archsmith.trial import (
    Evaluate,
    Trial,
    dominates,
    front,
    known_violation,
    leaders,
    maximize,
    minimize,
    order,
    score,
)

LOSSES = st.one_of(st.integers(-3, 3).map(float), st.just(math.inf))
ENDINGS = st.tuples(
    st.sampled_from(["complete", "cached", "infeasible", "failed", "stopped", "running"]),
    st.sampled_from([0.0, 0.0, 0.0, 0.5, math.inf]),
)


@st.composite
def outcomes(draw: st.DrawFn) -> list[Trial]:
    width = draw(st.integers(1, 3))
    rows = draw(st.lists(st.tuples(ENDINGS, st.tuples(*[LOSSES] * width)), max_size=25))
    numbers = draw(st.permutations(range(len(rows))))
    return [
        Trial(n, Evaluate(Arch({})), state, losses=losses, violation=violation)
        for n, ((state, violation), losses) in zip(numbers, rows, strict=True)
    ]


@given(outcomes())
def test_order_keeps_every_trial_and_puts_the_usable_first(trials: list[Trial]) -> None:
    ranked = order(trials)
    assert sorted(t.number for t in ranked) == sorted(t.number for t in trials)
    kinds = [0 if t.usable else 1 if t.broken else 2 for t in ranked]
    assert kinds == sorted(kinds)
    violations = [t.violation for t in ranked if t.broken]
    assert violations == sorted(violations)


@given(outcomes())
def test_order_never_puts_the_dominated_before_the_dominating(trials: list[Trial]) -> None:
    usable = [t for t in order(trials) if t.usable]
    for place, trial in enumerate(usable):
        assert not any(dominates(later.losses, trial.losses) for later in usable[place + 1 :])


@given(outcomes(), st.randoms(use_true_random=False))
def test_order_does_not_depend_on_how_trials_arrive(trials: list[Trial], shuffler: object) -> None:
    shuffled = list(trials)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert order(shuffled) == order(trials)


@given(outcomes())
def test_the_front_is_what_nothing_dominates(trials: list[Trial]) -> None:
    usable = [t for t in trials if t.usable]
    assert front(trials) == [t for t in usable if not any(dominates(o.losses, t.losses) for o in usable)]
    assert not usable or order(trials)[0] in front(trials)


def test_extremes_come_before_the_crowd() -> None:
    points = [(0.0, 4.0), (1.0, 3.0), (1.1, 2.9), (1.2, 2.8), (4.0, 0.0), (5.0, 5.0)]
    trials = [Trial(i, Evaluate(Arch({})), "complete", losses=p) for i, p in enumerate(points)]
    ranked = [t.number for t in order(trials)]
    assert set(ranked[:2]) == {0, 4} and ranked[-1] == 5
    assert ranked[2] == 3, "of the rest the one with the widest neighbourhood"


def test_leaders_are_at_the_highest_fidelity() -> None:
    spent: list[dict[str, float]] = [
        {"epochs": 9, "share": 0.5},
        {"epochs": 3, "share": 1.0},
        {"epochs": 9, "share": 1.0},
    ]
    trials = [Trial(i, Evaluate(Arch({}), f), "complete", losses=(0.0,)) for i, f in enumerate(spent)]
    assert [t.number for t in leaders(trials)] == [2]
    full = Trial(9, Evaluate(Arch({})), "complete", losses=(5.0,))
    assert leaders([*trials, full]) == [full], "no fidelity named is the full cost"
    assert leaders([]) == []


def test_scores_settle_direction_and_limits() -> None:
    objectives = [maximize("accuracy"), minimize("params")]
    assert score({"accuracy": 0.9, "params": 10.0}, objectives, {}) == ((-0.9, 10.0), 0.0)
    assert score({"accuracy": math.nan}, objectives, {}) == ((math.inf, math.inf), 0.0)
    metrics = {"accuracy": 0.9, "params": 15.0}
    assert score(metrics, objectives, {"params": 10.0, "accuracy": 1.0})[1] == 0.5
    assert score(metrics, objectives, {"latency_ms": 1.0})[1] == math.inf
    assert known_violation(metrics, {"latency_ms": 1.0, "params": 10.0}) == 0.5
    assert known_violation({"params": math.nan}, {"params": 10.0}) == math.inf


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.floats(), max_size=2))
def test_what_is_not_a_number_never_wins(metrics: dict[str, float]) -> None:
    losses, violation = score(metrics, [maximize("a"), minimize("a")], {"b": 1.0})
    assert not any(math.isnan(v) for v in losses) and not math.isnan(violation)
    for value in (math.nan, math.inf, -math.inf):
        assert maximize("a").loss({"a": value}) == minimize("a").loss({"a": value}) == math.inf
