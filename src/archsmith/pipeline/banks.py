"""Training the bank of a run, and finding it again."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsmith.build import Bank, Gates, expected_cost
from archsmith.build.relaxations import softmax
from archsmith.errors import ArchsmithError, StoreError
from archsmith.estimate import (
    SAMPLERS,
    Goal,
    Sampler,
    Settings,
    Trained,
    limited,
    load_checkpoint,
    make_sampler,
    search_by,
    seconds_spent,
    train_bank,
    validation_score,
)
from archsmith.estimate.gate_state import GATES
from archsmith.pipeline.finalists import wanted_epochs
from archsmith.pipeline.methods import Method, relaxed_decisions
from archsmith.pipeline.work import Work
from archsmith.space import Answer, Arch, Decision, completed, narrow
from archsmith.strategy import Narrowed, make

__all__ = ["BANK", "GATES_MOVE", "TRIED", "bank_of", "likeliest", "parameters_of", "train_gates", "train_paths"]

BANK = "bank"
"""The folder of a run in which its bank is kept."""

GATES_MOVE = 6.0
"""How far a logit may move in a whole search: the rate of the gates' optimiser times its steps, as in DARTS."""

TRIED = 200
"""How many of the architectures that gates prefer are looked at for one within the limits."""

_LEAST_S = 1.0
_LOOKING_S = 5.0


def bank_of(work: Work) -> Bank | None:
    """Return the bank that the run has trained; None where it has not, or where its file cannot be read any more."""
    if work.journal.get("bank") is None:
        return None
    try:
        return Bank.load(work.folder / BANK, work.space)
    except StoreError as error:
        work.note(f"the bank is trained again: {error}")
        work.journal.forget("bank")
        return None


def train_paths(
    work: Work, method: Method, begin: Bank, recipe: Settings, given: Mapping[str, Answer]
) -> tuple[Bank, dict[str, Any]]:
    """Train a bank, from what ``begin`` holds, on the paths that the method draws, for its share of the budget.

    Returns it with what came of it. A training that was stopped goes on from its last state; one that diverges begins
    anew, at a third of the rate.
    """
    first = {name: tensor.clone() for name, tensor in begin.state_dict().items()}
    trained = _attempt(work, method, begin, recipe, given, work.journal.place("bank"))
    if trained.diverged is not None:
        work.note(f"the bank diverged, so it begins anew at a third of the learning rate: {trained.diverged}")
        begin.load_state_dict(first)
        gentler = replace(recipe, lr=recipe.peak_lr / 3)
        trained = _attempt(work, method, begin, gentler, given, work.journal.place("bank-again"))
    if trained.diverged is not None:
        raise ArchsmithError(
            f"The shared weights could not be trained: {trained.diverged}. Search without --method, or with another."
        )
    return begin, {"epochs": trained.epochs, "seconds": trained.seconds, "loss": trained.metrics.get("train_loss")}


def _attempt(
    work: Work, method: Method, bank: Bank, recipe: Settings, given: Mapping[str, Answer], place: Path
) -> Trained:
    spent = seconds_spent(place)
    left, repeatable = _time_left(work, spent), work.request.repeatable
    with work.pause.gently():
        trained = train_bank(
            bank,
            work.task,
            recipe,
            machine=work.machine.alone(),
            seed=work.request.seed,
            sampler=_sampler(work, method, bank, given),
            distil=SAMPLERS[method.name].distil and recipe.mixup == 0,
            epochs=wanted_epochs(work.task.spec.samples) if repeatable else None,
            seconds=None if repeatable else left,
            deadline=time.monotonic() + left if repeatable else None,
            checkpoint=place,
            resume=place,
            interrupted=work.pause,
        )
    work.pause.check()
    return replace(trained, seconds=trained.seconds + spent)


def _time_left(work: Work, spent: float) -> float:
    kept = work.shares.search + work.shares.final + work.shares.ship
    return max(_LEAST_S, min(work.shares.bank - spent, work.clock.left(kept)))


def _sampler(work: Work, method: Method, bank: Bank, given: Mapping[str, Answer]) -> Sampler:
    """Return the method's sampler; a learned one is taught by scores on the bank."""
    machine = work.machine.alone()
    inside = make("reinforce", narrow(work.space, given), again=True)
    return make_sampler(
        method.name, work.space, validation_score(bank, work.task, machine), Narrowed(work.space, inside, given)
    )


