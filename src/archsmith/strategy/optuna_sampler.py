"""Optuna's samplers as strategies, and studies written where Optuna's dashboard reads them: the extra ``optuna``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np

from archsmith.errors import MissingExtra, SpaceError, UsageError, nearest
from archsmith.space import Answer, Arch, Decision, Space, valid, walk
from archsmith.strategy.abilities import Abilities
from archsmith.strategy.registry import Named
from archsmith.strategy.settings import check_settings
from archsmith.strategy.untried import distinct
from archsmith.trial import Evaluate, Objective, Proposal, Trial

__all__ = ["NAMED", "SAMPLERS", "OptunaSampler", "export_to_optuna"]

SAMPLERS = ("tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc")
# Optuna's CMA-ES raises at the first ask of a study of several objectives; the other samplers take any number.
_ABILITIES = {name: Abilities(many_objectives=name != "cmaes") for name in SAMPLERS}
_CLASSES = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
    "qmc": "QMCSampler",
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "tpe": {"constant_liar": True},
    "cmaes": {"warn_independent_sampling": False},
    "nsga2": {"population_size": 20},
    "nsga3": {"population_size": 20},
    "qmc": {"scramble": True, "warn_independent_sampling": False},
}
# What the adapter settles. With a margin Optuna notes a point of its own for each trial, and would learn from that
# instead of from what was tried.
_OURS = ("seed", "constraints_func", "with_margin", "warn_independent_sampling")
# How often what was tried is drawn again: a draw of the Gaussian process takes up to a second.
_TRIES = dict.fromkeys(SAMPLERS, 5) | {"gp": 1}
_PICKS = 4096


@cache
def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra(
            "Optuna's samplers need the package optuna: pip install 'archsmith[optuna]'. Without it, 'archsmith', "
            "'bananas' and 'evolution' search the same spaces."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@cache
def _class(sampler: str) -> Any:
    """Return Optuna's class of a sampler."""
    kind: Any = getattr(_optuna().samplers, _CLASSES[sampler])
    if sampler != "cmaes":
        return kind

    class CmaEsSampler(kind):  # type: ignore[misc]
        """Optuna's, except that it draws the same however many trials were asked for before without a result."""

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            unnumbered = copy(trial)
            unnumbered.number = 0  # it is added to the seed
            return super().sample_relative(study, unnumbered, search_space)

    return CmaEsSampler


