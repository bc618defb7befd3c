"""The loop that joins them: ask, screen, look up, submit, poll, log, tell."""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from archsmith.errors import BudgetError, LimitError, SpaceError, StoreError, TooManyFailures, UsageError, nearest
from archsmith.execute import Executor, Inline
from archsmith.execute.protocol import Evaluation
from archsmith.space import Arch, Space, described, differences
from archsmith.store import MemoryStore, SQLiteStore, Store
from archsmith.strategy import Strategy, require
from archsmith.strategy.sharing import inherits, weights_of
from archsmith.trial import (
    Event,
    Objective,
    Proposal,
    Trial,
    apply_event,
    front,
    known_violation,
    leaders,
    maximize,
    order,
)

__all__ = ["Aimed", "Checked", "Study"]

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 10.0
_ATTEMPTS = 2
_Kind = tuple[str, tuple[tuple[str, float], ...]]


@runtime_checkable
class Checked(Protocol):
    """An evaluation that cannot serve every space, and says so when a study is made with it."""

    def check(self, space: Space, weights: str, /) -> None:
        """Raise ``SpaceError`` for a space that it cannot measure, with the path in the expression and the remedy.

        ``weights`` is the folder of the bank that the strategy's proposals are to be measured on; "" for none.
        """
        ...


@runtime_checkable
class Aimed(Protocol):
    """An evaluation that is made for certain objectives and limits, and says so when a study has others."""

    def check_goals(self, objectives: Sequence[Objective], limits: Mapping[str, float], /) -> None:
        """Raise ``UsageError`` for other objectives or limits, and say which."""
        ...


