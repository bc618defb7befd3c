"""What was asked for, resolved and checked before anything is read or trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from archsmith.errors import SpaceError, UsageError, nearest
from archsmith.quantities import parse_bytes, parse_count, parse_latency_ms
from archsmith.redact import redact
from archsmith.strategy import find
from archsmith.trial import Objective, maximize, minimize

__all__ = [
    "FORMATS",
    "LIMITS",
    "METRICS",
    "OWN",
    "SPACES",
    "Request",
    "resolve_family",
    "resolve_limits",
    "resolve_objectives",
]

FORMATS = ("pt2", "onnx")
SPACES = ("mobile", "cell", "darts", "hierarchical", "mlp")  # the ready-made ones: a wrong name is told at once
OWN = "your own"  # the name of a space that was given as an object
LIMITS = ("latency_ms", "params", "macs", "activation_bytes")
_ALIASES = {"latency": "latency_ms", "memory": "activation_bytes"}
METRICS: Mapping[str, Objective] = {
    o.metric: o
    for o in (
        *(maximize(m) for m in ("accuracy", "balanced_accuracy", "macro_f1", "r2")),
        *(minimize(m) for m in ("log_loss", "rmse", "mae", *LIMITS)),
    )
}


@dataclass(frozen=True)
class Request:
    """A search as it was asked for, with every default filled in; what ``run.toml`` holds.

    ``budget`` is in seconds. ``trials`` bounds the number of proposals beside the time. ``limits`` are upper bounds
    by metric, latency in milliseconds, memory in bytes. ``executor`` is ``"auto"``, ``"inline"``, ``"processes"``
    or ``"ray"``.
    ``store`` is the address of the database that keeps the log; None for a file in the run folder.
    ``method`` is a way of searching on shared weights; empty for training every candidate on its own.
    ``weights`` is a run or a folder whose weights the bank begins with. ``family`` names at most one metric, with the
    upper bounds for each of which there is to be a network, in rising order; the first is in ``limits`` as well.
    ``finalists`` is how many get a final training (None: what the time allows), ``options`` further ones for reading
    the data, and ``started_in`` the folder that ``source`` and ``space`` are relative to.
    """

    source: str
    budget: float
    target: str | int | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ()
    space: str = ""
    strategy: str = "halving"
    seed: int = 0
    trials: int | None = None
    device: str = "auto"
    executor: str = "auto"
    folds: int = 0
    formats: tuple[str, ...] = FORMATS
    name: str = ""
    in_memory: bool = False
    store: str | None = None
    finalists: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    started_in: str = ""
    method: str = ""
    weights: str = ""
    family: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("executor", self.executor, ("auto", "inline", "processes", "ray")),
            *(("format", f, FORMATS) for f in self.formats),
        ):
            if value not in allowed:
                raise UsageError(f"There is no {what} called {value!r}. {nearest(value, allowed)}")
        find(self.strategy)
        named = self.space.rpartition(":")[0] or self.space
        if self.space not in ("", OWN, *SPACES) and not named.endswith(".py"):
            raise SpaceError(
                f"There is no space {self.space!r}. {nearest(self.space, SPACES)} For one of your own, name its file: "
                "mynet.py:space."
            )
        for what, number in (("trials", self.trials), ("finalists", self.finalists)):
            if number is not None and number < 1:
                raise UsageError(f"{what} is {number}; at least 1 is needed.")

    @property
    def repeatable(self) -> bool:
        """Whether nothing may depend on the clock, so that the same seed gives the same network."""
        return self.trials is not None and self.executor == "inline"

    def to_toml(self) -> dict[str, Any]:
        """Return the request as data a TOML file can hold: unset values are left out, passwords are hidden."""
        values = {k: v for k, v in self.__dict__.items() if v is not None and k not in ("objectives", "formats")}
        if self.store is not None:
            values["store"] = redact(self.store)
        values["options"] = {k: v for k, v in self.options.items() if isinstance(v, str | int | float | bool)}
        objectives = [o.to_json() for o in self.objectives]
        family = {"family": {k: list(bounds) for k, bounds in self.family.items()}}
        return {
            **values, **family, "limits": dict(self.limits), "objectives": objectives, "formats": list(self.formats)
        }  # fmt: skip

    @staticmethod
    def from_toml(data: Mapping[str, Any]) -> Request:
        """Return the request that ``to_toml`` wrote; keys it does not know are passed over."""
        values = {f.name: data[f.name] for f in fields(Request) if f.name in data}
        values["objectives"] = tuple(Objective.from_json(o) for o in data.get("objectives", ()))
        values["formats"] = tuple(data.get("formats", FORMATS))
        values["family"] = {k: tuple(map(float, bounds)) for k, bounds in data.get("family", {}).items()}
        return Request(**values)


def resolve_limits(limits: Mapping[str, str | float]) -> dict[str, float]:
    """Return limits as numbers by metric: latency in ms, counts plain. Raises ``UsageError`` with the nearest name."""
    found: dict[str, float] = {}
    for given, value in limits.items():
        name = _ALIASES.get(given, given)
        if name not in LIMITS:
            raise UsageError(f"There is no limit called {given!r}. {nearest(given, (*LIMITS, *_ALIASES))}")
        parse = {"latency_ms": parse_latency_ms, "activation_bytes": parse_bytes}.get(name, parse_count)
        found[name] = float(parse(value, given))
    return found


def resolve_family(
    limits: Mapping[str, str | float | Sequence[str | float]],
) -> tuple[dict[str, float], dict[str, tuple[float, ...]]]:
    """Return the limits of the strictest network, and the bounds of the one metric that has several, in rising order.

    Raises ``UsageError`` as ``resolve_limits`` does, and where more than one metric has several bounds.
    """
    single: dict[str, float] = {}
    family: dict[str, tuple[float, ...]] = {}
    for given, value in limits.items():
        several = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        resolved = [resolve_limits({given: bound}) for bound in several]
        name = next(iter(resolved[0]), given) if resolved else given
        bounds = tuple(sorted({r[name] for r in resolved}))
        if not bounds:
            raise UsageError(f"The limit {given!r} has no value.")
        single[name] = bounds[0]
        if len(bounds) > 1:
            family[name] = bounds
    if len(family) > 1:
        raise UsageError(
            f"Several values were given for {' and '.join(family)}. There can be a network for each value of one "
            "limit; give one value for the others."
        )
    return single, family


def resolve_objectives(objectives: Sequence[str | Objective], main: Objective | None = None) -> tuple[Objective, ...]:
    """Return objectives from their metrics' names; the task's main one alone when none is given.

    Costs come last: of several objectives the first counts most. A cost alone cannot be the goal (the smallest network
    would win), so the main one is added where it lacks, if it is known yet.
    Raises ``UsageError`` with the nearest name.
    """
    found: list[Objective] = []
    for given in objectives:
        name = _ALIASES.get(given, given) if isinstance(given, str) else given.metric
        if isinstance(given, str) and name not in METRICS:
            raise UsageError(f"There is no objective called {given!r}. {nearest(given, (*METRICS, *_ALIASES))}")
        found.append(METRICS[name] if isinstance(given, str) else given)
    found.sort(key=lambda objective: objective.metric in LIMITS)
    no_quality = not found or found[0].metric in LIMITS
    return (main, *found) if no_quality and main is not None else tuple(found)
