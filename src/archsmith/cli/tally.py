"""What a search has done so far, kept from its events: the one state behind both ways of showing progress."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archsmith.report.text import clean, duration, label, metric

__all__ = ["Tally"]

_QUALITIES = ("accuracy", "balanced_accuracy", "rmse", "r2", "log_loss")
_COSTS = ("params", "latency_ms")
_ENDED = ("complete", "cached", "infeasible", "failed", "stopped")


@dataclass
class Tally:
    """Counts what happened.

    Events of a kind or shape it does not know are passed over: progress never stops a search.
    """

    title: str
    started: float = field(default_factory=time.monotonic)
    phase: str = "starting"
    share: float | None = None
    phase_started: float = field(default_factory=time.monotonic)
    budget: float | None = None
    states: dict[int, str] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take one event in; return whether it is worth a line of its own: a phase, a note, or a better network."""
        kind = event.get("type")
        if kind == "phase":
            self.phase, self.phase_started = clean(event.get("name", ""), 60), time.monotonic()
            self.share = _number(event.get("share_s"))
            budget, elapsed = _number(event.get("budget")), _number(event.get("elapsed"))
            self.budget = budget if budget is not None else self.budget
            if elapsed is not None:
                self.started = time.monotonic() - elapsed
            return True
        if kind == "trial":
            self.states[int(event.get("number", len(self.states)))] = str(event.get("state", ""))
            best = event.get("best")
            if isinstance(best, Mapping) and best and dict(best) != dict(self.best):
                self.best = {str(k): v for k, raw in best.items() if (v := _number(raw)) is not None}
                return True
            return False
        if kind == "note":
            self.note = clean(event.get("text", ""), 300)
            return True
        if kind == "done":
            self.phase, self.share = "done", None
        return False

    @property
    def clock(self) -> str:
        """Elapsed time and budget."""
        spent = duration(round(time.monotonic() - self.started))
        return f"{spent} of {duration(self.budget)}" if self.budget else spent

    @property
    def counts(self) -> str:
        """How many trials are in each state; states that never occurred are left out, running and done always stand."""
        found = Counter(self.states.values())
        parts = [f"{found['complete']} done", f"{found['running']} running"]
        parts += [f"{found[s]} {s}" for s in _ENDED[1:] if found[s]]
        return ", ".join(parts)

    @property
    def standing(self) -> str:
        """The best network so far, in its metrics; a dash before there is one."""
        quality = [n for n in _QUALITIES if n in self.best][:1] or [n for n in self.best if n not in _COSTS][:1]
        names = quality + [n for n in _COSTS if n in self.best]
        return ", ".join(f"{label(n)} {metric(n, self.best[n])}" for n in names) or "-"

    @property
    def share_done(self) -> float:
        """How much of the budget is spent, from 0 to 1."""
        if not self.budget:
            return 0.0
        return min(max((time.monotonic() - self.started) / self.budget, 0.0), 1.0)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
