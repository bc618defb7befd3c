"""A training by the clock uses fewer threads while that is faster, and all of them again when it is not."""

from collections.abc import Iterator

import pytest
import torch

from archsmith.estimate import pacing
from archsmith.estimate.pacing import Pacing

QUIET = {2: 0.05, 1: 0.09}
BUSY = {2: 0.80, 1: 0.11}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that the test moves, and threads that only say their number."""
    now, threads = [0.0], [2]
    monkeypatch.setattr(pacing.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: threads.__setitem__(0, n))
    yield now


def spend(watched: Pacing, clock: list[float], costs: dict[int, float], seconds: float) -> dict[int, float]:
    """Step for so long, and return how much of it was spent with each number of threads."""
    spent, end = {1: 0.0, 2: 0.0}, clock[0] + seconds
    while clock[0] < end:
        cost = costs[watched.threads]
        spent[watched.threads] += cost
        clock[0] += cost
        watched.step(cost)
    return spent


def test_on_a_quiet_machine_all_threads_are_used(clock: list[float]) -> None:
    assert spend(Pacing(2), clock, QUIET, 60.0)[1] < 0.01 * 60.0


def test_on_a_busy_machine_it_steps_aside(clock: list[float]) -> None:
    watched = Pacing(2)
    spend(watched, clock, BUSY, 10.0)
    assert spend(watched, clock, BUSY, 300.0)[2] < 0.05 * 300.0


@pytest.mark.parametrize(("costs", "threads"), [(QUIET, 2), (BUSY, 1)])
def test_it_begins_with_what_is_faster_then(costs: dict[int, float], threads: int) -> None:
    watched = Pacing(2)
    assert watched.choose(lambda: costs[watched.threads]) == min(costs.values())
    assert watched.threads == threads


def test_it_notices_both_changes(clock: list[float]) -> None:
    watched = Pacing(2)
    spend(watched, clock, QUIET, 30.0)
    spend(watched, clock, BUSY, 20.0)
    assert watched.threads == 1
    spend(watched, clock, QUIET, 70.0)
    assert watched.threads == 2


def test_one_thread_stays_one(clock: list[float]) -> None:
    watched = Pacing(1)
    for _ in range(100):
        watched.step(1.0)
    assert watched.threads == 1
