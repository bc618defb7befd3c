"""A run from its folder to its result: what a new search and a resumed one have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archsmith.errors import ArchsmithError, DataError, Paused
from archsmith.lease import Lease, take
from archsmith.pipeline.clock import Clock, Shares, plan
from archsmith.pipeline.decide import decided
from archsmith.pipeline.folder import environment, read_json, write_json, write_toml
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.methods import find_method, require_method, usual_space
from archsmith.pipeline.pause import Interrupted, Pause
from archsmith.pipeline.reopen import find_source, find_space, write_space
from archsmith.pipeline.result import Result
from archsmith.pipeline.shared import search_shared
from archsmith.pipeline.ship import ship
from archsmith.pipeline.work import Progress, Work
from archsmith.report.text import duration
from archsmith.request import Request, resolve_objectives
from archsmith.space import Space
from archsmith.spaces import default_name
from archsmith.strategy import find, require
from archsmith.task import Task, load, main_objective

__all__ = ["Given", "conduct", "read_task"]

_LOG = "run.log"


@dataclass(frozen=True)
class Given:
    """What a run needs that its folder may not hold: data and space in memory, and which packages may be loaded.

    ``objectives`` are those that were named now; without any the folder's count.
    """

    data: Any = None
    space: Space | None = None
    trust: Sequence[str] = ()


@dataclass
class _Told:
    """The progress of a run: told to who listens, and to ``run.log``; a listener that is gone is not missed."""

    folder: Path
    listen: Progress
    clock: Clock
    deaf: bool = field(default=False)

    def __call__(self, event: Mapping[str, Any]) -> None:
        words = {"phase": "name", "note": "text"}.get(str(event.get("type")))
        if words is not None:
            try:
                with (self.folder / _LOG).open("a", encoding="utf-8", errors="replace") as file:
                    file.write(f"[{self.clock.elapsed():.0f} s] {event.get(words)}\n")
            except OSError:  # a full disk costs the log and nothing else
                pass
        if not self.deaf:
            try:
                self.listen(event)
            except OSError:  # the terminal or the pipe is gone
                self.deaf = True


def conduct(
    folder: Path, request: Request, given: Given, listen: Progress, started: float, pause: Pause, lease: Lease | None
) -> Result:
    """Do what is left of the run in ``folder``, from wherever it stopped, and return its result.

    ``started`` is the time of ``time.monotonic`` from which this process counts. Whatever ends it, the folder says
    where it stands: ``Paused`` and other errors tell how to go on. Raises what ``search`` does.
    """
    journal = Journal.of(folder)
    before = float(journal.state["elapsed_s"])
    clock = Clock(request.budget, started, before, _spent(journal))
    lease = lease or take(folder)
    lease.each_beat = lambda: journal.beat(clock.elapsed())
    say = _Told(folder, listen, clock)
    if journal.state["status"] != "new":
        journal.save(history=[*journal.state["history"], _went_on(journal)], status="running")
        say({"type": "note", "text": journal.state["history"][-1]})
    try:
        networks = sum(map(len, request.family.values()))
        shares = plan(request.budget - float(journal.state["base_s"]), len(request.formats), networks)
        method = find_method(request.method) if request.method else None
        shares = shares if method is None else shares.shared()
        works: list[Work] = []
        announce = _announcer(say, clock, lambda: works[0].shares if works else shares, journal)
        work = _opened(folder, request, given, clock, shares, announce, say, journal, pause)
        works.append(work)
        work.measure()
        method = method or decided(work)
        if method is None:
            work.run()
        else:
            search_shared(work, method)
        return ship(work)
    except Interrupted as interrupted:
        journal.save(status="paused", elapsed_s=clock.elapsed())
        stopped = Paused(
            f"Paused after {duration(clock.elapsed())} of {duration(request.budget)}; everything so far is kept. "
            f"Go on with: archsmith resume {folder}"
        )
        stopped.exit_code = interrupted.code
        raise stopped from None
    except ArchsmithError as error:
        journal.save(status="failed", elapsed_s=clock.elapsed(), reason=str(error))
        raise
    except BaseException:
        journal.save(status="paused", elapsed_s=clock.elapsed())
        raise
    finally:
        lease.release()


def _opened(
    folder: Path,
    request: Request,
    given: Given,
    clock: Clock,
    shares: Shares,
    announce: Callable[[str], None],
    say: Progress,
    journal: Journal,
    pause: Pause,
) -> Work:
    """Read the data and the space, and see that they are those of the run."""
    announce("check the data")
    fresh = journal.get("check") is None
    task = read_task(request, given)
    known = journal.get("check")
    if known is not None and known["data"] != _data_hash(task):
        raise DataError(
            f"{request.source} has changed since the run began, so what was learned could be tested on what it was "
            "learned from. Put the data back as they were, or begin a new run."
        )
    method, usual = find_method(request.method) if request.method else None, default_name(task.spec)
    chosen = request.space or usual_space(method, task.spec)
    instead = f"{request.method} cannot mix the modules of the space {usual}, so the space is {chosen}"
    notes = [*task.notes, instead] if not request.space and chosen != usual else task.notes
    request = replace(request, space=chosen)
    space = find_space(folder, request, task.spec, given.space, given.trust)
    request = replace(request, objectives=resolve_objectives(request.objectives, main_objective(task)))
    sought = {o.metric for o in request.objectives} | set(request.family)
    require(find(request.strategy), space, objectives=len(sought), limits=bool(request.limits))
    if fresh and method is not None:
        require_method(method, space, task.spec.input_shape)
    write_toml(folder / "run.toml", request.to_toml())
    if fresh:
        write_space(folder, space, request.space)
        journal.put("check", {"data": _data_hash(task)})
    work = Work(request, task, space, folder, clock, shares, announce, say, journal, pause)
    for note in notes:
        work.note(note)
    _surroundings(work, journal)
    return work


def _data_hash(task: Task) -> str:
    """Return the SHA-256 of the splits and of the samples in them, but for the test split, which stays closed."""
    digest = hashlib.sha256(task.split_hash.encode())
    for split in (task.train, task.valid):
        digest.update(split.x.contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_task(request: Request, given: Given) -> Task:
    """Read the data of a run, as they were read when it began."""
    source = find_source(request, given.data)
    options = dict(request.options)
    return load(source, target=request.target, seed=request.seed, folds=request.folds, name=request.name, **options)


def _surroundings(work: Work, journal: Journal) -> None:
    """Write down what the run depends on beside its settings; say what changed since the run began, if it did.

    On other hardware the machine is measured anew.
    """
    path = work.folder / "env.json"
    now, old = environment(work.request.seed), read_json(path)
    if old is None:
        write_json(path, now)
        return
    flat_old, flat_now = ({**e, **e.get("versions", {})} for e in (old, now))
    told = ("python", "platform", "cpu", "cores", "gpu", *now["versions"], *old.get("versions", {}))
    changed = {k: f"{flat_old.get(k)} -> {flat_now.get(k)}" for k in told if flat_old.get(k) != flat_now.get(k)}
    if changed:
        listed = ", ".join(f"{k} {v}" for k, v in changed.items())
        work.note(f"not everything is as it was when the run began, so results before and after may differ: {listed}")
        write_json(path, {**now, "mixed": True, "earlier": [*old.get("earlier", []), old]})
        if {"cpu", "cores", "gpu"} & changed.keys():
            journal.forget("measure")


def _went_on(journal: Journal) -> str:
    """Return what had become of the run when it was taken up again, for the report."""
    state = journal.state
    how = {
        "paused": "The run was paused",
        "failed": f"The run was stopped by an error ({state.get('reason', '')})",
        "extended": "The run was given more time or other wishes",
    }.get(state["status"], "The run was killed")
    where = f', in the phase "{state["phase"]}"' if state["phase"] else ""
    return f"{how} after {duration(float(state['elapsed_s']))}{where}; it went on from there."


def _spent(journal: Journal) -> dict[str, float]:
    """Return what was spent by phase in this round; what a killed process did not come to tell is its phase's."""
    state = journal.state
    spent = {str(k): float(v) for k, v in state["spent"].items()}
    untold = float(state["elapsed_s"]) - float(state["base_s"]) - sum(spent.values())
    if state["phase"] and untold > 0:
        spent[state["phase"]] = spent.get(state["phase"], 0.0) + untold
    return spent


def _announcer(say: Progress, clock: Clock, shares: Callable[[], Shares], journal: Journal) -> Callable[[str], None]:
    begun: list[str] = []
    since = clock.before

    def announce(phase: str) -> None:
        nonlocal since
        now = clock.elapsed()
        if begun:
            last = begun.pop()
            clock.spent[last] = clock.spent.get(last, 0.0) + now - since
            since = now
        begun.append(phase)
        journal.save(status="running", phase=phase, elapsed_s=now, spent=dict(clock.spent), budget_s=clock.budget)
        say(
            {
                "type": "phase",
                "name": phase,
                "share_s": shares().items().get(phase),
                "elapsed": now,
                "budget": clock.budget,
            }
        )

    return announce
