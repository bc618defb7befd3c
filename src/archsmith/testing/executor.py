"""The laws of an executor, as functions of a factory: ``for law in EXECUTOR_LAWS: law(make)``.

``make(evaluate, folder, seed)`` returns a new executor for a run folder. The evaluations here are top-level functions,
so that they can be sent to other processes, and name their own ``seconds``, which a simulated clock needs. An executor
whose process dies with an evaluation is no subject of these laws, but of its own tests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from archsmith.errors import UsageError
from archsmith.execute import Executor
from archsmith.execute.protocol import Evaluation
from archsmith.run import Run
from archsmith.space import Arch
from archsmith.trial import Evaluate, Event, Proposal, Trial

__all__ = [
    "EXECUTOR_LAWS",
    "ExecutorLaw",
    "MakeExecutor",
    "a_deadline_stops_what_begins_after_it",
    "behave",
    "closing_is_final",
    "every_trial_ends_once",
    "failures_hurt_no_other_trial",
    "idle_polling_returns_nothing",
    "places",
    "resuming_finds_the_other_folder",
    "stopping_never_loses_a_trial",
    "surroundings_depend_on_seed_and_number",
    "what_is_not_a_number_arrives",
]

MakeExecutor = Callable[[Evaluation, Path, int], Executor]
ExecutorLaw = Callable[[MakeExecutor], None]
_POLLS = 60


def behave(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """Do what the architecture says: measure, or fail in one of many ways."""
    do = proposal.arch["do"]
    if do == "raise":
        raise ValueError(f"trial {run.trial} was told to raise")
    if do == "exit":
        raise SystemExit(3)
    if do == "nothing":
        return None  # type: ignore[return-value]
    if do == "text":
        return {"accuracy": "high"}  # type: ignore[dict-item]
    if do == "empty":
        return {}
    if do == "nan":
        return {"accuracy": float("nan"), "seconds": 1.0}
    return {"accuracy": 0.5, "trial": run.trial, "seed": run.seed, "seconds": 1.0}


def places(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """Write a file in the trial's folder; when resuming, measure what the resumed trial wrote."""
    assert run.folder is not None
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "wrote.txt").write_text(str(run.trial))
    before = -1.0 if run.resume_folder is None else float((run.resume_folder / "wrote.txt").read_text())
    return {"before": before, "seconds": 1.0}


def _trial(number: int, do: str = "measure", resume: int | None = None) -> Trial:
    return Trial(number, Evaluate(Arch({"do": do, "number": number}), resume=resume))


def _events(executor: Executor, count: int) -> list[Event]:
    """Return the next events, at least ``count`` unless the executor falls silent."""
    found: list[Event] = []
    for _ in range(_POLLS):
        if len(found) >= count:
            break
        found += executor.poll(1.0)
    return found


def _ran(
    make: MakeExecutor, evaluate: Evaluation, trials: Iterable[Trial], seed: int = 0
) -> dict[int, Mapping[str, Any]]:
    """Run the trials to their ends and return the data of each one's only event."""
    with tempfile.TemporaryDirectory() as folder:
        executor = make(evaluate, Path(folder), seed)
        try:
            submitted = list(trials)
            for trial in submitted:
                executor.submit(trial)
            events = _events(executor, len(submitted))
            assert sorted(e.trial or 0 for e in events) == [t.number for t in submitted], "not one event for each trial"
            assert all(e.kind == "finished" for e in events), "an event that is not 'finished'"
            assert not executor.poll(0), "more events than trials"
            return {e.trial: e.data for e in events if e.trial is not None}
        finally:
            executor.close()


def every_trial_ends_once(make: MakeExecutor) -> None:
    """Each submitted trial yields one finished event, also when more are submitted than there are slots."""
    ended = _ran(make, behave, [_trial(n) for n in range(7)])
    for data in ended.values():
        assert data["state"] == "complete" and data["reason"] == "", data
        assert data["metrics"]["accuracy"] == 0.5, data
        assert data["seconds"] >= 0, data


def failures_hurt_no_other_trial(make: MakeExecutor) -> None:
    """A trial that raises, exits or returns no numbers has failed, with a reason; those around it complete."""
    does = ["measure", "raise", "measure", "exit", "nothing", "measure", "text", "empty", "measure"]
    ended = _ran(make, behave, [_trial(n, do) for n, do in enumerate(does)])
    for number, do in enumerate(does):
        data = ended[number]
        assert data["state"] == ("complete" if do == "measure" else "failed"), (do, data)
        assert bool(data["reason"]) == (do != "measure"), (do, data)
    assert "trial 1 was told to raise" in ended[1]["reason"], "the exception's message is lost"


