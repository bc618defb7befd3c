"""The frozen values that travel between the rooms: proposals, trials, objectives, events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from archsmith.space import Arch

__all__ = [
    "TERMINAL",
    "Evaluate",
    "Event",
    "Objective",
    "Proposal",
    "Trial",
    "dominates",
    "front",
    "maximize",
    "minimize",
    "order",
    "score",
]

State = Literal["running", "complete", "cached", "infeasible", "failed", "stopped"]
TERMINAL: frozenset[str] = frozenset({"complete", "cached", "infeasible", "failed", "stopped"})


@dataclass(frozen=True)
class Evaluate:
    """Ask for the metrics of one architecture, at a fidelity.

    ``fidelity`` names what is spent (``{"epochs": 3}``); empty means the estimator's full cost. ``resume`` is the
    number of the trial whose checkpoint this one continues.
    """

    arch: Arch
    fidelity: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    resume: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the proposal as JSON-ready data."""
        return {"arch": self.arch.to_json(), "fidelity": dict(self.fidelity), "resume": self.resume}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Evaluate:
        """Return the proposal that ``to_json`` wrote."""
        return Evaluate(Arch.from_json(data["arch"]), dict(data["fidelity"]), data["resume"])


Proposal = Evaluate


@dataclass(frozen=True)
class Trial:
    """A proposal with its outcome.

    ``losses`` (all minimised) and ``violation`` (0 when every limit holds, else how far it is broken, relative to
    the limit) are what strategies look at; ``metrics`` are what people look at. A trial without a usable result has
    infinite losses. ``source_key`` is equal for two trials whose networks and settings are the same.
    """

    number: int
    proposal: Proposal
    state: State = "running"
    metrics: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    losses: tuple[float, ...] = ()
    violation: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    source_key: str = ""

    @property
    def arch(self) -> Arch:
        """The architecture that was tried."""
        return self.proposal.arch

    @property
    def usable(self) -> bool:
        """Whether the trial was measured, every loss is finite and every limit holds."""
        return (
            self.state in ("complete", "cached")
            and self.violation == 0.0
            and bool(self.losses)
            and all(math.isfinite(v) for v in self.losses)
        )


@dataclass(frozen=True)
class Objective:
    """One metric, and the direction in which it is better."""

    metric: str
    direction: Literal["max", "min"]

    def loss(self, metrics: Mapping[str, float]) -> float:
        """Return the metric as a loss to minimise; infinite where it is missing or not a number."""
        value = float(metrics.get(self.metric, math.nan))
        if not math.isfinite(value):
            return math.inf
        return -value if self.direction == "max" else value


def maximize(metric: str) -> Objective:
    """Return the objective of a large ``metric``."""
    return Objective(metric, "max")


def minimize(metric: str) -> Objective:
    """Return the objective of a small ``metric``."""
    return Objective(metric, "min")


def score(
    metrics: Mapping[str, float], objectives: Sequence[Objective], limits: Mapping[str, float]
) -> tuple[tuple[float, ...], float]:
    """Settle directions and limits once, at the border: return ``(losses, violation)``.

    A limit is an upper bound on a metric. ``violation`` sums the relative excesses; a limited metric that was not
    measured counts as infinitely broken.
    """
    excess = 0.0
    for name, bound in limits.items():
        value = float(metrics.get(name, math.nan))
        if not math.isfinite(value):
            excess = math.inf
        elif value > bound:
            excess += (value - bound) / max(abs(bound), 1e-12)
    return tuple(o.loss(metrics) for o in objectives), excess


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Return whether losses ``a`` are nowhere worse than ``b`` and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def front(trials: Sequence[Trial]) -> list[Trial]:
    """Return the usable trials that no other usable trial dominates, in their given order."""
    usable = [t for t in trials if t.usable]
    return [t for t in usable if not any(dominates(o.losses, t.losses) for o in usable)]


def order(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials from best to worst, for one objective or several.

    Constrained domination (Deb et al., 2002): what breaks no limit comes before what does, less broken before more;
    within the feasible, by how many trials dominate it, ties by trial number, so the order is total and replays.
    """

    def key(trial: Trial) -> tuple[Any, ...]:
        if trial.violation > 0 or not trial.losses:
            return (1, trial.violation if trial.losses else math.inf, 0, trial.number)
        if not all(math.isfinite(v) for v in trial.losses):
            return (2, 0, 0, trial.number)
        if len(trial.losses) == 1:
            return (0, 0, trial.losses[0], trial.number)
        beaten = sum(o.violation == 0 and bool(o.losses) and dominates(o.losses, trial.losses) for o in trials)
        return (0, 0, beaten, trial.number)

    return sorted(trials, key=key)


@dataclass(frozen=True)
class Event:
    """One line of a study's log: what happened, to which trial, with which data.

    ``kind`` is ``"asked"`` (data: proposal, ask index), ``"finished"`` (state, metrics, seconds, reason) or
    ``"note"`` (anything a person should be able to read later). ``data`` is JSON-ready; ``time`` is seconds since
    the epoch, for display only: order is the order of the log.
    """

    kind: str
    trial: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    time: float = 0.0
