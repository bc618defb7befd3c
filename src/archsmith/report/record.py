"""The record of a run: what its folder says, read once, tolerant of everything that is missing."""

from __future__ import annotations

import csv
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archsmith.report.text import clean
from archsmith.trial import Event, Objective, dominates, score

__all__ = ["RunRecord", "TrialRecord", "dig", "load_record", "number_in", "read_trials", "rows_in"]

Curve = tuple[Mapping[str, float], ...]
_LARGER_IS_BETTER = ("accuracy", "balanced_accuracy", "r2", "auc", "f1")
_MAIN = ("accuracy", "balanced_accuracy", "rmse", "mae", "r2", "log_loss")


@dataclass(frozen=True)
class TrialRecord:
    """One trial as its log tells it; times are seconds since the epoch, for display only."""

    number: int
    state: str = "running"
    metrics: Mapping[str, float] = field(default_factory=dict)
    losses: tuple[float, ...] = ()
    violation: float = 0.0
    fidelity: Mapping[str, float] = field(default_factory=dict)
    arch: Mapping[str, Any] = field(default_factory=dict)
    resume: int | None = None
    reason: str = ""
    seconds: float = 0.0
    started: float | None = None
    finished: float | None = None

    @property
    def measured(self) -> bool:
        """Whether there is a usable result: every loss is finite and every limit holds."""
        return (
            self.state in ("complete", "cached")
            and self.violation == 0.0
            and bool(self.losses)
            and all(math.isfinite(v) for v in self.losses)
        )

    @property
    def arch_key(self) -> str:
        """A text that is equal for equal architectures."""
        return json.dumps(self.arch, sort_keys=True, default=str)


@dataclass(frozen=True)
class RunRecord:
    """A run folder in memory: its result, its trials in order, the learning curve of each, and its surroundings.

    ``notes`` names what could not be read, in plain words.
    """

    folder: Path
    result: Mapping[str, Any] = field(default_factory=dict)
    trials: tuple[TrialRecord, ...] = ()
    curves: Mapping[int, Curve] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The run's name; its folder's where none is recorded."""
        return clean(self.result.get("name") or self.folder.name, 200)

    @property
    def status(self) -> str:
        """``finished``, ``running`` or ``stopped``; a run without a result is still running, as far as one can see."""
        return clean(self.result.get("status") or "running", 40)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What was asked for; guessed from the winner's or the trials' metrics where it is not recorded."""
        found = objectives_in(self.result)
        if found:
            return found
        names: set[str] = set(dig(self.result, "best", "metrics")).union(*(t.metrics for t in self.trials))
        name = next((m for m in _MAIN if m in names), "accuracy")
        return (Objective(name, "max" if name in _LARGER_IS_BETTER else "min"),)

    @property
    def main(self) -> Objective:
        """The objective that matters first."""
        return self.objectives[0]

    @property
    def limits(self) -> dict[str, float]:
        """The upper bounds that were set, by metric."""
        return limits_in(self.result)

    @property
    def best(self) -> Mapping[str, Any]:
        """What is recorded of the winner; empty when there is none yet."""
        return dig(self.result, "best")

    @property
    def front(self) -> tuple[TrialRecord, ...]:
        """The measured trials that no other one dominates.

        With one objective alone the front would be a single point, so the cost it is drawn against is minimised too.
        """
        measured = [t for t in self.trials if t.measured]
        if len(self.objectives) > 1 or self.cost is None:
            losses = {t.number: t.losses for t in measured}
        else:
            losses = {t.number: (t.losses[0], t.metrics.get(self.cost, math.inf)) for t in measured}
        seen: set[tuple[float, ...]] = set()
        kept = []
        for trial in measured:
            own = losses[trial.number]
            if own not in seen and not any(dominates(other, own) for other in losses.values()):
                seen.add(own)
                kept.append(trial)
        return tuple(sorted(kept, key=lambda t: losses[t.number]))

    @property
    def costs(self) -> tuple[str, ...]:
        """The costs that can be drawn against the main metric, the one that matters most first."""
        asked = [o.metric for o in self.objectives[1:]] + list(self.limits)
        known = [*asked, "latency_ms", "params", "macs"]
        present: set[str] = set(dig(self.best, "metrics")).union(*(t.metrics for t in self.trials))
        return tuple(dict.fromkeys(m for m in known if m in present and m != self.main.metric))

    @property
    def cost(self) -> str | None:
        """The first of ``costs``; None when no cost was measured."""
        return next(iter(self.costs), None)


