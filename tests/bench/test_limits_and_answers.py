"""Limits that leave searches without an answer: said, ranked as the worst, or refused where nothing keeps them."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archsmith.bench import Comparison, Entry, Problem, Trajectory, compare, nasbench201_problem, save, table_problem
from archsmith.bench.charts import anytime
from archsmith.bench.hypervolume import shares
from archsmith.errors import UsageError
from archsmith.tables import nasbench201
from archsmith.trial import maximize, minimize, tradeoff

TRIALS = nasbench201_problem(trials=5)


def ended(problem: Problem, answers: list[int]) -> tuple[Trajectory, ...]:
    """Return searches of one evaluation each with these answers, -1 for none."""
    one = np.ones(1)
    return tuple(
        Trajectory(seed, np.array([max(a, 0)]), np.array([1]), one, np.array([[0.0]]), one * (a < 0), a, 0, 0.0)
        for seed, a in enumerate(answers)
    )


def played(answers: dict[str, list[int]]) -> Comparison:
    seeds = tuple(range(len(next(iter(answers.values())))))
    found = {label: ended(TRIALS, rows) for label, rows in answers.items()}
    return Comparison(TRIALS, seeds, found, {label: Entry(label) for label in found})


def test_no_answer_is_counted_and_is_the_worst_of_all() -> None:
    order = np.argsort(nasbench201().final("test_cifar10")).tolist()
    # Where both have an answer "careful" is a little worse; "random" has none on most seeds.
    few = [*order[-4:], *[-1] * 8]
    comparison = played({"random": few, "careful": order[-30:-18]})
    careful, rand = comparison.lines()
    assert (careful.label, careful.answered, rand.answered) == ("careful", 12, 4)
    assert careful.mean < rand.mean and careful.rank < rand.rank
    assert careful.p_random is not None and careful.p_random < 0.05
    everywhere = played({"random": order[-12:], "careful": order[-30:-18]})
    assert [line.label for line in everywhere.lines()] == ["random", "careful"]


def test_a_strategy_without_any_answer_comes_last_and_is_saved_as_json(tmp_path: Path) -> None:
    comparison = played({"evolution": [-1, -1], "random": [3, 4]})
    assert [(line.label, line.answered) for line in comparison.lines()] == [("random", 2), ("evolution", 0)]
    assert math.isnan(comparison.lines()[1].mean)
    save(comparison, tmp_path)
    text = (tmp_path / "summary.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["strategies"][1]["mean"] is None


def test_limits_that_nothing_keeps_are_refused_with_the_smallest_there_is(mine: Path) -> None:
    smallest = nasbench201().final("pixel3_latency").min()
    with pytest.raises(UsageError, match=f"smallest pixel3_latency is {smallest:g}"):
        nasbench201_problem(trials=5, limits={"pixel3_latency": 0.0001})
    for bound in (math.nan, math.inf, -math.inf):
        with pytest.raises(UsageError, match="finite number"):
            nasbench201_problem(trials=5, limits={"params": bound})
    # The lowest latency is that of a=0 and b=0, the lowest "loss" that of a=3 and b=3.
    text = mine.read_text(encoding="utf-8").replace("seconds", "loss")
    rows = [line.split(",") for line in text.splitlines()]
    rows[1:] = [[*row[:-1], str(10 - float(row[5]))] for row in rows[1:]]
    mine.write_text("\n".join(map(",".join, rows)), encoding="utf-8")
    with pytest.raises(UsageError, match="all of the limits latency_ms=1, loss=2, though some rows keep each"):
        table_problem(mine, trials=5, fidelity=["epochs"], limits={"latency_ms": 1, "loss": 2})


def test_an_objective_counts_once() -> None:
    with pytest.raises(UsageError, match="'accuracy' is there twice"):
        nasbench201_problem(trials=5, objectives=(maximize("accuracy"), maximize("accuracy")))


def test_drawing_several_objectives_looks_at_the_steps_that_are_drawn_only(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = nasbench201_problem(trials=400, objectives=(minimize("macs"), minimize("params")))
    comparison = compare(problem, [Entry("random")], [0])
    looked_at = []

    def counted(losses: np.ndarray, reference: np.ndarray) -> float:
        looked_at.append(len(losses))
        return 1.0

    # By its path the function of this name would be found.
    monkeypatch.setattr(sys.modules["archsmith.bench.hypervolume"], "hypervolume", counted)
    _, values = anytime(comparison, "random", steps=20)
    assert np.isfinite(values).all()
    assert len(looked_at) <= 21


def test_what_is_traded_against_a_cost_is_judged_as_it_was_traded(mine: Path) -> None:
    reward = tradeoff("accuracy", "latency_ms", target=4.0)
    problem = nasbench201_problem(trials=20, objectives=(tradeoff("accuracy", "edgegpu_latency", target=3.0),))
    comparison = compare(problem, [Entry("random"), Entry("evolution")], range(3))
    accuracy, cost = (problem.table.final(name) for name in ("test_cifar10", "edgegpu_latency"))
    worth = accuracy * (cost / 3.0) ** -0.07
    assert comparison.optimum() == pytest.approx(worth.max())
    rows = [t.answer for t in comparison.trajectories["random"]]
    assert comparison.worth("random") == pytest.approx(worth[rows])
    assert {line.answered for line in comparison.lines()} == {3}
    assert comparison.judge == "test_cifar10 against edgegpu_latency"
    text = mine.read_text(encoding="utf-8").replace("latency_ms", "frames")
    mine.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"'frames' .* is not above 0 in every row"):
        table_problem(mine, (replace(reward, cost="frames"),), trials=5, fidelity=["epochs"])


def test_an_answer_that_breaks_a_limit_when_judged_is_none() -> None:
    problem = nasbench201_problem(trials=5, limits={"params": 300_000})
    params = problem.table.final("params")
    small, large = int(params.argmin()), int(params.argmax())
    comparison = Comparison(problem, (0, 1), {"random": ended(problem, [small, large])}, {"random": Entry("random")})
    worth = comparison.worth("random")
    assert math.isfinite(worth[0]) and math.isnan(worth[1])
    assert comparison.lines()[0].answered == 1
    _, values = anytime(comparison, "random", 1)
    assert np.isfinite(values[:, -1]).tolist() == [True, False]


def test_what_breaks_a_limit_when_judged_adds_nothing_to_the_hypervolume() -> None:
    goals = (maximize("accuracy"), minimize("edgegpu_latency"))
    problem = nasbench201_problem(trials=5, objectives=goals, limits={"params": 300_000})
    table = problem.table
    best = int(np.where(problem.allowed(), table.final("test_cifar10"), 0).argmax())
    over = int(np.where(problem.allowed(), 0, table.final("test_cifar10")).argmax())
    losses, none = np.array([[0.2, 0.2], [0.1, 0.1]]), np.zeros(2)
    both = Trajectory(0, np.array([best, over]), np.ones(2), np.arange(2.0), losses, none, -1, 0, 0.0)
    assert shares(problem, both)[-1] == 0.0, "as measured, what breaks the limit dominates"
    one = replace(both, losses=both.losses[::-1])
    assert 0 < shares(problem, one)[-1] <= 1


def test_the_hypervolume_is_that_within_the_limits() -> None:
    goals = (maximize("accuracy"), minimize("edgegpu_latency"))
    tight = nasbench201_problem(trials=40, objectives=goals, limits={"params": 80_000})
    comparison = compare(tight, [Entry("random"), Entry("nsga2")], range(2))
    assert all(0 < line.mean <= 1 for line in comparison.lines())
    params = tight.table.final("params")
    alone = replace(tight, limits={"edgegpu_latency": float(tight.table.final("edgegpu_latency").min())})
    assert alone.allowed().sum() < len(params)
    with pytest.raises(UsageError, match="differ too little in the objectives for a hypervolume"):
        compare(alone, [Entry("random")], range(2))