class Study:
    """A search: a space, a strategy, an evaluation and a log, joined by one loop.

    ``evaluate`` is a plain function of ``(proposal, run)`` that returns metrics; it runs ``Inline`` unless an
    ``executor`` is given, which has its own. ``limits`` are upper bounds on metrics. ``screen(arch)`` returns the
    metrics known before training: a trial that breaks a limit by them is recorded ``infeasible`` and never run.
    ``key(arch)`` is equal for architectures that are the same network and training (``arch.id`` without it): a trial
    whose key was measured at the same fidelity is recorded ``cached`` and never run.

    An evaluation that cannot serve every space may have a ``check``; see ``Checked``. Shared weights have one: what no
    bank can lend is refused here, before anything runs. One that is made for certain goals may have ``check_goals``.

    Opening a study whose log exists replays it: the strategy is told every trial again, in order, trials that were
    asked and never ended are run again under their numbers, and the search goes on as if it had not stopped. Metrics
    that were ``measured`` later count as if they had been known when the trial was asked. Raises ``SpaceError`` when
    the log was written for other decisions, ``StoreError`` when with another seed.

    ``on_event`` is called with each event after it was logged and told. Once ``interrupted()`` is true the study stops,
    as by ``stop``. ``patience`` bounds how many proposals in a
    row may need no run. ``max_failures`` trials that fail in a row for the same reason end the search.
    """

    def __init__(
        self,
        space: Space,
        strategy: Strategy,
        evaluate: Evaluation | None = None,
        objectives: Sequence[Objective] = (maximize("accuracy"),),
        limits: Mapping[str, float] | None = None,
        *,
        screen: Callable[[Arch], Mapping[str, float]] | None = None,
        key: Callable[[Arch], str] | None = None,
        executor: Executor | None = None,
        store: Store | None = None,
        folder: Path | str | None = None,
        seed: int = 0,
        name: str = "study",
        on_event: Callable[[Event], None] | None = None,
        interrupted: Callable[[], bool] = bool,
        max_failures: int = 5,
        patience: int = 1000,
    ) -> None:
        if not objectives:
            raise UsageError("A study needs at least one objective, such as maximize('accuracy').")
        require(strategy, objectives=len(objectives), limits=bool(limits))
        self.space, self.strategy, self.name, self.seed = space, strategy, name, seed
        self.objectives, self.limits = tuple(objectives), dict(limits or {})
        self.screen, self.key, self.on_event, self.interrupted = screen, key, on_event, interrupted
        self.max_failures, self.patience = max_failures, patience
        self.folder = None if folder is None else Path(folder)
        self._own: list[Executor | Store] = []
        if executor is None:
            if evaluate is None:
                raise UsageError("A study needs an evaluate function of (proposal, run), or an executor that has one.")
            executor = Inline(evaluate, self.folder, seed=seed, interrupted=self._stopping)
            self._own.append(executor)
        measures = getattr(executor, "evaluate", None)
        if isinstance(measures, Checked):
            if inherits(strategy) and getattr(executor, "folder", executor) is None:
                raise UsageError("Children can inherit weights only where they are kept: give the study a folder.")
            measures.check(space, weights_of(strategy))
        if isinstance(measures, Aimed):
            measures.check_goals(self.objectives, self.limits)
        if store is None:
            store = MemoryStore() if self.folder is None else SQLiteStore(self.folder / "store.sqlite")
            self._own.append(store)
        self.executor, self.store = executor, store
        self.ended = ""
        """Why the last ``run`` ended, in plain words."""
        self._trials: dict[int, Trial] = {}
        self._counts: Counter[str] = Counter()
        self._open: dict[int, Trial] = {}  # asked and not ended, in order
        self._submitted: set[int] = set()
        self._waiting: dict[int, int] = {}  # a trial, and the running one whose result it waits for
        self._inbox: list[Event] = []
        self._owed: Counter[int] = Counter()  # events still to come of trials that were given up
        self._results: dict[_Kind, int] = {}
        self._running_kinds: dict[_Kind, int] = {}
        self._failures: Counter[_Kind] = Counter()
        self._screened: dict[str, Mapping[str, float]] = {}
        self._replayed: set[str] = set()  # those of the screened that the log knew
        self._quickest: dict[tuple[Any, ...], float] = {}
        self._failing: list[str] = []  # the reasons of the failures since the last success
        self._idle = 0  # proposals in a row that needed no run
        self._stop = threading.Event()
        self._replay()

    # What came of it.

    @property
    def trials(self) -> list[Trial]:
        """Every trial by number, whatever its state."""
        return [self._trials[number] for number in sorted(self._trials)]

    def trial(self, number: int) -> Trial:
        """Return one trial."""
        return self._trials[number]

    @property
    def best(self) -> Trial | None:
        """The best usable trial among those at the highest fidelity reached, or None."""
        ranked = order(leaders(self.trials))
        return ranked[0] if ranked else None

    @property
    def front(self) -> list[Trial]:
        """The trials that no other dominates, among the usable ones at the highest fidelity reached."""
        return front(leaders(self.trials))

    # Running.

    def run(self, trials: int | None = None, seconds: float | None = None) -> Study:
        """Search until ``trials`` were run in all, ``seconds`` have passed from now, or nothing is left to try.

        ``trials`` counts those that cost something, over the whole life of the study: a replayed one counts,
        an infeasible or cached one does not. ``seconds`` are the executor's. What cannot end in time is not started,
        and what is not over in time is ``stopped``. Raises ``TooManyFailures`` when trials keep failing,
        ``LimitError`` when nothing meets the limits, ``BudgetError`` without any budget.
        """
        if trials is None and seconds is None:
            raise BudgetError("Say how much to search: run(trials=100), run(seconds=600), or both.")
        before = self.executor.deadline
        if seconds is not None:
            end = self.executor.now() + seconds
            self.executor.deadline = end if before is None else min(before, end)
        self.ended, self._failing, self._idle = "", [], 0
        try:
            self._loop(math.inf if trials is None else trials)
        except StoreError:  # what ends now cannot be written down: it is run again when the log is well
            self._forget()
            raise
        except BaseException:
            self._halt()
            raise
        finally:
            self._stop.clear()
            self.executor.deadline = before
        return self

    def stop(self) -> None:
        """Start nothing more and stop what runs; callable from anywhere, also a signal handler or ``on_event``.

        What was running is not recorded as ended: it is run again, under its number, when the study goes on.
        """
        self._stop.set()

    def abandon(self, reason: str) -> None:
        """End what was asked and does not run, as ``stopped``: a search that is over goes on with nothing."""
        for number in [n for n in self._open if n not in self._submitted and n not in self._waiting]:
            self._finish(number, {"state": "stopped", "reason": reason})

    def _stopping(self) -> bool:
        return self._stop.is_set() or self.interrupted()

    def close(self) -> None:
        """Close what the study made itself: its executor and its store."""
        for own in self._own:
            own.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _loop(self, trials: float) -> None:
        late: float | None = None
        while not self._stopping():
            self._fill(trials)
            if not self._submitted:
                break
            self._inbox.extend(self.executor.poll(_POLL_SECONDS))
            # What was stopped because the study stops has not ended: it goes on when the study does.
            self._take_in(halting="" if self._stopping() else None)
            self._give_up_on_failures()
            if self._left() <= 0:
                late = time.monotonic() if late is None else late
                if time.monotonic() - late > _GRACE_SECONDS:
                    self._halt("deadline: the time was over before the trial was")
        if self._stopping():
            self._halt()
            self.ended = "stopped"
            return
        if self._left() < math.inf:
            self.abandon(f"deadline: the trial could not go on, for {self.ended}")
        self._give_up_on_limits()

    def _left(self) -> float:
        deadline = self.executor.deadline
        return math.inf if deadline is None else deadline - self.executor.now()

    def _fill(self, trials: float) -> None:
        """Start trials until every slot is taken or there is a reason not to."""
        self.ended = ""
        while not self._stopping() and not self.ended:
            self._give_up_on_failures()
            slots = self.executor.slots
            free = slots + self.executor.ahead - len(self._submitted)
            if free <= 0 or len(self._waiting) >= slots:
                return
            budget = trials - self._spent - len(self._submitted) - len(self._waiting)
            earlier = self._earlier()
            if budget <= 0:
                self.ended = f"{trials:,} trials were run"
            elif self._left() <= 0:
                self.ended = "the time was over"
            elif self._idle >= self.patience:
                self.ended = f"the last {self._idle:,} proposals needed no run: they were known or beyond a limit"
            elif earlier is not None:
                self._go_on(self._trials[earlier])
            else:
                self._ask(int(min(free, slots - len(self._waiting), budget)))

    @property
    def _spent(self) -> int:
        return sum(self._counts[state] for state in ("complete", "failed", "stopped"))

    def _earlier(self) -> int | None:
        """Return the first trial that was asked, is not over and does not run; there is hardly ever one."""
        if len(self._open) == len(self._submitted) + len(self._waiting):
            return None
        return next(n for n in self._open if n not in self._submitted and n not in self._waiting)

    def _go_on(self, trial: Trial) -> None:
        """Start a trial that was asked earlier and never ended, under its number."""
        if self._fits(trial.proposal):
            self._start(trial, "" if trial.source_key else self._look(trial.arch)[2])

    def _ask(self, n: int) -> None:
        index = len(self._trials)
        asked_for = self.strategy.ask(n, np.random.default_rng([self.seed, index]), list(self._open.values()))
        proposals = asked_for[:n]
        if not proposals:
            self.ended = "nothing is left to try"
        asked, problems = [], []
        for number, proposal in enumerate(proposals, start=index):
            if not self._fits(proposal):
                break
            key, metrics, problem = self._look(proposal.arch)
            data = {"proposal": proposal.to_json(), "ask": index, "source_key": key, "metrics": metrics}
            asked.append(Event("asked", number, data, time.time()))
            problems.append(problem)
        self._log(asked)
        for number, problem in enumerate(problems, start=index):
            self._start(self._trials[number], problem)

    def _fits(self, proposal: Proposal) -> bool:
        """Whether there is time for the quickest trial of this kind so far; if not, starting it cannot matter."""
        if self._quickest.get(_cost(proposal), 0.0) <= self._left():
            return True
        self.ended = "the time left was shorter than any trial so far"
        return False

    def _look(self, arch: Arch) -> tuple[str, dict[str, float], str]:
        """Return the key, the metrics known before training, and what went wrong in finding them."""
        try:
            key = self.key(arch) if self.key is not None else arch.id
            known = self._screened.get(key)
            # A log may come from a time when a limit of now was not asked for.
            if known is None or (key in self._replayed and not self.limits.keys() <= known.keys()):
                screened = {} if self.screen is None else self.screen(arch)
                known = {**{name: float(value) for name, value in screened.items()}, **(known or {})}
                self._screened[key] = known
                self._replayed.discard(key)
            return key, dict(known), ""
        except Exception as error:
            return "", {}, f"raised: {type(error).__name__}: {error} (before training)"

    def _start(self, trial: Trial, problem: str) -> None:
        """Run the trial, unless its outcome is known or about to be."""
        kind = _kind(trial)
        self._idle += 1
        if problem:
            self._finish(trial.number, {"state": "failed", "reason": problem})
        elif known_violation(trial.metrics, self.limits) > 0:
            self._finish(trial.number, {"state": "infeasible", "reason": _excess(trial.metrics, self.limits)})
        elif kind in self._results:
            known = self._trials[self._results[kind]]
            reason = f"the same network and training as trial {known.number}"
            data = {"state": "cached", "metrics": dict(known.metrics), "reason": reason, "same_as": known.number}
            self._finish(trial.number, data)
        elif self._failures[kind] >= _ATTEMPTS:
            self._finish(trial.number, {"state": "failed", "reason": f"{_AGAIN} {self._failures[kind]} times before"})
        elif kind in self._running_kinds:
            self._waiting[trial.number] = self._running_kinds[kind]
        else:
            self._idle = 0
            self._running_kinds[kind] = trial.number
            self._submitted.add(trial.number)
            self.executor.submit(self._resolved(trial))

    def _resolved(self, trial: Trial) -> Trial:
        """Return the trial with a resumed one and a parent that really ran, and so have checkpoints."""

        def ran(number: int | None) -> int | None:
            same = None if number is None else self._trials[number].same_as
            return number if same is None else same

        wish = trial.proposal
        really = replace(wish, resume=ran(wish.resume), parent=ran(wish.parent))
        return trial if really == wish else replace(trial, proposal=really)

    # Ending.

    def _take_in(self, halting: str | None = None) -> None:
        """Take an executor's word on what has ended, all of it in one write; start those that waited for it.

        While halting, what was stopped has ended only if there is a reason to say so.
        """
        over: list[Event] = []
        waiting: list[int] = []
        for event in self._inbox:
            number = event.trial
            if number is not None and self._owed[number]:  # of an earlier run of the trial: its right has lapsed
                self._owed[number] -= 1
            elif number is not None and number in self._submitted:
                trial = self._trials[number]
                self._submitted.remove(number)
                self._running_kinds.pop(_kind(trial), None)
                waiting += [w for w, on in self._waiting.items() if on == number]
                if halting is None or event.data["state"] != "stopped":
                    over.append(self._ended(number, self._judged(trial, event.data), event.time))
                elif halting:
                    over.append(self._ended(number, {**event.data, "reason": halting}, event.time))
        self._inbox.clear()
        for follower in waiting:
            del self._waiting[follower]
        self._log(over)
        if halting is None and self._left() > 0:
            for follower in waiting:
                self._start(self._trials[follower], "")

    def _judged(self, trial: Trial, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data of a finished event: complete only if every objective and limited metric is a number."""
        state, reason, metrics = data["state"], data["reason"], {**trial.metrics, **data["metrics"]}
        for name in [*(n for o in self.objectives for n in o.metrics), *self.limits] if state == "complete" else ():
            if name not in metrics:
                state, reason = "failed", f"no_metrics: the evaluation returned no {name!r}. {nearest(name, metrics)}"
            elif not math.isfinite(metrics[name]):
                state, reason = "failed", f"{_DIVERGED} {name} is {metrics[name]}"
        free = next((o.cost for o in self.objectives if o.cost and metrics.get(o.cost, 1) <= 0), None)
        if free is not None and state == "complete":
            state, reason = "failed", f"no_cost: {free} is {metrics[free]:g}, but what is traded against is above 0"
        judged = {"state": state, "metrics": dict(data["metrics"]), "seconds": data["seconds"], "reason": reason}
        return {**judged, "note": data["note"]} if data.get("note") else judged

    def _finish(self, number: int, data: Mapping[str, Any]) -> None:
        self._log([self._ended(number, data, time.time())])

    def _ended(self, number: int, data: Mapping[str, Any], at: float) -> Event:
        complete = {"metrics": {}, "seconds": 0.0, **data}
        if complete["state"] == "complete":
            self._failing.clear()
        elif complete["state"] == "failed" and not complete["reason"].startswith(_AGAIN):
            self._failing.append(complete["reason"])
        return Event("finished", number, complete, at)

    def _log(self, events: Sequence[Event]) -> None:
        """Write events down, all or none; only then are they true."""
        if events:
            self.store.append_many(self.name, events)
        for event in events:
            self._take(event)
            if self.on_event is not None:
                self.on_event(event)

    def _take(self, event: Event) -> None:
        """Take a logged event into account, and tell: the one way in, live or replayed."""
        ended = apply_event(self._trials, event, self.objectives, self.limits)
        if event.kind == "asked" and event.trial is not None:
            asked = self._trials[event.trial]
            self._open[asked.number] = asked
            if asked.source_key:
                self._screened.setdefault(asked.source_key, asked.metrics)
        if ended is None:
            return
        del self._open[ended.number]
        self._counts[ended.state] += 1
        if ended.state == "complete":
            self._results.setdefault(_kind(ended), ended.number)
            cost = _cost(ended.proposal)
            self._quickest[cost] = min(ended.seconds, self._quickest.get(cost, math.inf))
        elif ended.state == "failed":
            self._failures[_kind(ended)] += 1
        self.strategy.tell(ended)

    def _halt(self, reason: str = "") -> None:
        """Stop what runs. With a reason it has ended, ``stopped``; without, it will be run again."""
        try:
            for number in sorted(self._submitted):
                self.executor.stop(number)
            until = time.monotonic() + _GRACE_SECONDS
            while self._submitted and (self._inbox or time.monotonic() < until):
                if not self._inbox:
                    self._inbox.extend(self.executor.poll(_POLL_SECONDS))
                self._take_in(halting=reason)
            for number in sorted(self._submitted) if reason else ():  # the executor did not answer
                self._finish(number, {"state": "stopped", "reason": reason})
        finally:
            self._forget()

    def _forget(self) -> None:
        """Let go of everything that is under way."""
        said = {event.trial for event in self._inbox}
        for number in self._submitted:
            self.executor.stop(number)
            self._owed[number] += number not in said
        self._inbox.clear()
        self._submitted.clear()
        self._waiting.clear()
        self._running_kinds.clear()

    # Giving up.

    def _give_up_on_failures(self) -> None:
        """Raise ``TooManyFailures`` when the last trials failed alike, or many of them in any way."""
        alike = 0
        for reason in reversed(self._failing):
            if _alike(reason) != _alike(self._failing[-1]):
                break
            alike += 1
        # A training that diverges says more about the architecture than about the code: it may happen more often.
        expected = bool(self._failing) and self._failing[-1].startswith(_DIVERGED)
        if len(self._failing) < 4 * self.max_failures and (expected or alike < self.max_failures):
            return
        failed = [t for t in self.trials if t.state == "failed"]
        last = {_alike(t.reason): t for t in failed}
        causes = Counter(_alike(t.reason) for t in failed).most_common(3)
        listed = (f"\n  {n} times: {last[cause].reason} (last: trial {last[cause].number})" for cause, n in causes)
        raise TooManyFailures(
            f"The last {len(self._failing)} trials failed, so the search was stopped. Causes:{''.join(listed)}\n"
            "What is finished is kept: mend the cause and run the same search again to go on."
        )

    def _give_up_on_limits(self) -> None:
        """Raise ``LimitError`` when everything that was proposed breaks a limit."""
        refused = self._counts["infeasible"]
        if not refused or refused < len(self._trials):
            return
        closest = order(self.trials)[0]
        raise LimitError(
            f"None of {refused:,} architectures meets the limits (acceptance rate 0 of {refused:,}). The closest is "
            f"trial {closest.number}: {closest.reason}. Loosen the limit, or give a space with smaller networks."
        )

    # Opening.

    def _replay(self) -> None:
        """Read the log: check that it is of this search, and tell everything again."""
        head: Mapping[str, Any] = {"seed": self.seed, "decisions": described(self.space)}
        empty = True
        later = self._measured_later()
        for event in self.store.events(self.name):
            if event.kind == "note" and "study" in event.data:
                _same_search(self.name, event.data["study"], head)
            if event.kind == "asked" and event.trial in later:
                known = {**event.data.get("metrics", {}), **later[event.trial]}
                event = replace(event, data={**event.data, "metrics": known})
            empty = False
            self._take(event)
        self._replayed = set(self._screened)
        if empty:
            self.store.append(self.name, Event("note", None, {"study": head}, time.time()))

    def _measured_later(self) -> dict[int | None, dict[str, float]]:
        """Return by trial the metrics that were measured after it was asked, so that the strategy is told with them."""
        later: dict[int | None, dict[str, float]] = {}
        for event in self.store.events(self.name):
            if event.kind == "measured":
                later.setdefault(event.trial, {}).update(event.data["metrics"])
        return later


_AGAIN = "not run again: the same network failed"
_DIVERGED = "diverged:"


def _kind(trial: Trial) -> _Kind:
    """Return what makes two trials the same: the key of the network and its training, and the fidelity."""
    where = f" on {trial.proposal.weights}" if trial.proposal.weights else ""
    return f"{trial.source_key}{where}", tuple(sorted(trial.proposal.fidelity.items()))


def _cost(proposal: Proposal) -> tuple[Any, ...]:
    """Return what makes the time of two trials comparable: the fidelity, and whether it continues a checkpoint."""
    return tuple(sorted(proposal.fidelity.items())), proposal.resume is None, proposal.weights


def _alike(reason: str) -> str:
    """Return a reason without the numbers that tell two equal failures apart."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", reason)


def _excess(metrics: Mapping[str, float], limits: Mapping[str, float]) -> str:
    known = {name: metrics[name] for name in limits if name in metrics}
    return "; ".join(f"{name} = {v:g}, allowed {limits[name]:g}" for name, v in known.items() if not v <= limits[name])


def _same_search(name: str, logged: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise unless a log was written for the same decisions and seed."""
    changes = differences(logged["decisions"], now["decisions"])
    if changes:
        raise SpaceError(
            f"The log of {name!r} was written for another space: {changes}. Give the search another name or folder, or "
            "put the space back as it was."
        )
    if logged["seed"] != now["seed"]:
        raise StoreError(
            f"The log of {name!r} was written with seed {logged['seed']}, not {now['seed']}. Open it with "
            f"seed={logged['seed']}, or give the search another name or folder."
        )
