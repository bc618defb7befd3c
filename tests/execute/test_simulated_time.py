"""The simulated executor's clock: exact, in order, and free."""

import heapq
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trial_bodies import ended, make_trial

from archsmith.execute import Inline, Reason, Simulated
from archsmith.run import Run
from archsmith.trial import Proposal

COSTS = st.lists(st.integers(0, 20), min_size=1, max_size=30)


def _timed(costs: list[int]) -> Any:
    return lambda proposal, run: ({"score": 1.0}, costs[run.trial])


@settings(deadline=None)
@given(COSTS, st.integers(1, 5))
def test_trials_end_when_a_queue_of_workers_would_end_them(costs: list[int], slots: int) -> None:
    executor = Simulated(_timed(costs), slots)
    for number in range(len(costs)):
        executor.submit(make_trial(number, ""))
    free = [0.0] * slots
    expected = {}
    for number, cost in enumerate(costs):
        begin = heapq.heappop(free)
        expected[number] = begin + cost
        heapq.heappush(free, begin + cost)
    before = 0.0
    seen = {}
    while len(seen) < len(costs):
        events = executor.poll(0.0)
        assert executor.now() >= before and {e.time for e in events} == {executor.now()}
        assert [e.trial for e in events] == sorted(e.trial for e in events)
        before = executor.now()
        seen.update({e.trial: e.time for e in events})
        assert all(e.data["seconds"] == costs[e.trial] for e in events)
    assert seen == expected
    assert list(executor.poll(0.0)) == []


def test_a_month_on_a_thousand_workers_ends_exactly_then() -> None:
    hour, workers, trials = 3600.0, 1000, 3_000

    def evaluate(proposal: Proposal, run: Run) -> Mapping[str, float]:
        return {"score": 1.0, "seconds": 240 * hour}

    executor = Simulated(evaluate, workers)
    for number in range(trials):
        executor.submit(make_trial(number, ""))
    done = 0
    while events := executor.poll(1.0):
        done += len(events)
    assert done == trials and executor.now() == 30 * 24 * hour


def test_the_deadline_cuts_at_its_moment() -> None:
    executor = Simulated(_timed([5, 10, 11, 1]), 3, deadline=10.0)
    for number in range(4):
        executor.submit(make_trial(number, ""))
    events = ended(executor, 4)
    assert [events[n].data["state"] for n in range(4)] == ["complete", "complete", "stopped", "complete"]
    assert Reason.of(events[2].data["reason"]) is Reason.deadline and events[2].data["seconds"] == 10.0
    assert executor.now() == 10.0
    executor.submit(make_trial(0, ""))
    assert Reason.of(ended(executor, 1)[0].data["reason"]) is Reason.deadline


def test_a_trial_that_takes_too_long_ends_at_its_limit() -> None:
    executor = Simulated(_timed([5, 10]), 2, trial_seconds=7.0)
    for number in range(2):
        executor.submit(make_trial(number, ""))
    events = ended(executor, 2)
    assert events[0].data["state"] == "complete" and events[0].data["seconds"] == 5
    assert Reason.of(events[1].data["reason"]) is Reason.timed_out and events[1].data["seconds"] == 7


def test_stopping_frees_the_slot_at_that_moment() -> None:
    executor = Simulated(_timed([5, 100, 3]), 2)
    for number in range(3):
        executor.submit(make_trial(number, ""))
    assert [e.trial for e in executor.poll(0)] == [0]
    for _ in range(2):
        executor.stop(1)
    (stopped,) = executor.poll(0)
    assert stopped.trial == 1 and stopped.data["state"] == "stopped" and stopped.data["seconds"] == 5
    (last,) = executor.poll(0)
    assert last.trial == 2 and executor.now() == 8


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_time_that_is_none_fails_the_trial(seconds: float) -> None:
    executor = Simulated(lambda proposal, run: ({"score": 1.0}, seconds))
    executor.submit(make_trial(0, ""))
    event = ended(executor, 1)[0]
    assert event.data["state"] == "failed" and "seconds" in event.data["reason"]


def _interrupted(proposal: Proposal, run: Run) -> Mapping[str, float]:
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", [Inline, Simulated])
def test_an_interrupt_goes_to_the_caller_and_loses_no_trial(kind: Any) -> None:
    executor = kind(_interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.submit(make_trial(0, ""))
        executor.poll(0)
    executor.close()
    (event,) = executor.poll(0)
    assert event.trial == 0 and event.data["state"] == "stopped"
