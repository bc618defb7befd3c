"""An evaluation that looks is asked to end, not cut short, and saves what it has; its trial goes on from there."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from polite_bodies import polite
from trial_bodies import ended, make_trial

from archsmith.execute import Inline, Processes
from archsmith.space import Space, real
from archsmith.strategy import RandomSearch
from archsmith.study import Study


def test_a_worker_that_is_asked_to_stop_saves_first(processes: Callable[..., Processes], tmp_path: Path) -> None:
    executor = processes(polite, grace=20.0)
    executor.submit(make_trial(0, "polite"))
    begun = tmp_path / "trials" / "0" / "begun"
    until = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < until:
        assert list(executor.poll(0.05)) == []
    time.sleep(0.1)
    executor.stop(0)
    assert ended(executor, 1)[0].data["state"] == "stopped"
    executor.submit(make_trial(0, "polite"))
    again = ended(executor, 1)[0].data
    assert again["state"] == "complete" and again["metrics"]["step"] > 0


@pytest.mark.parametrize("how", ["from outside", "by its own executor"])
def test_a_study_that_is_interrupted_leaves_its_trial_open_and_goes_on_with_it(how: str, tmp_path: Path) -> None:
    space, looks = Space(rate=real(0.0, 1.0, name="rate")), []

    def interrupted() -> bool:
        looks.append(1)
        return len(looks) > 30

    executor = Inline(polite, tmp_path, interrupted=interrupted) if how == "by its own executor" else None
    with Study(
        space, RandomSearch(space), polite, folder=tmp_path, executor=executor, interrupted=interrupted
    ) as study:
        study.run(trials=1)
        assert study.ended == "stopped" and [t.state for t in study.trials] == ["running"]
    with Study(space, RandomSearch(space), polite, folder=tmp_path) as study:
        study.run(trials=1)
        assert [(t.number, t.state) for t in study.trials] == [(0, "complete")]
        assert study.trials[0].metrics["step"] > 0
