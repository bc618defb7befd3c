"""Hypervolume is the volume that a front dominates, and the exact front is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.bench import (
    Entry,
    exact_front,
    hypervolume,
    nasbench201_problem,
    nondominated,
    play,
    reference_point,
    shares,
    shares_after,
)
from archsmith.trial import dominates, maximize, minimize

POINTS = st.integers(1, 4).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 6), min_size=k, max_size=k), min_size=1, max_size=9)
)


@settings(max_examples=100, deadline=None)
@given(POINTS)
def test_it_is_the_number_of_unit_cubes_dominated(points: list[list[int]]) -> None:
    losses = np.array(points, dtype=float)
    corner = np.full(losses.shape[1], 6.0)
    cubes = np.stack(np.meshgrid(*[np.arange(6)] * losses.shape[1]), axis=-1).reshape(-1, losses.shape[1])
    dominated = (losses[None] <= cubes[:, None]).all(-1).any(1).sum()
    assert hypervolume(losses, corner) == pytest.approx(float(dominated))


@settings(max_examples=100, deadline=None)
@given(POINTS)
def test_the_front_is_what_no_other_dominates(points: list[list[int]]) -> None:
    kept = nondominated(np.array(points, dtype=float))
    assert kept.tolist() == [not any(dominates(q, p) for q in points) for p in points]


PROBLEM = nasbench201_problem(trials=60, objectives=(maximize("accuracy"), minimize("fpga_latency")))


def test_the_exact_front_of_the_table_holds_the_best_cell_and_the_cheapest() -> None:
    front = exact_front(PROBLEM)
    truth = PROBLEM.truth()
    assert front[:, 0].min() == -truth[:, 0].max()
    assert front[:, 1].min() == truth[:, 1].min()
    assert nondominated(front).all()


def test_what_was_found_is_a_share_that_only_grows_where_measuring_is_exact() -> None:
    problem = nasbench201_problem(
        trials=60, objectives=(minimize("macs"), minimize("fpga_latency")), limits={"params": 1e6}
    )
    grown = shares(problem, play(problem, Entry("random"), 0), 20)
    assert (np.diff(grown) >= 0).all()
    assert 0 < grown[-1] <= 1


def test_a_share_is_the_same_however_few_steps_are_looked_at() -> None:
    trajectory = play(PROBLEM, Entry("random"), 1)
    every = shares(PROBLEM, trajectory, len(trajectory.row))
    some = [1, 1, 7, 30, 60]
    assert shares_after(PROBLEM, trajectory, some) == pytest.approx(every[np.array(some) - 1])
    alone = [shares_after(PROBLEM, trajectory, [n])[0] for n in range(1, 61)]
    assert every == pytest.approx(alone)


def test_a_perfect_search_has_it_all() -> None:
    problem = nasbench201_problem(trials=1, objectives=(minimize("macs"), minimize("fpga_latency")))
    whole = hypervolume(exact_front(problem), reference_point(problem))
    best = play(problem, Entry("random"), 0)
    losses = problem.truth()
    every = type(best)(0, np.arange(len(losses)), best.level, best.ended, losses, np.zeros(len(losses)), 0, 0, 0.0)
    assert whole > 0
    assert shares(problem, every)[-1] == pytest.approx(1.0)