def load_record(folder: str | Path) -> RunRecord:
    """Return the record of a run folder; what is missing or damaged becomes a note, never an exception."""
    folder = Path(folder)
    notes: list[str] = []
    result = _json(folder / "result.json", notes)
    trials = read_trials(_events(folder, notes), objectives_in(result), limits_in(result))
    curves = {t.number: c for t in trials if (c := _curve(folder / "trials" / str(t.number) / "metrics.csv"))}
    environment = _json(folder / "env.json", notes)
    config: Mapping[str, Any] = {}
    try:
        config = tomllib.loads((folder / "run.toml").read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        pass
    except (OSError, tomllib.TOMLDecodeError) as error:
        notes.append(f"run.toml could not be read: {error}")
    return RunRecord(folder, result, trials, curves, environment, config, tuple(notes))


def read_trials(
    events: Iterable[Event], objectives: Sequence[Objective] = (), limits: Mapping[str, float] | None = None
) -> tuple[TrialRecord, ...]:
    """Return the trials that a log tells of, by number.

    Without ``objectives`` they are guessed from the first metrics that are found, as a running study has no result.
    """
    asked: dict[int, Event] = {}
    ended: dict[int, Event] = {}
    for event in events:
        if event.trial is not None:
            if event.kind == "asked":
                asked.setdefault(event.trial, event)
            elif event.kind == "finished":
                ended[event.trial] = event
    if not objectives:
        names = {name for event in ended.values() for name in dig(event.data, "metrics")}
        name = next((m for m in _MAIN if m in names), "accuracy")
        objectives = (Objective(name, "max" if name in _LARGER_IS_BETTER else "min"),)
    return tuple(
        _trial(number, asked.get(number), ended.get(number), objectives, limits or {})
        for number in sorted({*asked, *ended})
    )


def objectives_in(result: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Return the objectives that a result names."""
    return tuple(
        Objective(str(o["metric"]), "min" if str(o.get("direction", "max")).startswith("min") else "max")
        for o in rows_in(result, "objectives")
        if o.get("metric")
    )


def limits_in(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the limits that a result names."""
    limits = dig(result, "limits")
    return {str(k): v for k in limits if (v := number_in(limits, k)) is not None}


def dig(data: Any, *path: str) -> Mapping[str, Any]:
    """Return the mapping at ``path``; an empty one where anything on the way is missing or is something else."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def rows_in(data: Any, key: str) -> list[Mapping[str, Any]]:
    """Return the list of mappings at ``key``, without what is not a mapping."""
    value = data.get(key) if isinstance(data, Mapping) else None
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def number_in(data: Any, key: str) -> float | None:
    """Return the finite number at ``key``; None where there is none."""
    value = data.get(key) if isinstance(data, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _trial(
    number: int, asked: Event | None, ended: Event | None, objectives: Sequence[Objective], limits: Mapping[str, float]
) -> TrialRecord:
    proposal = dig(asked.data, "proposal") if asked else {}
    if asked and not proposal and "arch" in asked.data:
        proposal = asked.data
    arch = dig(proposal, "arch")
    resume = proposal.get("resume")
    outcome: Mapping[str, Any] = ended.data if ended else {}
    metrics = _numbers(dig(outcome, "metrics"))
    losses, violation = score(metrics, objectives, limits) if ended else ((), 0.0)
    return TrialRecord(
        number,
        str(outcome.get("state", "complete")) if ended else "running",
        metrics,
        losses,
        violation,
        _numbers(dig(proposal, "fidelity")),
        dict(arch),
        resume if isinstance(resume, int) else None,
        clean(outcome.get("reason") or "", 2_000),
        number_in(outcome, "seconds") or 0.0,
        (asked.time or None) if asked else None,
        (ended.time or None) if ended else None,
    )


def _numbers(data: Mapping[str, Any]) -> dict[str, float]:
    return {str(k): v for k in data if (v := number_in(data, k)) is not None}


def _json(path: Path, notes: list[str]) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{path.name} could not be read: {error}")
        return {}
    return data if isinstance(data, Mapping) else {}


def _events(folder: Path, notes: list[str]) -> list[Event]:
    """Read the plain-text mirror of the log; a crash may leave a torn line, so lines that fail are skipped."""
    events, skipped = [], 0
    try:
        lines = (folder / "events.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            data = json.loads(line)
            trial = data["trial"]
            events.append(Event(data["kind"], trial, data.get("data") or {}, float(data.get("time") or 0.0)))
        except (ValueError, KeyError, TypeError, RecursionError):
            skipped += 1
    if skipped:
        notes.append(f"events.jsonl: {skipped} damaged line{'s' if skipped > 1 else ''} skipped")
    return events


def _curve(path: Path) -> Curve:
    """Read a learning curve: lines of numbers by column; lines that are not are left out."""
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(line.replace("\0", "") for line in file))
    except (OSError, csv.Error):
        return ()
    return tuple(values for row in rows if (values := _floats(row)))


def _floats(row: Mapping[str | None, Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    for key, text in row.items():
        try:
            value = float(text)
        except (TypeError, ValueError):
            continue
        if key and math.isfinite(value):
            values[key] = value
    return values
