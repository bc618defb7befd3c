"""The frozen values that travel between the rooms: proposals, trials, objectives, events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from archsmith.space import Arch

__all__ = [
    "TERMINAL",
    "Evaluate",
    "Event",
    "Objective",
    "Proposal",
    "State",
    "Trial",
    "apply_event",
    "crowding",
    "dominates",
    "front",
    "known_violation",
    "leaders",
    "maximize",
    "minimize",
    "order",
    "rank",
    "read_trials",
    "score",
    "tradeoff",
]

State = Literal["running", "complete", "cached", "infeasible", "failed", "stopped"]
TERMINAL: frozenset[str] = frozenset({"complete", "cached", "infeasible", "failed", "stopped"})


@dataclass(frozen=True)
class Evaluate:
    """Ask for the metrics of one architecture, at a fidelity.

    ``fidelity`` names what is spent (``{"epochs": 3}``); empty means the estimator's full cost. ``resume`` is the
    number of the trial whose checkpoint this one continues.

    ``parent`` is the number of the trial that it was bred from; with ``inherit`` its training begins with all weights
    that it shares with that one. With ``weights``, the folder of a bank, it is not trained but measured on shared
    weights, which ranks below any training.
    """

    arch: Arch
    fidelity: Mapping[str, float] = field(default_factory=dict)
    resume: int | None = None
    parent: int | None = None
    inherit: bool = False
    weights: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the proposal as JSON-ready data."""
        data = {"arch": self.arch.to_json(), "fidelity": dict(self.fidelity), "resume": self.resume}
        more: dict[str, Any] = {} if self.parent is None else {"parent": self.parent}
        more |= {key: value for key in ("inherit", "weights") if (value := getattr(self, key))}
        return {**data, **more}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Evaluate:
        """Return the proposal that ``to_json`` wrote."""
        more = {key: data[key] for key in ("parent", "inherit", "weights") if key in data}
        return Evaluate(Arch.from_json(data["arch"]), dict(data["fidelity"]), data["resume"], **more)

    @property
    def spent(self) -> float:
        """What it costs, as the product of its fidelities: infinite at the full cost, nothing on shared weights."""
        if self.weights:
            return 0.0
        return math.prod(self.fidelity.values()) if self.fidelity else math.inf


Proposal = Evaluate


@dataclass(frozen=True)
class Trial:
    """A proposal with its outcome.

    ``losses`` (all minimised) and ``violation`` (0 when every limit holds, else how far it is broken, relative to
    the limit) are what strategies look at; ``metrics`` are what people look at. A trial without a usable result has
    infinite losses. ``source_key`` is equal for two trials whose networks and settings are the same; ``same_as`` is the
    trial that was run in place of a cached one.
    """

    number: int
    proposal: Proposal
    state: State = "running"
    metrics: Mapping[str, float] = field(default_factory=dict)
    losses: tuple[float, ...] = ()
    violation: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    source_key: str = ""
    same_as: int | None = None

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
            and all(map(math.isfinite, self.losses))
        )

    @property
    def broken(self) -> bool:
        """Whether what is known of the trial breaks a limit."""
        return self.state in ("complete", "cached", "infeasible") and self.violation > 0


