"""The record of a run: what its folder says, read once, tolerant of everything that is missing."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archsmith.documents import read_json, read_toml
from archsmith.errors import StoreError
from archsmith.report.standing import standing
from archsmith.report.text import clean
from archsmith.store import SQLiteStore, read_mirror
from archsmith.trial import Event, Objective, Trial, apply_event, front, leaders, minimize

__all__ = ["Curve", "RunRecord", "dig", "limits_in", "load_record", "number_in", "objectives_in", "rows_in", "spent"]

Curve = tuple[Mapping[str, float], ...]
_LARGER_IS_BETTER = ("accuracy", "balanced_accuracy", "r2", "auc", "f1")
_MAIN = ("accuracy", "balanced_accuracy", "rmse", "mae", "r2", "log_loss")


@dataclass(frozen=True)
class RunRecord:
    """A run folder in memory: its result, its trials in order, the learning curve of each, and its surroundings.

    ``clock`` holds when each ended trial was asked for and when it ended, in seconds since the epoch, for display
    only. ``notes`` names what could not be read, in plain words.
    """

    folder: Path
    result: Mapping[str, Any] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    clock: Mapping[int, tuple[float, float]] = field(default_factory=dict)
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
        """``finished``, ``running``, ``paused``, ``failed`` or ``stopped``; see ``standing``."""
        return standing(self.folder, self.result)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What was asked for; guessed from the winner's or the trials' metrics where it is not recorded."""
        found = objectives_in(self.result)
        if found:
            return found
        names: set[str] = set(dig(self.result, "best", "metrics")).union(*(t.metrics for t in self.trials))
        return (_guess(names),)

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
    def finalists(self) -> list[dict[str, Any]]:
        """The finalists, with what is known of them from their trials (costs, above all)."""
        known = {t.number: t.metrics for t in self.trials}
        return [
            {**row, "metrics": {**known.get(number_in(row, "trial"), {}), **dig(row, "metrics")}}  # type: ignore[call-overload]
            for row in rows_in(self.result, "finalists")
        ]

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials at the highest fidelity that no other one dominates, each point once, best main metric first.

        With one objective alone the front would be a single point, so the cost it is drawn against is minimised too.
        """
        tried = leaders(self.trials)
        if len(self.objectives) == 1 and self.cost is not None:
            cost = minimize(self.cost)
            tried = [replace(t, losses=(*t.losses, cost.loss(t.metrics))) for t in tried]
        numbers = {t.losses: t.number for t in reversed(front(tried))}
        by_number = {t.number: t for t in self.trials}
        return tuple(by_number[numbers[losses]] for losses in sorted(numbers))

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
    result = _tolerant(read_json, folder / "result.json", notes)
    history = result.get("history")
    notes += [clean(line, 500) for line in history] if isinstance(history, list) else []
    trials, clock = _trials(_events(folder, notes), objectives_in(result), limits_in(result), notes)
    curves = {t.number: c for t in trials if (c := _curve(folder / "trials" / str(t.number) / "metrics.csv"))}
    environment = _tolerant(read_json, folder / "env.json", notes)
    config = _tolerant(read_toml, folder / "run.toml", notes)
    return RunRecord(folder, result, trials, clock, curves, environment, config, tuple(notes))


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


def spent(trial: Trial) -> float:
    """Return what was spent on a trial; see ``Evaluate.spent``."""
    return trial.proposal.spent


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


def _trials(
    events: Sequence[Event], objectives: Sequence[Objective], limits: Mapping[str, float], notes: list[str]
) -> tuple[tuple[Trial, ...], dict[int, tuple[float, float]]]:
    """Read a log by the one reader there is, leaving out what it cannot read.

    Without objectives they are guessed from the metrics that occur, as a running study has no result yet.
    """
    if not objectives:
        objectives = (_guess({name for event in events for name in dig(event.data, "metrics")}),)
    trials: dict[int, Trial] = {}
    asked: dict[int, float] = {}
    clock: dict[int, tuple[float, float]] = {}
    skipped = 0
    for event in events:
        try:
            ended = apply_event(trials, event, objectives, limits)
        except (KeyError, TypeError, ValueError, AttributeError):
            skipped += 1
            continue
        if event.kind == "asked" and event.trial is not None:
            asked[event.trial] = event.time
        elif ended is not None and event.time > 0 and asked.get(ended.number, 0) > 0:
            clock[ended.number] = (asked[ended.number], event.time)
    if skipped:
        notes.append(f"{skipped} event{'s' if skipped > 1 else ''} of the log could not be read.")
    return tuple(trials[number] for number in sorted(trials)), clock


def _guess(names: set[str]) -> Objective:
    name = next((m for m in _MAIN if m in names), "accuracy")
    return Objective(name, "max" if name in _LARGER_IS_BETTER else "min")


def _tolerant(read: Callable[[Path], dict[str, Any]], path: Path, notes: list[str]) -> Mapping[str, Any]:
    try:
        return read(path)
    except FileNotFoundError:
        return {}
    except StoreError as error:
        notes.append(f"{path.name} could not be read: {error}")
        return {}


def _events(folder: Path, notes: list[str]) -> list[Event]:
    """Read the log of the run: from the store, else from its plain-text mirror."""
    path, mirror = folder / "store.sqlite", folder / "events.jsonl"
    if path.exists():
        try:
            store = SQLiteStore(path, readonly=True)
            try:
                return [event for study in store.studies()[:1] for event in store.events(study)]
            finally:
                store.close()
        except StoreError as error:
            notes.append(f"The log could not be read, so its plain-text copy was used. {error}")
    if mirror.exists():
        try:
            return list(read_mirror(mirror))
        except StoreError as error:
            notes.append(str(error))
    return []


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
