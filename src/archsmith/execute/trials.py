"""What every executor does alike: a trial's surroundings, its attempt, its folder and its last event."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from archsmith.errors import UsageError
from archsmith.execute.isolation import isolated, release_memory
from archsmith.execute.protocol import Evaluation
from archsmith.execute.reasons import Failure, Reason, failure_of
from archsmith.failpoint import hit
from archsmith.run import Run
from archsmith.trial import Event, Proposal, Trial

__all__ = [
    "SMALLER",
    "Outcome",
    "attempt",
    "earliest",
    "finished",
    "make_run",
    "positive",
    "smaller_after",
    "trial_folder",
    "trial_seed",
    "write_error",
]


SMALLER = 0.5
"""The share of its batch at which a trial that ran out of memory is tried once more."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: with metrics, or with a failure; ``note`` is what its log should say beside that."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    failure: Failure | None = None
    note: str = ""


def trial_seed(seed: int, number: int) -> int:
    """Return the seed of a trial, 0 to 2**32 - 1, which depends on the study's seed and the trial's number only."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def trial_folder(folder: Path | None, number: int) -> Path | None:
    """Return the folder of a trial inside a run folder."""
    return None if folder is None else folder / "trials" / str(number)


def make_run(
    trial: Trial,
    folder: Path | None,
    seed: int,
    deadline: float | None,
    own: Path | None = None,
    batch_scale: float = 1.0,
) -> Run:
    """Return the surroundings of a trial; its folder, ``own`` or else the usual one, gets ``arch.json``."""
    own = own or trial_folder(folder, trial.number)
    if own is not None:
        own.mkdir(parents=True, exist_ok=True)
        _write_json(own / "arch.json", trial.arch.to_json())
    wish = trial.proposal
    resumed = None if wish.resume is None else trial_folder(folder, wish.resume)
    parent = None if wish.parent is None or not wish.inherit else trial_folder(folder, wish.parent)
    own_seed = trial_seed(seed, trial.number)
    return Run(trial.number, own_seed, own, resumed, deadline, batch_scale=batch_scale, parent_folder=parent)


def attempt(
    evaluate: Evaluation, proposal: Proposal, run: Run, passing: tuple[type[BaseException], ...] = ()
) -> Outcome:
    """Evaluate and return how it ended; only exceptions named in ``passing`` are raised.

    An evaluation that runs out of memory is tried once more, at half the batch. What an evaluation does to its process
    is undone (see ``isolated``).
    """
    first = _once(evaluate, proposal, run, passing)
    if first.failure is None or first.failure.reason is not Reason.out_of_memory or run.batch_scale <= SMALLER:
        return first
    release_memory()
    second = _once(evaluate, proposal, replace(run, batch_scale=SMALLER), passing)
    return replace(second, seconds=first.seconds + second.seconds, note=smaller_after(first.failure))


def smaller_after(failure: Failure) -> str:
    """Return what the log of a trial says that was tried again with a smaller batch."""
    return f"ran again at {SMALLER:g} of the batch after {failure}"


def _once(evaluate: Evaluation, proposal: Proposal, run: Run, passing: tuple[type[BaseException], ...]) -> Outcome:
    begin = time.monotonic()
    with isolated(run.seed):
        try:
            metrics = evaluate(proposal, run)
        except passing:
            raise
        except BaseException as error:
            return Outcome({}, time.monotonic() - begin, failure_of(error))
    seconds = time.monotonic() - begin
    try:
        return Outcome(_numbers(metrics), seconds)
    except Exception as error:  # whatever was returned may do anything when it is looked at
        return Outcome({}, seconds, Failure(Reason.no_metrics, str(error)[:200]))


def finished(trial: Trial, outcome: Outcome, folder: Path | None, at: float | None = None) -> Event:
    """Return the one event that ends a trial; a failure is written down in the trial's folder as well."""
    failure = outcome.failure
    if failure is not None and failure.reason.state == "failed":
        write_error(trial_folder(folder, trial.number), trial, failure)
    data: dict[str, Any] = {
        "state": "complete" if failure is None else failure.reason.state,
        "metrics": dict(outcome.metrics),
        "seconds": outcome.seconds,
        "reason": "" if failure is None else str(failure),
    }
    if outcome.note:
        data["note"] = outcome.note
    return Event("finished", trial.number, data, time.time() if at is None else at)


def write_error(folder: Path | None, trial: Trial, failure: Failure) -> None:
    """Write ``error.json``; a disk that does not take it does not stop the search."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "error.json", {"trial": trial.number, "arch": trial.arch.id, **failure.to_json()})
    except OSError:
        return


def earliest(*times: float | None) -> float | None:
    """Return the smallest of the times that are given, or None when none is."""
    return min((time for time in times if time is not None), default=None)


def positive(name: str, value: float | None) -> None:
    """Raise ``UsageError`` unless the value is a number above zero, or None."""
    if value is not None and not value > 0:
        raise UsageError(f"The {name!r} of an executor must be above 0. Got {value!r} instead.")


def _numbers(metrics: object) -> dict[str, float]:
    if not isinstance(metrics, Mapping):
        raise TypeError(f"it returned {metrics!r:.80}, not a mapping of names to numbers")
    if not metrics:
        raise ValueError("it returned an empty mapping")
    numbers = {}
    for name, value in metrics.items():
        try:
            numbers[str(name)] = float(value)
        except Exception:
            raise ValueError(f"the metric {str(name)!r} is {value!r:.80}, which is not a number") from None
    return numbers


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    beside = path.with_name(path.name + ".tmp")
    beside.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    hit(f"trial.{path.stem}.written", beside)
    os.replace(beside, path)