@dataclass(frozen=True)
class Objective:
    """One metric, and the direction in which it is better; perhaps traded against a ``cost``, see ``tradeoff``."""

    metric: str
    direction: Literal["max", "min"]
    cost: str = ""
    target: float = 1.0
    exponents: tuple[float, float] = (0.0, 0.0)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that it reads: its own, and that of its cost."""
        return (self.metric, self.cost) if self.cost else (self.metric,)

    def loss(self, metrics: Mapping[str, float]) -> float:
        """Return the metric as a loss to minimise; infinite where it, or its cost, is missing or not a number."""
        value = float(metrics.get(self.metric, math.nan))
        if self.cost:
            spent = float(metrics.get(self.cost, math.nan)) / self.target
            value *= math.nan if not spent > 0 else spent ** self.exponents[spent > 1]
        if not math.isfinite(value):
            return math.inf
        return -value if self.direction == "max" else value

    def to_json(self) -> dict[str, Any]:
        """Return the objective as JSON-ready data."""
        plain = {"metric": self.metric, "direction": self.direction}
        traded = {"cost": self.cost, "target": self.target, "exponents": list(self.exponents)}
        return {**plain, **traded} if self.cost else plain

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Objective:
        """Return the objective that ``to_json`` wrote."""
        plain = Objective(data["metric"], data["direction"])
        if not data.get("cost"):
            return plain
        below, above = data["exponents"]
        return replace(plain, cost=data["cost"], target=data["target"], exponents=(below, above))


def maximize(metric: str) -> Objective:
    """Return the objective of a large ``metric``."""
    return Objective(metric, "max")


def minimize(metric: str) -> Objective:
    """Return the objective of a small ``metric``."""
    return Objective(metric, "min")


def tradeoff(metric: str, cost: str, target: float, below: float = -0.07, above: float = -0.07) -> Objective:
    """Return the objective of a large ``metric * (cost / target) ** exponent``: MnasNet's reward (Tan et al., 2019).

    The exponent is ``below`` where the cost is at most the target, else ``above``. The paper's soft form has -0.07 for
    both: twice the latency is worth 5% of accuracy, for ``log2(1.05)`` is 0.07. Its hard form has 0 and -1: below the
    target only the metric counts. A limit, by contrast, is never broken. Every strategy takes it, as one objective.
    """
    return Objective(metric, "max", cost, target, (below, above))


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


def known_violation(metrics: Mapping[str, float], limits: Mapping[str, float]) -> float:
    """Return how far the metrics measured so far break the limits; one not measured yet breaks nothing."""
    return score(metrics, (), {name: bound for name, bound in limits.items() if name in metrics})[1]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Return whether losses ``a`` are nowhere worse than ``b`` and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def front(trials: Sequence[Trial]) -> list[Trial]:
    """Return the usable trials that no other usable trial dominates, in their given order."""
    kept: list[tuple[float, ...]] = []
    # In lexicographic order a trial can only be dominated by one before it, so one pass over the front is enough.
    for losses in sorted({t.losses for t in trials if t.usable}):
        if not any(dominates(better, losses) for better in kept):
            kept.append(losses)
    best = set(kept)
    return [t for t in trials if t.usable and t.losses in best]


def order(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials from best to worst, for one objective or several.

    Constrained domination (Deb et al., 2002): what breaks no limit comes before what does, less broken before more,
    and what has no result comes last. Several objectives: fewer dominating trials first (Fonseca and Fleming, 1993),
    among equals the less crowded first (Deb et al., 2002). Ties go by trial number, so the order is total and replays.
    """
    ranked = sorted(trials, key=rank)
    usable = sorted((t for t in ranked if t.usable), key=lambda t: t.number)  # equals are told apart by their number
    if not usable or len(usable[0].losses) == 1:
        return ranked
    losses = np.array([t.losses for t in usable])
    beaten = _dominators(losses)
    distances = crowding(losses, beaten)
    places = {t.number: (int(b), -float(c)) for t, b, c in zip(usable, beaten, distances, strict=True)}
    return [*sorted(usable, key=lambda t: (places[t.number], t.number)), *ranked[len(usable) :]]


def rank(trial: Trial) -> tuple[int, tuple[float, ...], int]:
    """Return what sorts trials of one objective as ``order`` does, so that a list of them can be kept sorted."""
    if trial.usable:
        return 0, trial.losses, trial.number
    return (1, (trial.violation,), trial.number) if trial.broken else (2, (), trial.number)


