"""The wall: what each phase may take, and what is refused."""

from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsmith.errors import BudgetError
from archsmith.estimate import Machine
from archsmith.pipeline import executors
from archsmith.pipeline.clock import MOST_GIVEN, SMALLEST_S, Clock, plan
from archsmith.pipeline.load import Load
from archsmith.pipeline.pause import Pause


@given(st.floats(SMALLEST_S, 1e6), st.integers(0, 3), st.integers(0, 9))
def test_the_shares_are_positive_and_sum_to_the_budget(budget, exports, networks):
    shares = plan(budget, exports, networks).items()
    assert all(v > 0 for v in shares.values())
    assert sum(shares.values()) == pytest.approx(budget)


@given(st.floats(SMALLEST_S, 1e6))
def test_comparisons_get_at_most_a_fifth_and_the_final_training_the_largest_share(budget):
    shares = plan(budget)
    assert shares.compare <= budget / 5
    if budget >= 120:
        assert shares.final == max(shares.items().values())


@given(st.floats(SMALLEST_S, 1e6), st.floats(1.0, 2.0))
def test_on_a_busy_machine_shipping_gets_more_and_the_trainings_pay(budget, factor):
    shares = plan(budget)
    slowed = shares.slowed(factor)
    assert slowed.ship >= shares.ship and slowed.final >= 0.5 * shares.final
    assert sum(slowed.items().values()) == pytest.approx(budget)


@given(st.floats(SMALLEST_S, 1e6), st.floats(0.0, 1e7))
def test_a_final_training_that_does_not_fit_gets_part_of_the_searchs_time(budget, wanted):
    shares = plan(budget)
    longer = shares.lengthened(wanted)
    assert sum(longer.items().values()) == pytest.approx(budget)
    assert shares.final <= longer.final <= max(shares.final, wanted) * (1 + 1e-9)
    assert longer.search >= (1 - MOST_GIVEN) * shares.search * (1 - 1e-9) and longer.compare == shares.compare


def test_a_load_is_between_idle_and_all_cores_taken():
    assert 1.0 <= Load().slowdown(0.01) <= 2.0
    assert Load(busy=0.0, own=0.0).slowdown(1e-3) == 2.0
    assert Load(busy=1e12).slowdown(1.0) == 1.0


@pytest.mark.parametrize("budget", [0.5, 29.9])
def test_a_budget_too_small_names_the_smallest(budget):
    with pytest.raises(BudgetError, match="--budget 30s or more"):
        plan(budget)


def test_the_clock_counts_from_when_the_command_was_called():
    clock = Clock(100.0, started=0.0)
    assert clock.elapsed() > 0
    assert Clock(5.0, started=-1e9).left() == 0.0


def made(monkeypatch, name: str, machine: Machine) -> dict[str, Any]:
    """Return the options with which a search of 1000 s makes the executor of this name."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(executors, name, lambda *positional, **named: given.update(named))
    asked: Any = SimpleNamespace(executor=name.lower(), seed=0)
    unused: Any = None
    executors.make_executor(unused, asked, machine, unused, 1000.0, workers=True, pause=Pause(), note=print)
    return given


def test_a_trial_in_a_worker_has_limits_of_time_memory_and_progress(monkeypatch):
    given = made(monkeypatch, "Processes", Machine())
    assert given["trial_seconds"] == 600 and given["memory_bytes"] >= 1e9
    assert given["stall_seconds"] == executors.STALLED_S > 30, "a training saves its state every 30 seconds"


def test_a_trial_on_a_cluster_asks_for_no_more_memory_than_its_share_of_a_node(monkeypatch):
    given = made(monkeypatch, "Ray", Machine(slots=2))
    assert given["trial_seconds"] == 600
    assert 0 < 2 * given["memory"] <= 0.7 * psutil.virtual_memory().available
    given = made(monkeypatch, "Ray", Machine(device="cuda:0"))
    assert (given["memory"], given["gpus"]) == (None, 1.0)