def what_is_not_a_number_arrives(make: MakeExecutor) -> None:
    """NaN is a metric like any other; what it means is for the study to say."""
    data = _ran(make, behave, [_trial(0, "nan")])[0]
    assert data["state"] == "complete", data
    assert data["metrics"]["accuracy"] != data["metrics"]["accuracy"], data


def surroundings_depend_on_seed_and_number(make: MakeExecutor) -> None:
    """A trial's seed is a function of the study's seed and its number, whatever ran before or beside it."""
    one = _ran(make, behave, [_trial(n) for n in range(4)], seed=5)
    alone = _ran(make, behave, [_trial(2)], seed=5)
    other = _ran(make, behave, [_trial(2)], seed=6)
    seeds = {n: data["metrics"]["seed"] for n, data in one.items()}
    assert all(data["metrics"]["trial"] == n for n, data in one.items()), "a trial was told another number"
    assert len(set(seeds.values())) == len(seeds), "two trials share a seed"
    assert seeds[2] == alone[2]["metrics"]["seed"], "the seed depends on what else ran"
    assert seeds[2] != other[2]["metrics"]["seed"], "the study's seed does not matter"


def resuming_finds_the_other_folder(make: MakeExecutor) -> None:
    """A trial that resumes another is handed that one's folder, and its own."""
    with tempfile.TemporaryDirectory() as folder:
        executor = make(places, Path(folder), 0)
        try:
            for number, resume in ((3, None), (4, 3), (5, 4)):
                executor.submit(_trial(number, resume=resume))
                (event,) = _events(executor, 1)
                expected = -1.0 if resume is None else float(resume)
                assert event.data["metrics"].get("before") == expected, (number, event.data)
        finally:
            executor.close()


def idle_polling_returns_nothing(make: MakeExecutor) -> None:
    """With nothing under way, ``poll`` returns at once and empty."""
    with tempfile.TemporaryDirectory() as folder:
        executor = make(behave, Path(folder), 0)
        assert list(executor.poll(3600.0)) == [], "an event of nothing"
        assert executor.slots >= 1 and executor.ahead >= 0
        assert executor.now() <= executor.now(), "the clock runs backwards"
        executor.close()


def stopping_never_loses_a_trial(make: MakeExecutor) -> None:
    """Stopping known, unknown and ended trials, again and again, leaves one event for each trial."""
    with tempfile.TemporaryDirectory() as folder:
        executor = make(behave, Path(folder), 0)
        try:
            for number in range(5):
                executor.submit(_trial(number))
            for number in (4, 4, 99, 2):
                executor.stop(number)
            events = _events(executor, 5)
            assert sorted(e.trial or 0 for e in events) == [0, 1, 2, 3, 4], "not one event for each trial"
            states = {e.trial: e.data["state"] for e in events}
            assert all(states[n] == "complete" for n in (0, 1, 3)), states
            assert all(states[n] in ("complete", "stopped") for n in (2, 4)), states
            for number in range(5):
                executor.stop(number)
            assert list(executor.poll(0)) == [], "an ended trial ended again"
        finally:
            executor.close()


def closing_is_final(make: MakeExecutor) -> None:
    """``close`` may be called twice; what was under way has its event; nothing can be submitted any more."""
    with tempfile.TemporaryDirectory() as folder:
        executor = make(behave, Path(folder), 0)
        for number in range(4):
            executor.submit(_trial(number))
        executor.close()
        executor.close()
        events = _events(executor, 4)
        assert sorted(e.trial or 0 for e in events) == [0, 1, 2, 3], "closing lost a trial"
        assert all(e.data["state"] in ("complete", "stopped") for e in events), "closing made a trial fail"
        try:
            executor.submit(_trial(9))
        except UsageError:
            return
        raise AssertionError("a closed executor took a trial")


def a_deadline_stops_what_begins_after_it(make: MakeExecutor) -> None:
    """Once its deadline is over an executor completes nothing, and says why."""
    with tempfile.TemporaryDirectory() as folder:
        executor = make(behave, Path(folder), 0)
        try:
            executor.submit(_trial(0))
            (first,) = _events(executor, 1)
            assert first.data["state"] == "complete", first
            executor.deadline = executor.now()
            executor.submit(_trial(1))
            (second,) = _events(executor, 1)
            assert second.data["state"] == "stopped" and "deadline" in second.data["reason"], second
        finally:
            executor.close()


EXECUTOR_LAWS: Sequence[ExecutorLaw] = (
    every_trial_ends_once,
    failures_hurt_no_other_trial,
    what_is_not_a_number_arrives,
    surroundings_depend_on_seed_and_number,
    resuming_finds_the_other_folder,
    idle_polling_returns_nothing,
    stopping_never_loses_a_trial,
    closing_is_final,
    a_deadline_stops_what_begins_after_it,
)