def _dominators(losses: np.ndarray) -> np.ndarray:
    """Return for each row of ``losses`` [n, objectives] how many rows dominate it [n]."""
    counts = np.empty(len(losses), dtype=np.int64)
    for start in range(0, len(losses), 256):  # in blocks, so that memory stays linear
        block = losses[start : start + 256, None, :]
        below = (losses[None] <= block).all(-1) & (losses[None] < block).any(-1)
        counts[start : start + 256] = below.sum(1)
    return counts


def crowding(losses: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the crowding distance [n] of each row of ``losses`` [n, objectives] within its group (Deb et al., 2002).

    The first and the last of a group in any objective have an infinite one; of equal rows, the first and the last.
    """
    distance = np.zeros(len(losses))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        for column in losses[rows].T:
            ranked = rows[np.argsort(column, kind="stable")]
            values = np.sort(column)
            distance[ranked[[0, -1]]] = np.inf
            if values[-1] > values[0]:
                distance[ranked[1:-1]] += (values[2:] - values[:-2]) / (values[-1] - values[0])
    return distance


def leaders(trials: Sequence[Trial]) -> list[Trial]:
    """Return the usable trials at the highest fidelity that any usable trial reached, in their given order.

    An empty fidelity is the full cost; otherwise a larger product of what is spent is the higher fidelity, and a score
    on shared weights the lowest.
    """
    usable = [t for t in trials if t.usable]
    reach = [t.proposal.spent for t in usable]
    return [t for t, r in zip(usable, reach, strict=True) if r == max(reach)]


@dataclass(frozen=True)
class Event:
    """One line of a study's log: what happened, to which trial, with which data.

    ``kind`` is ``"asked"`` (data: proposal, ask index, source_key, metrics known beforehand), ``"finished"`` (state,
    metrics, seconds, reason, same_as), ``"measured"`` (metrics found out later, such as a latency that nobody had asked
    for) or ``"note"`` (anything a person should be able to read later). ``data`` is JSON-ready; ``time`` is seconds
    since the epoch, for display only: order is the order of the log.
    """

    kind: str
    trial: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    time: float = 0.0


def apply_event(
    trials: dict[int, Trial], event: Event, objectives: Sequence[Objective], limits: Mapping[str, float]
) -> Trial | None:
    """Write one event of a log into the table of trials; return the trial it finished, or None.

    This is the one reader of the log: a study and a report see the same trials. Losses are settled here from the
    metrics, so a log can be read again with other objectives or limits.
    """
    data = event.data
    if event.trial is None or event.kind == "note":
        return None
    if event.kind == "asked":
        proposal = Evaluate.from_json(data["proposal"])
        known = dict(data.get("metrics") or {})
        trials[event.trial] = Trial(event.trial, proposal, metrics=known, source_key=data.get("source_key") or "")
        return None
    before = trials[event.trial]
    metrics = {**before.metrics, **(data.get("metrics") or {})}
    if event.kind == "measured" and before.state == "running":
        trials[event.trial] = replace(before, metrics=metrics)
        return None
    state: State = before.state if event.kind == "measured" else data["state"]
    losses, violation = score(metrics, objectives, limits)
    if state not in ("complete", "cached"):
        losses, violation = (math.inf,) * len(objectives), known_violation(metrics, limits)
    if event.kind == "measured":
        trials[event.trial] = replace(before, metrics=metrics, losses=losses, violation=violation)
        return None
    trials[event.trial] = Trial(
        number=before.number,
        proposal=before.proposal,
        state=state,
        metrics=metrics,
        losses=losses,
        violation=violation,
        seconds=float(data.get("seconds") or 0.0),
        reason=str(data.get("reason") or ""),
        source_key=before.source_key,
        same_as=data.get("same_as"),
    )
    return trials[event.trial]


def read_trials(
    events: Iterable[Event], objectives: Sequence[Objective], limits: Mapping[str, float] | None = None
) -> list[Trial]:
    """Return the trials of a log by number; those asked and never finished are ``running``."""
    trials: dict[int, Trial] = {}
    for event in events:
        apply_event(trials, event, objectives, limits or {})
    return [trials[number] for number in sorted(trials)]
