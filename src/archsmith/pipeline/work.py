"""The phases between the data and the shipping: measure, search, train the finalists, compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from archsmith.build.cost import cost, meta_cost
from archsmith.build.latency import latency
from archsmith.build.module import build
from archsmith.build.source import source_key
from archsmith.errors import BudgetError, LimitError
from archsmith.estimate import CrossValidated, Machine, Settings, TrainEstimator, measure_machine, unmeasured_machine
from archsmith.execute import Executor
from archsmith.pipeline.added import measure_added
from archsmith.pipeline.clock import Clock, Shares
from archsmith.pipeline.comparisons import Comparison, boosting, contenders, train_contenders
from archsmith.pipeline.executors import LEAST_SECONDS, make_executor
from archsmith.pipeline.finalists import Finalist, choose, train_finalists, wanted_epochs
from archsmith.pipeline.folder import read_json, write_json
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.load import Load
from archsmith.pipeline.pause import Pause
from archsmith.pipeline.quota import Quota
from archsmith.pipeline.screen import (
    PROBED,
    Pace,
    Probe,
    Screen,
    Tempo,
    approach,
    corrected,
    listens,
    measure_tempo,
    nothing_fits,
    probe,
    shipped,
)
from archsmith.request import LIMITS, Request
from archsmith.space import Arch, Space, completed, sample, settings
from archsmith.spaces import starts, usual_training
from archsmith.store import PostgreSQLStore, SQLiteStore, Store, mirror_path
from archsmith.strategy import First, Strategy, abilities_of, find, make
from archsmith.study import Study
from archsmith.task import Task
from archsmith.trial import Evaluate, Event, Objective, Trial, known_violation

__all__ = [
    "BEGUN",
    "BUSY",
    "ETA",
    "LEAST_EPOCHS",
    "LONG_ENOUGH",
    "MEASURED_LATER",
    "MOST_CANDIDATES",
    "MOST_KEPT_BACK",
    "RUNGS",
    "Progress",
    "Work",
    "costs",
]

Progress = Callable[[Mapping[str, Any]], None]
_UNTRIED = "untried"
_MARGIN = 0.05  # below a latency limit, for what is measured once more later
ETA = 3
RUNGS = 3
BEGUN = 12
BUSY = 1.25  # times longer than on an idle machine, from which on what was measured refuses nothing
LONG_ENOUGH = 60.0  # seconds of search from which on starting workers pays
LEAST_EPOCHS = 10
MEASURED_LATER = 0.25  # of the time for searching, what measuring earlier trials anew may take
MOST_CANDIDATES = 12
MOST_KEPT_BACK = 0.75  # of what is left when the final training begins, the most that is kept for what comes after
# Settings for the tens of trials that fit into a person's time, where the papers had thousands.
_SMALL: Mapping[str, Mapping[str, Any]] = {"evolution": {"population": 8, "sample": 3, "crossover": 0.3}}


@dataclass
class Work:
    """A search under way: what was asked, and what each phase has found so far."""

    request: Request
    task: Task
    space: Space
    folder: Path
    clock: Clock
    shares: Shares
    announce: Callable[[str], None]
    say: Progress
    journal: Journal
    pause: Pause = field(default_factory=Pause)
    machine: Machine = field(default_factory=Machine)
    tempo: Tempo | None = None
    screen: Screen | None = None
    limits: dict[str, float] = field(default_factory=dict)
    probed: Probe = field(default_factory=lambda: Probe(0, 0))
    study: Study | None = None
    store: Store | None = None
    finalists: list[Finalist] = field(default_factory=list)
    compared: list[Comparison] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    first: tuple[Arch, ...] = ()
    leading: Trial | None = None
    quota: Quota | None = None
    preferred: tuple[Arch, ...] = ()
    rivals: dict[str, Arch] = field(default_factory=dict)
    family: list[tuple[float, Finalist]] = field(default_factory=list)
    archs: dict[str, Arch] = field(default_factory=dict)
    begin: Callable[[Arch], nn.Module] | None = None
    sharing: dict[str, Any] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Tell something that a person should know."""
        self.say({"type": "note", "text": text})

    def run(self) -> None:
        """Go through the phases after the measuring, up to the comparisons."""
        self.look()
        self.train()
        self.compare()

    def close(self) -> None:
        """Let go of the log."""
        if self.store is not None:
            self.store.close()

    @property
    def openings(self) -> int:
        """How often the test split was opened in the life of the run: once for each choice that was frozen."""
        return len(list(self.journal.folder.glob("*-opening.json")))

    @property
    def objective(self) -> Objective:
        """The main objective: the first that is not a cost."""
        return next(o for o in self.request.objectives if o.metric not in LIMITS)

    @property
    def pace(self) -> Pace:
        """The predicted seconds of an epoch by architecture, when one training has the machine to itself."""
        assert self.tempo is not None
        return Pace(self.space, self.task.spec.input_shape, self.tempo)

    def measure(self) -> None:
        """Measure how fast trainings run here, and find out whether anything satisfies the limits."""
        self.announce("measure the machine")
        load, began = Load(), self.clock.elapsed()
        rng = np.random.default_rng([self.request.seed, 1])
        known = self.journal.get("measure")
        if known is None:
            typical = self._typical(rng)
            recipe = Settings.from_values(settings(self.space, typical))
            share = self.shares.measure
            self.machine = self._machine(typical, recipe, 0.5 * share)
            self.tempo = measure_tempo(self.space, self.task, self.machine.alone(), rng, 0.4 * share)
            slow = load.slowdown(self.clock.elapsed() - began)
            good = self._good_training() if slow <= BUSY else 0.0
            self.shares = self.shares.slowed(slow).lengthened(good)
            epoch, shared_epoch = self._longest_epochs(rng, busy=slow > BUSY)
        else:
            self.machine = Machine.from_json(known["machine"])
            self.tempo = Tempo(tuple(known["coefficients"]), known["steps"])
            slow, epoch = float(known["slow"]), float(known["epoch_seconds"])
            shared_epoch, good = float(known.get("shared_epoch_seconds", epoch)), float(known.get("good_training", 0.0))
            self.shares = self.shares.slowed(slow).lengthened(good)
        for text in self.machine.notes:
            self.note(text)
        # Where the number of trials is given, nothing may depend on the clock: the same seed is the same search.
        strict = {**self.request.limits, **({} if self.request.trials else {"epoch_seconds": epoch})}
        # Of several values of a limit the search keeps the loosest; that the strictest can be kept is seen at once.
        self.limits = limits = {**strict, **{name: max(bounds) for name, bounds in self.request.family.items()}}
        timed = "latency_ms" in self.request.limits or any(o.metric == "latency_ms" for o in self.request.objectives)
        self.screen = Screen(self.space, self.task, limits, self.tempo, timed)
        if known is not None and known["limits"] == limits:
            starts = tuple(Arch.from_json(a) for a in known["starts"])
            self.probed = Probe(known["drawn"], known["accepted"], starts)
            return
        path = self.folder / "env.json"
        write_json(path, {**(read_json(path) or {}), "threads": self.machine.threads})
        least = PROBED if self.request.repeatable else 4
        self.probed = probe(self.space, replace(self.screen, limits=strict), strict, rng, least=least)
        self.journal.put(
            "measure",
            {
                "machine": self.machine.to_json(),
                "coefficients": list(self.tempo.coefficients),
                "steps": self.tempo.steps,
                "epoch_seconds": epoch,
                "shared_epoch_seconds": shared_epoch,
                "slow": slow,
                "good_training": good,
                "limits": limits,
                "drawn": self.probed.drawn,
                "accepted": self.probed.accepted,
                "starts": [a.to_json() for a in self.probed.starts],
            },
        )

    def share_weights(self) -> None:
        """Plan the time anew for a search on shared weights, which was decided on after the machine was measured.

        The final trainings get less then, and so less is what an epoch may take.
        """
        assert self.screen is not None
        self.shares = self.shares.shared()
        known = (self.journal.get("measure") or {}).get("shared_epoch_seconds")
        if known is not None and "epoch_seconds" in self.limits:
            self.limits = {**self.limits, "epoch_seconds": float(known)}
            self.screen = replace(self.screen, limits=self.limits)

    def _machine(self, typical: Arch, recipe: Settings, seconds: float) -> Machine:
        device = None if self.request.device == "auto" else self.request.device
        if self.request.repeatable:
            usual = unmeasured_machine(device)
            note = (
                "nothing else was measured, so that the same seed is the same search: float32, one training at a time"
            )
            return replace(usual, notes=(*usual.notes, note))
        return measure_machine(self.task, lambda: build(self.space, typical, seed=0), recipe, seconds, device=device)

    def _typical(self, rng: np.random.Generator) -> Arch:
        """Return the middle one of a few random architectures by multiply-adds: what is measured should be usual."""
        drawn = [sample(self.space, rng) for _ in range(7)]
        shape = self.task.spec.input_shape
        return sorted(drawn, key=lambda a: meta_cost(self.space, a, shape).macs)[len(drawn) // 2]

    def _good_training(self) -> float:
        """Return the seconds of a good training of the fastest network to begin with; 0 where none is known."""
        least = min((self.pace(arch) for arch in starts(self.space)), default=0.0)
        return wanted_epochs(self.task.spec.samples) * least

    def _longest_epochs(self, rng: np.random.Generator, busy: bool) -> tuple[float, float]:
        """Return how many seconds an epoch may take, as planned and where weights are shared.

        What cannot be trained in the budget is not worth a look: a network must get ten epochs or more in the final
        training. Where the budget is so small that hardly any does, the fastest quarter of the space is what can be
        looked at. Refuses a budget in which none gets a single epoch, unless other programs kept the machine ``busy``
        while it was measured.
        """
        drawn = [self.pace(sample(self.space, rng)) for _ in range(16)]
        fastest, affordable = min(drawn), self.shares.final / LEAST_EPOCHS
        if fastest > self.shares.final and not busy:
            raise BudgetError(
                f"A budget of {self.request.budget:.0f} s is too small for even one training: the fastest of "
                f"{len(drawn)} random networks takes {fastest:.0f} s for one pass over the data here. Give at least "
                f"--budget {self.request.budget * fastest / self.shares.final:.0f}s."
            )
        if fastest > affordable:
            self.note(f"even the fastest of {len(drawn)} random networks gets fewer than {LEAST_EPOCHS} epochs here")
        usual = float(np.quantile(drawn, 0.25))
        return max(affordable, usual), max(self.shares.shared().final / LEAST_EPOCHS, usual)

    def look(self) -> None:
        """Search."""
        self.announce("search")
        assert self.screen is not None
        share = min(
            self.shares.search - self.clock.spent.get("search", 0.0),
            self.clock.left(self.shares.final + self.shares.ship),
        )
        plan = self.journal.get("plan")
        if plan is None:
            unit, rungs = self._rungs(max(share, 1.0))
            first = [a.to_json() for a in self._first()]
            workers = self._workers(share)
            plan = self.journal.put("plan", {"unit": unit, "rungs": rungs, "first": first, "workers": workers})
        unit, rungs, workers = plan["unit"], tuple(plan["rungs"]), bool(plan["workers"])
        self.first = tuple(Arch.from_json(a) for a in plan["first"])
        machine = self.machine if workers else self.machine.alone()
        estimator = TrainEstimator(self.task, self.space, machine, rungs[-1])
        if unit == "cost":
            estimator = replace(estimator, pace=self.pace, full_cost=rungs[-1])
        evaluate = CrossValidated(estimator) if self.request.folds else estimator
        asked = self.request, machine, self.folder, share
        executor = make_executor(evaluate, *asked, workers=workers, pause=self.pause, note=self.note)
        self.study_with(self._strategy(unit, rungs), executor, share)

    def study_with(
        self, strategy: Strategy, executor: Executor, share: float, objectives: Sequence[Objective] = ()
    ) -> None:
        """Search with a strategy for ``share`` seconds, or for the number of trials that was asked for."""
        self.quota = Quota.of(self.folder)
        store = self._store()
        self._measure_added(store, share)
        self.study = Study(
            self.space,
            strategy,
            objectives=objectives or self.request.objectives,
            limits=self.limits,
            screen=self.screen,
            key=lambda arch: source_key(self.space, arch),
            executor=executor,
            store=store,
            folder=self.folder,
            seed=self.request.seed,
            name=self.folder.name,
            on_event=self._told,
            interrupted=self.pause,
        )
        try:
            # On a machine so slow that measuring took it all, what is known to be good is trained.
            if share > 0 and self.journal.get("searched") is None:
                try:
                    with self.pause.gently():
                        self.study.run(trials=self.request.trials, seconds=share)
                except LimitError as error:  # but the probe found some that keep the limits
                    self.note(str(error))
                if self.study.ended == "stopped":
                    self.pause.check()
            elif share <= 0:
                self.study.abandon("deadline: the trial could not go on, for the time for searching was over")
        finally:
            executor.close()
            self.close()
        self.journal.put("searched", {"ended": self.study.ended})
        self.tempo = corrected(self.pace, self.study.trials)
        self.pause.check()

    def _measure_added(self, store: Store, share: float) -> None:
        """Measure what was not asked for when earlier trials ran, as after a limit was added to a run."""
        assert self.screen is not None
        seconds = math.inf if self.request.trials else max(MEASURED_LATER * share, LEAST_SECONDS)
        wanted = (self.request.objectives, self.limits)
        done, left = measure_added(store, self.folder.name, self.screen, *wanted, seconds)
        if done or left:
            rest = f"; {left} were not, and are left out" if left else ""
            self.note(f"{done} earlier trials were measured for what is asked for now{rest}")

    def _rungs(self, share: float) -> tuple[str, tuple[float, ...]]:
        """Return what is spent at each rung, and its unit.

        Predicted seconds, the lowest rung so short that ``BEGUN`` architectures can be begun in the share: in a
        budget of time a small network gets more epochs than a large one. Where the number of trials is given it is
        epochs, and nothing here depends on the clock, so that the same seed is the same search.
        """
        if self.request.trials is not None:
            lowest = 2.0 ** round(np.log2(wanted_epochs(self.task.spec.samples) / 16))
            return "epochs", tuple(lowest * ETA**i for i in range(RUNGS))
        # With half of each rung spent on its cool-down, a promotion costs the new rung less half of the old one.
        price = 1 + sum((ETA**i - 0.5 * ETA ** (i - 1)) / ETA**i for i in range(1, RUNGS))
        return "cost", tuple(share / (BEGUN * price) * ETA**i for i in range(RUNGS))

    def _strategy(self, unit: str, rungs: tuple[float, ...]) -> Strategy:
        name, first = self.request.strategy, self.first
        spending: dict[str, Any] = {"fidelity": unit, "minimum": rungs[0], "maximum": rungs[-1], "eta": ETA}
        if name == "halving":
            evolution = make("evolution", self.space, **_SMALL["evolution"])
            return make(name, self.space, strategy=First(evolution, first) if first else evolution, **spending)
        if abilities_of(find(name)).fidelities:
            return make(name, self.space, **spending)
        made = make(name, self.space, **_SMALL.get(name, {}))
        return First(made, first) if first and name != "random" else made

    def _first(self) -> tuple[Arch, ...]:
        """Return what to try first: known good designs within the limits, and what was found where that is rare."""
        known = tuple(a for a in starts(self.space) if self.fits(a))
        return (*known, *(self.probed.starts if self.probed.rare else ()))

    def _workers(self, share: float) -> bool:
        """Return whether to use worker processes: they take seconds to start, but keep a trial's faults to itself."""
        if self.request.executor != "auto":
            return self.request.executor != "inline"
        return share >= LONG_ENOUGH and self.machine.device == "cpu"

    def _store(self) -> Store:
        path = self.folder / "store.sqlite"
        if self.request.store is None:
            self.store = SQLiteStore(path)
        else:
            self.store = PostgreSQLStore(self.request.store, mirror=mirror_path(path))
        return self.store

    def _told(self, event: Event) -> None:
        """Pass a study's event on as progress."""
        assert self.study is not None
        if event.trial is None:
            return
        state = event.data["state"] if event.kind == "finished" else "running"
        self.leading = _ahead(self.leading, self.study.trial(event.trial))
        if event.kind == "finished":
            self._keep_room(event)
        metrics = dict(event.data.get("metrics", {}))
        self.say(
            {
                "type": "trial",
                "number": event.trial,
                "state": state,
                "metrics": metrics,
                "best": dict(self.leading.metrics) if self.leading else {},
            }
        )

    def _keep_room(self, event: Event) -> None:
        """Delete checkpoints that there is no room for, and tell what else a person should know of a trial's end."""
        assert self.study is not None and self.quota is not None and event.trial is not None
        if event.data.get("note"):
            self.note(f"trial {event.trial} {event.data['note']}")
        gone = self.quota.ended(event.trial, lambda: self.study.trials if self.study else ())
        if gone:
            limit = self.quota.limit / 1e9
            self.note(f"checkpoints of trials {', '.join(map(str, gone))} were deleted: all may take {limit:.1f} GB")

    def _candidates(self) -> list[Trial]:
        """Return the trials worth a final training; a random one where the search had no time to finish any.

        A result is promised, so what fits the limits is trained, and the report says how it was chosen. Raises
        ``LimitError`` where nothing does.
        """
        assert self.study is not None
        chosen = choose(self.study.trials, MOST_CANDIDATES)
        if chosen:
            usable = {t.arch: t for t in reversed(self.study.trials) if t.usable}
            kept = [arch for arch in self.preferred if arch in usable or self.request.family]
            first = [usable[arch] if arch in usable else self._not_trained(arch) for arch in kept]
            return [*first, *(t for t in chosen if t.arch not in self.preferred)][:MOST_CANDIDATES]
        failed = sorted({t.reason for t in self.study.trials if t.state == "failed"})
        self.note(
            "the search finished no training in its share of the budget, so the network is an untried one that "
            f"satisfies the limits{': ' + failed[0] if failed else ''}"
        )
        return [self._not_trained(self._untried())]

    def _not_trained(self, arch: Arch) -> Trial:
        """Return an architecture that no trial was about, as a trial that came to nothing."""
        assert self.study is not None
        losses = tuple(math.inf for _ in self.request.objectives)
        return Trial(len(self.study.trials), Evaluate(arch), "stopped", losses=losses, reason=_UNTRIED)

    def _untried(self) -> Arch:
        """Return the first of the known designs and probed architectures that keeps every limit that was asked for.

        Where a limit has several values that is the strictest, while the search, and its known designs, keep to the
        loosest.
        """
        assert self.screen is not None
        strict = replace(self.screen, limits=self.request.limits)
        known = (*self.first, *self.probed.starts)
        fitting = [arch for arch in known if known_violation(strict(arch), self.request.limits) == 0]
        if not fitting:
            raise LimitError(
                "The search finished no training in its share of the budget, and nothing that is known without one "
                "keeps the limits. Give more time, or loosen the strictest limit."
            )
        return next((arch for arch in fitting if listens(self.task, self.space, arch)), fitting[0])

    def train(self) -> None:
        """Train the finalists; what breaks the latency limit on the quiet machine is dropped first."""
        self.announce("train the finalists")
        chosen = self._chosen()
        # Where not even two comparisons could see their data once, the final training gets their time.
        compare = self.shares.compare if self.shares.compare >= 2 * self._least(chosen[0].arch) else 0.0
        # Where the phases before took far longer than planned, an untrained network would be of no use to anybody.
        reserve = min(self.shares.ship + self.shares.ranks + compare, MOST_KEPT_BACK * self.clock.left())
        share = max(self.shares.final, self.clock.left(reserve))
        self.finalists = train_finalists(
            chosen,
            self.space,
            self.task,
            self.machine.alone(),
            self.objective,
            clock=self.clock,
            share=share,
            reserve=reserve,
            epoch_seconds=lambda t: self.pace(t.arch),
            folder=self.folder,
            seed=self.request.seed,
            say=self.note,
            journal=self.journal,
            pause=self.pause,
            most=max(self.request.finalists or 0, len(self.preferred) if self.request.family else 0) or None,
            repeatable=self.request.repeatable,
            begin=self.begin,
        )

    def _chosen(self) -> list[Trial]:
        """Return the candidates for the final training: what breaks no limit now, decided once."""
        assert self.study is not None
        kept = self.journal.get("chosen")
        if kept is None:
            chosen = self._still_feasible(self._candidates())
            made = {str(t.number): t.arch.to_json() for t in chosen if t.reason == _UNTRIED}
            kept = self.journal.put("chosen", {"trials": [t.number for t in chosen], "untried": made})
        tried = {t.number: t for t in self.study.trials}
        untried = {int(n): self._not_trained(Arch.from_json(arch)) for n, arch in kept.get("untried", {}).items()}
        return [{**tried, **untried}[number] for number in kept["trials"]]

    def _still_feasible(self, trials: list[Trial]) -> list[Trial]:
        """Return the trials that keep the latency limit now; if none does, a faster network that was not tried."""
        bound = self.limits.get("latency_ms")
        kept = [t for t in trials if bound is None or self.latency(t.arch) <= bound]
        if len(kept) < len(trials):
            self.note(
                f"{len(trials) - len(kept)} candidates broke the latency limit when measured again on the quiet machine"
            )
        return kept or [self._not_trained(self.faster(trials[0].arch)[0])]

    def faster(self, start: Arch) -> tuple[Arch, Mapping[str, float]]:
        """Return a network near ``start`` that keeps the limits, the strictest ones, as measured now, and its metrics.

        A result is promised, and one that was not tried is better than none. Raises ``LimitError`` where none is found.
        """
        assert self.screen is not None
        self.note("nothing that was tried keeps the limits as measured now, so a smaller network is looked for")
        limits = {**self.limits, **self.request.limits}
        below = {name: (1 - _MARGIN) * bound for name, bound in limits.items() if name == "latency_ms"}
        found, metrics = approach(
            self.space,
            replace(self.screen, limits=limits),
            limits | below,
            [start, *self.first, *self.probed.starts],
            np.random.default_rng([self.request.seed, 3]),
            lambda arch: listens(self.task, self.space, arch),
        )
        if known_violation(metrics, limits) > 0:
            raise nothing_fits(metrics, limits)
        trained = usual_training(self.space, self.task.spec)
        return completed(self.space, found, {key: start[key] for key in trained if key in start}), metrics

    def latency(self, arch: Arch) -> float:
        """Return the measured milliseconds of the shipped network of an architecture, on a machine that is quiet."""
        network = shipped(self.task, build(self.space, arch, seed=0))
        return latency(network, tuple(self.task.train.x.shape[1:])).median_ms

    def compare(self) -> None:
        """Train what the winner is compared with, all for the same time."""
        self.announce("train the comparisons")
        assert self.screen is not None
        winner = self.finalists[0]
        recipe = Settings.from_values(settings(self.space, winner.trial.arch))
        if self.task.spec.kind == "table":
            self.compared.append(boosting(self.task, self.request.seed, self.machine.threads))
        waiting = contenders(
            self.space, self.task, winner.trial.arch, self._fits_strictly, self.request.seed, self.rivals
        )
        self.archs = {c.name: c.arch for c in waiting if c.arch is not None}
        reserve = self.shares.ship + self.shares.ranks
        share = min(max(self.shares.compare, self.clock.left(reserve)), 0.2 * self.clock.budget)
        done, self.missing = train_contenders(
            waiting,
            self.task,
            recipe,
            self.machine.alone(),
            clock=self.clock,
            share=share,
            reserve=reserve,
            least=max(self._least(winner.trial.arch), 0.04 * winner.seconds),
            longest=winner.seconds,
            seed=self.request.seed,
            say=self.note,
            journal=self.journal,
            pause=self.pause,
        )
        known = self.journal.get("costs") or {}
        self.compared += [self._measured(c, known) for c in done]
        if not known:
            self.journal.put("costs", {c.name: dict(c.metrics) for c in self.compared})

    def _least(self, arch: Arch) -> float:
        """Return the seconds of a comparison with an architecture: all that is compared sees the data once or more."""
        return 1.2 * self.pace(arch)

    def _fits_strictly(self, arch: Arch) -> bool:
        assert self.screen is not None
        return known_violation(self.screen(arch), {**self.limits, **self.request.limits}) == 0

    def fits(self, arch: Arch) -> bool:
        """Return whether nothing that is known of an architecture before its training breaks a limit."""
        assert self.screen is not None
        return known_violation(self.screen(arch), self.limits) == 0

    def _measured(self, comparison: Comparison, measured: Mapping[str, Any]) -> Comparison:
        """Add the costs of a comparison's network to its metrics, and how it predicts."""
        assert comparison.network is not None
        network = shipped(self.task, comparison.network)
        known = measured.get(comparison.name) or costs(network, tuple(self.task.train.x.shape[1:]))
        return replace(comparison, metrics={**comparison.metrics, **known}, predict=network)


def _ahead(one: Trial | None, other: Trial) -> Trial | None:
    """Return which of two trials to show as the best so far, without looking at all the others."""
    if one is None or not other.usable:
        return other if other.usable else one
    reach = [t.proposal.spent for t in (one, other)]
    return max(
        (reach[0], tuple(-v for v in one.losses), 0, one), (reach[1], tuple(-v for v in other.losses), -1, other)
    )[3]


def costs(network: nn.Module, shape: tuple[int, ...]) -> dict[str, float]:
    """Return what a shipped network costs: counted, and its latency measured."""
    return {**cost(network, shape).as_metrics(), "latency_ms": latency(network, shape).median_ms}
