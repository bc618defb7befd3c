"""What is told late of a trial that was given up is refused: its right has lapsed."""

from collections.abc import Sequence

from archsmith.space import Space, real
from archsmith.strategy import RandomSearch
from archsmith.study import Study
from archsmith.testing.invariants import trials_are_whole
from archsmith.trial import Event, Trial

SPACE = Space(rate=real(0.0, 1.0, name="rate"))


class Frozen:
    """An executor whose first worker does not answer until long after the study has given its trial up."""

    slots, ahead, deadline = 1, 0, None

    def __init__(self) -> None:
        self.clock, self.submitted, self.late = 0.0, [], []

    def now(self) -> float:
        return self.clock

    def submit(self, trial: Trial) -> None:
        self.submitted.append(trial.number)

    def poll(self, timeout: float) -> Sequence[Event]:
        if len(self.submitted) == 1:  # frozen
            raise KeyboardInterrupt
        events, self.late = [*self.late, self._event(self.submitted[-1], 0.5)], []
        return events

    def stop(self, trial: int) -> None:
        self.late = [self._event(trial, 0.9)]

    def close(self) -> None:
        pass

    def _event(self, trial: int, accuracy: float) -> Event:
        data = {"state": "complete", "metrics": {"accuracy": accuracy}, "seconds": 1.0, "reason": ""}
        return Event("finished", trial, data, 1.0)


def test_the_late_result_of_a_frozen_worker_does_not_count(monkeypatch) -> None:
    monkeypatch.setattr("archsmith.study._GRACE_SECONDS", 0.0)
    executor = Frozen()
    study = Study(SPACE, RandomSearch(SPACE), executor=executor)
    try:
        study.run(trials=1)
    except KeyboardInterrupt:
        pass
    assert [t.state for t in study.trials] == ["running"]
    study.run(trials=1)
    assert executor.submitted == [0, 0]
    assert [t.metrics["accuracy"] for t in study.trials] == [0.5], "the result of the run that was given up counted"
    trials_are_whole(list(study.store.events("study")))