def train_gates(
    work: Work, method: Method, bank: Bank, recipe: Settings, base: Mapping[str, Answer]
) -> tuple[dict[str, Any], list[Arch]]:
    """Train the bank with all options mixed, and the gates with it; return what came of it.

    Second are the architectures that the gates prefer within the limits, the likeliest first. ``base`` answers what is
    not a choice of modules.
    """
    decisions = relaxed_decisions(method, work.space)
    place = work.journal.place("bank")
    repeatable, left = work.request.repeatable, _time_left(work, _seconds_of(place))
    epochs = max(1, round(wanted_epochs(work.task.spec.samples) / 3))
    if not repeatable:  # about: each step is taken twice, through most of the options
        typical = completed(work.space, {}, base)
        options = sum(len(d.options) for d in decisions.values()) / len(decisions)
        epochs = max(1, min(epochs, round(work.shares.bank / (options * work.pace(typical)))))
    steps = max(1, len(work.task.train.y) // recipe.batch_size // 2)
    goal = _goal(work, base, decisions)
    penalty: dict[str, Any] = {} if goal is None else {"goal": goal}
    with work.pause.gently():
        _, found = search_by(
            method.name,
            bank,
            work.task,
            recipe,
            machine=work.machine.alone(),
            seed=work.request.seed,
            epochs=epochs if repeatable else None,
            seconds=None if repeatable else left,
            base=base,
            gate_rate=min(0.1, GATES_MOVE / (steps * epochs)),
            checkpoint=place,
            interrupted=work.pause,
            **penalty,
        )
    work.pause.check()
    curve = [dict(row) for row in found.curve]
    made: dict[str, Any] = {
        "epochs": curve[-1]["epoch"] if curve else 0.0,
        "seconds": found.seconds,
        "loss": curve[-1]["train_loss"] if curve else None,
        "gates": curve,
        "shares": {key: list(shares) for key, shares in found.shares.items()},
        "stopped": found.stopped,
    }
    likely = (
        completed(work.space, answers, {k: v for k, v in base.items() if k not in decisions})
        for answers in likeliest(decisions, found.shares)
    )
    fitting: list[Arch] = []
    until = time.monotonic() + _LOOKING_S
    for arch, _ in zip(likely, range(TRIED), strict=False):
        if arch not in fitting and work.fits(arch):
            fitting.append(arch)
        if len(fitting) == 4 or time.monotonic() > until:
            break
    return made, fitting


def _seconds_of(place: Path) -> float:
    """Return the seconds that a search of gates has taken before it was stopped."""
    try:
        return float(load_checkpoint(place / GATES)[1]["seconds"])
    except StoreError:
        return 0.0


def _goal(work: Work, base: Mapping[str, Answer], decisions: Mapping[str, Decision]) -> Goal | None:
    """Return the loss with a penalty for what is above a limit on a cost that can be expected, the first there is."""
    for metric in ("macs", "params"):
        if metric in work.request.limits:
            gates = Gates(decisions.values(), softmax)
            cost = expected_cost(work.space, gates, work.task.spec.input_shape, metric, base)
            return limited(cost, work.request.limits[metric])
    return None


def likeliest(decisions: Mapping[str, Decision], shares: Mapping[str, Sequence[float]]) -> Iterator[dict[str, Answer]]:
    """Yield answers to independent decisions, the likeliest first, from the shares of each one's options."""
    keys = list(decisions)
    order = {key: sorted(range(len(shares[key])), key=lambda i: -shares[key][i]) for key in keys}

    def surprise(places: tuple[int, ...]) -> float:
        return -sum(math.log(max(shares[k][order[k][p]], 1e-30)) for k, p in zip(keys, places, strict=True))

    start = (0,) * len(keys)
    heap, seen = [(surprise(start), start)], {start}
    while heap:
        _, places = heapq.heappop(heap)
        yield {k: decisions[k].options[order[k][p]] for k, p in zip(keys, places, strict=True)}
        for i, key in enumerate(keys):
            nearby = (*places[:i], places[i] + 1, *places[i + 1 :])
            if nearby[i] < len(order[key]) and nearby not in seen:
                seen.add(nearby)
                heapq.heappush(heap, (surprise(nearby), nearby))


def parameters_of(bank: Bank) -> int:
    """Return how many numbers the bank shares."""
    return sum(p.numel() for p in bank.parameters())