@dataclass
class OptunaSampler:
    """Asks one of Optuna's samplers: ``tpe``, ``gp``, ``cmaes``, ``nsga2``, ``nsga3`` or ``qmc`` (Akiba et al., 2019).

    Decisions are asked by name as the space is walked, so conditionals are Optuna's own; an option is a category.
    ``cmaes`` takes one objective, and draws categories at random whatever was told, so there an option is asked by its
    place among the options: an order is assumed, and it is of use where the options have one, such as widths. The
    sampler's study is built from what was told; a sampler is seeded by the generator that is handed in for each ask,
    and what is running counts as running. What samplers keep between trials (generations, populations) is rehearsed as
    trials are told. The sampler hears of limits from the first trial on that breaks one, so that without limits it fits
    no model of them. ``settings`` are passed to the sampler's constructor. A proposal that was tried is drawn again, at
    most five times, by the slow ``gp`` once, and then replaced by a random one, so that nothing is tried twice.

    Raises ``MissingExtra`` where optuna, or for ``cmaes`` the package cmaes, is not installed.
    """

    space: Space
    sampler: str = "tpe"
    settings: Mapping[str, Any] = field(default_factory=dict)
    _told: list[Trial] = field(default_factory=list, init=False, repr=False, compare=False)
    _tried: set[Arch] = field(default_factory=set, init=False, repr=False, compare=False)
    _study: Any = field(default=None, init=False, repr=False, compare=False)
    _known: int = field(default=0, init=False, repr=False, compare=False)
    _worst: list[float] = field(default_factory=list, init=False, repr=False, compare=False)
    _limited: bool = field(default=False, init=False, repr=False, compare=False)
    _common: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UsageError(f"Optuna has no sampler {self.sampler!r} here. {nearest(self.sampler, SAMPLERS)}")
        _optuna()
        self._check_settings()
        if self.sampler == "cmaes":
            try:
                import cmaes  # noqa: F401
            except ImportError:
                raise MissingExtra(
                    "The sampler 'cmaes' needs the package cmaes: pip install 'archsmith[optuna]'."
                ) from None
        for decision in self.space.decisions.values():
            if decision.kind == "pick" and decision.size > _PICKS:
                raise SpaceError(
                    f"Decision {decision.key!r} has {decision.size:,} answers, too many categories for Optuna. "
                    "Use the strategy 'archsmith' or 'evolution'."
                )

    @property
    def abilities(self) -> Abilities:
        """Those of the sampler: ``cmaes`` takes one objective, the others any number."""
        return _ABILITIES[self.sampler]

    @property
    def called(self) -> str:
        """What a refusal calls it: the class alone would be that of samplers that can, too."""
        return f"OptunaSampler {self.sampler!r}"

    def ask(self, n: int, rng: np.random.Generator, running: Sequence[Trial]) -> Sequence[Proposal]:
        """Return up to ``n`` architectures that were never tried."""
        if not n:
            return ()
        seed = int(rng.integers(2**31))
        if self.sampler == "qmc":
            study, open_ = self._sequence([*self._told, *running], seed), []
        else:
            study = self._caught_up()
            study.sampler = self._made(seed)
            open_ = [self._rehearsed(study, t.arch) for t in running]
        chosen: dict[Arch, None] = {}
        taken = self._tried | {t.arch for t in running}
        for _ in range(n + _TRIES[self.sampler]):
            trial = study.ask()
            open_.append(trial)
            arch = walk(self.space, partial(_suggested, trial, self._ordered))
            if arch not in taken and valid(self.space, arch):
                chosen.setdefault(arch)
            if len(chosen) == n:
                break
        for trial in open_:  # it leaves no trace: samplers look at what is complete or running
            study.tell(trial, state=_optuna().trial.TrialState.FAIL)
        more = distinct(n - len(chosen), self.space, rng, (taken, chosen))
        return [Evaluate(arch) for arch in (*chosen, *more)]

    def tell(self, trial: Trial) -> None:
        """Take note of the trial."""
        self._tried.add(trial.arch)
        if trial.usable or trial.broken:
            self._told.append(trial)
        if trial.broken and not self._limited:
            self._limited, self._study = True, None  # all are told again, with how far they keep the limits

    @property
    def _ordered(self) -> bool:
        return self.sampler == "cmaes"

    def _check_settings(self) -> None:
        """Raise ``UsageError`` for settings that the sampler does not have, or does not take."""
        kind = _class(self.sampler)
        check_settings(f"Optuna's {kind.__name__}", kind, self.settings, _OURS)
        try:
            self._made(0)
        except (TypeError, ValueError, AssertionError) as error:
            raise UsageError(f"Optuna's {kind.__name__} refuses the settings {dict(self.settings)}: {error}") from error

    def _made(self, seed: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", _optuna().exceptions.ExperimentalWarning)
            made = self._sampler(seed)
        # A new sampler would gather anew what all trials have in common, so it is handed on.
        for name, value in vars(made).items():
            if isinstance(value, _optuna().search_space.IntersectionSearchSpace):
                setattr(made, name, self._common)
        return made

    def _sampler(self, seed: int) -> Any:
        return _class(self.sampler)(seed=seed, **{**_DEFAULTS.get(self.sampler, {}), **self.settings})

    def _sequence(self, before: Sequence[Trial], seed: int) -> Any:
        """Return a study whose next trial is the next point of one sequence, scrambled by its first architecture."""
        optuna = _optuna()
        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(storage=storage, study_name="sequence")
        if not before:
            study.sampler = optuna.samplers.RandomSampler(seed=seed)
            return study
        first = min(before, key=lambda t: t.number).arch
        study.sampler = self._made(int(first.id[:7], 16))
        study.tell(self._rehearsed(study, first), 0.0)  # its decisions are those of the sequence
        study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
        number = storage.get_study_id_from_name("sequence")
        for counter in storage.get_study_system_attrs(number):
            storage.set_study_system_attr(number, counter, len(before) - 1)
        return study

    def _caught_up(self) -> Any:
        """Return the study that knows all that was told."""
        optuna = _optuna()
        known = next((len(t.losses) for t in self._told if t.usable), 1)
        if self._study is None or len(self._study.directions) != known:
            self._study = optuna.create_study(directions=["minimize"] * known)
            self._known, self._worst = 0, [0.0] * known
            self._common = optuna.search_space.IntersectionSearchSpace()
        for index in range(self._known, len(self._told)):
            self._add(self._study, self._told[index], index)
        self._known = len(self._told)
        return self._study

    def _add(self, study: Any, trial: Trial, index: int) -> None:
        optuna = _optuna()
        values = self._values(trial, first=not index)
        if self.sampler in ("tpe", "gp"):  # these only look at results
            params, distributions = _described(self.space, trial.arch, self._ordered)
            known = optuna.trial.create_trial(params=params, distributions=distributions, values=values)
            self._limit(known, trial)
            study.add_trial(known)
            return
        study.sampler = self._made(index)
        asked = self._rehearsed(study, trial.arch)
        if self.sampler == "cmaes":  # it knows no constraints: what breaks a limit is worse than anything else
            values = [1e9 if trial.violation > 0 else value for value in values]
        else:
            self._limit(asked, trial)
        study.tell(asked, values)
        due = study.ask()
        _ = due.relative_params  # a generation that is due is formed now
        study.tell(due, state=optuna.trial.TrialState.FAIL)

    def _limit(self, known: Any, trial: Trial) -> None:
        if self._limited:
            known.set_constraint("limits", min(trial.violation, 1e9))

    def _values(self, trial: Trial, first: bool) -> list[float]:
        """Return the losses; what was not measured is as bad as the worst before.

        A number beyond all others would leave a Gaussian process no scale to tell those apart.
        """
        losses = (*trial.losses, *[math.inf] * len(self._worst))[: len(self._worst)]
        values = [v if math.isfinite(v) else worst for v, worst in zip(losses, self._worst, strict=True)]
        self._worst = values if first else [max(pair) for pair in zip(values, self._worst, strict=True)]
        return values

    def _rehearsed(self, study: Any, arch: Arch) -> Any:
        """Return a trial that asked for just this architecture."""
        study.enqueue_trial(_described(self.space, arch, self._ordered)[0])
        trial = study.ask()
        _ = trial.relative_params  # samplers note here which generation a trial is of, and only when they are asked
        walk(self.space, partial(_suggested, trial, self._ordered))
        return trial


def _distribution(decision: Decision, ordered: bool = False) -> Any:
    """Return what Optuna is asked for; a choice or pick is the place of its answer, a category unless ``ordered``."""
    distributions = _optuna().distributions
    if decision.kind == "real":
        return distributions.FloatDistribution(decision.low, decision.high, log=decision.log)
    if decision.kind == "integer":
        log = decision.log and decision.low >= 1
        return distributions.IntDistribution(int(decision.low), int(decision.high), log=log)
    if ordered:
        return distributions.IntDistribution(0, int(decision.size) - 1)
    return distributions.CategoricalDistribution(list(range(int(decision.size))))


def _suggested(trial: Any, ordered: bool, decision: Decision) -> Answer:
    """Return the answer that an Optuna trial gives; choices and picks are asked by the place of their answer."""
    wanted = _distribution(decision, ordered)
    if decision.kind == "real":
        return float(trial.suggest_float(decision.key, wanted.low, wanted.high, log=wanted.log))
    if decision.kind == "integer":
        return int(trial.suggest_int(decision.key, wanted.low, wanted.high, log=wanted.log))
    place: int = (
        trial.suggest_int(decision.key, wanted.low, wanted.high)
        if ordered
        else trial.suggest_categorical(decision.key, wanted.choices)
    )
    return list(decision.answers())[place]


def _described(space: Space, arch: Arch, ordered: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an architecture as Optuna's parameters and their distributions."""
    params, distributions = {}, {}
    for key, answer in arch.items():
        decision = space.decisions[key]
        distributions[key] = _distribution(decision, ordered)
        params[key] = answer if decision.kind in ("integer", "real") else _place(decision, answer)
    return params, distributions


def _place(decision: Decision, answer: Answer) -> int:
    return next(i for i, a in enumerate(decision.answers()) if type(a) is type(answer) and a == answer)


def export_to_optuna(
    space: Space, trials: Sequence[Trial], objectives: Sequence[Objective], storage: str, name: str = "study"
) -> int:
    """Write the trials of a study into Optuna's storage, such as ``sqlite:///study.db``, and return their number.

    Optuna's dashboard opens it: objectives keep their metrics' names and directions, answers are written as they read,
    all other metrics, the state's reason and the fidelity are attributes. Failed, stopped and infeasible trials are
    written as failed. Raises ``UsageError`` where the storage already has a study of this name.
    """
    optuna = _optuna()
    directions = ["maximize" if o.direction == "max" else "minimize" for o in objectives]
    try:
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    except optuna.exceptions.DuplicatedStudyError:
        raise UsageError(f"{storage} already has a study {name!r}. Give another name.") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([" against ".join(o.metrics) for o in objectives])
    ended = [t for t in trials if t.state != "running"]
    for trial in ended:
        study.add_trial(_written(optuna, space, trial, objectives))
    return len(ended)


def _written(optuna: Any, space: Space, trial: Trial, objectives: Sequence[Objective]) -> Any:
    complete = trial.state in ("complete", "cached") and all(map(math.isfinite, trial.losses))
    params, distributions = {}, {}
    for key, answer in trial.arch.items():
        decision = space.decisions[key]
        if decision.kind in ("integer", "real"):
            params[key], distributions[key] = answer, _distribution(decision)
        else:
            labels = [str(a) if isinstance(a, tuple) else a for a in decision.answers()]
            if len(set(labels)) < len(labels):  # 1 and True are one label to Optuna
                labels = [repr(a) for a in decision.answers()]
            params[key] = labels[_place(decision, answer)]
            distributions[key] = optuna.distributions.CategoricalDistribution(labels)
    attributes = {"number": trial.number, "arch": trial.arch.id, "state": trial.state, "seconds": trial.seconds}
    attributes |= {f"fidelity {k}": v for k, v in trial.proposal.fidelity.items()}
    attributes |= {k: v for k, v in trial.metrics.items() if math.isfinite(v)}
    attributes |= {"reason": trial.reason} if trial.reason else {}
    written = optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE if complete else optuna.trial.TrialState.FAIL,
        params=params,
        distributions=distributions,
        values=[_value(o, trial.metrics) for o in objectives] if complete else None,
        user_attrs=attributes,
    )
    written.set_constraint("limits", min(trial.violation, 1e9))
    return written


def _value(objective: Objective, metrics: Mapping[str, float]) -> float:
    """Return what Optuna is to compare: the metric, traded against its cost where it has one."""
    loss = objective.loss(metrics)
    return -loss if objective.direction == "max" else loss


# Under the names by which the field knows them; those that Archsmith has of its own are Optuna's by their first word.
NAMED = tuple(
    Named(name, partial(OptunaSampler, sampler=sampler), _ABILITIES[sampler])
    for name, sampler in (
        ("tpe", "tpe"),
        ("optuna_gp", "gp"),
        ("cmaes", "cmaes"),
        ("optuna_nsga2", "nsga2"),
        ("nsga3", "nsga3"),
        ("qmc", "qmc"),
    )
)
