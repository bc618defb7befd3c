"""Training the bank of a run, and finding it again."""

from __future__ import annotations

import contextlib
import heapq
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archsmith.build import Bank, Gates, derive_within, expected_cost
from archsmith.build.relaxations import softmax
from archsmith.errors import ArchsmithError, BudgetError, LimitError, StoreError
from archsmith.estimate import (
    GATE_METHODS,
    SAMPLERS,
    Driven,
    Sampler,
    Settings,
    load_checkpoint,
    load_curve,
    load_weights,
    make_sampler,
    search_by,
    seconds_spent,
    train_bank,
    validation_score,
)
from archsmith.estimate.gate_state import GATES
from archsmith.pipeline.finalists import wanted_epochs
from archsmith.pipeline.methods import Method, relaxed_decisions
from archsmith.pipeline.screen import listens
from archsmith.pipeline.work import BUSY, Work
from archsmith.space import Answer, Arch, Decision, completed, narrow
from archsmith.strategy import Narrowed, make

__all__ = [
    "BANK",
    "GATES_MOVE",
    "LEAST_AGAIN",
    "TRIED",
    "bank_of",
    "likeliest",
    "parameters_of",
    "train_gates",
    "train_paths",
]

BANK = "bank"
"""The folder of a run in which its bank is kept."""

GATES_MOVE = 6.0
"""How far a logit may move in a whole search: the rate of the gates' optimiser times its steps, as in DARTS."""

TRIED = 200
"""How many of the architectures that gates prefer are looked at for one within the limits."""

LEAST_AGAIN = 0.5
"""The part of its share that a bank gets at least which is trained again after it diverged."""

_LEAST_S = 1.0
_LOOKING_S = 5.0
_PRICED = ("latency_ms", "macs", "params")  # what can be expected of gates
_EXACT = ("macs", "params")  # and is the same when it is counted again
_PROPOSED = 30  # architectures that a controller derives in the end, as ENAS does


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
    work: Work, method: Method, bank: Bank, recipe: Settings, given: Mapping[str, Answer], anew: Callable[[], Bank]
) -> tuple[Bank, dict[str, Any]]:
    """Train a bank on the paths that the method draws, for its share of the budget; return it with what came of it.

    A training that was stopped goes on from its last state, and one that has ended is not done again. One that diverges
    begins with the bank that ``anew`` makes, at a third of the rate, and what it took counts. Where the number of
    trials is given, the training is by epochs, so that the same seed is the same bank.
    """
    return _steadily(work, bank, recipe, anew, partial(_along_paths, work, method, given))


_Attempt = Callable[[Bank, Settings, Path, float], tuple[dict[str, Any], str]]
"""Trains a bank by a recipe in a place, after seconds that led nowhere; returns what came of it, and how it failed."""


def _steadily(
    work: Work, bank: Bank, recipe: Settings, anew: Callable[[], Bank], attempt: _Attempt
) -> tuple[Bank, dict[str, Any]]:
    """Train a bank, and if it diverges another one at a third of the rate."""
    lost = work.journal.get("diverged")
    if lost is None:
        made, why = attempt(bank, recipe, work.journal.place("bank"), 0.0)
        if not why:
            return bank, made
        lost = work.journal.put("diverged", {"why": why, "seconds": made["seconds"]})
        bank = anew()
    work.note(f"the bank diverged, so it begins anew at a third of the learning rate: {lost['why']}")
    gentler, spent = replace(recipe, lr=recipe.peak_lr / 3), float(lost["seconds"])
    made, why = attempt(bank, gentler, work.journal.place("bank-again"), spent)
    if why:
        raise ArchsmithError(
            f"The shared weights could not be trained: {why}. Search without --method, or with another."
        )
    return bank, {**made, "seconds": made["seconds"] + spent}


def _along_paths(
    work: Work, method: Method, given: Mapping[str, Answer], bank: Bank, recipe: Settings, place: Path, lost: float
) -> tuple[dict[str, Any], str]:
    sampler = _sampler(work, method, bank, given)
    known = _ended(bank, sampler, place)
    if known is not None:
        return known | _proposed(work, sampler), ""
    spent, timed, wanted = seconds_spent(place), work.request.trials is None, wanted_epochs(work.task.spec.samples)
    left = _time_left(work, spent, lost)
    with work.pause.gently():
        trained = train_bank(
            bank,
            work.task,
            recipe,
            machine=work.machine.alone(),
            seed=work.request.seed,
            sampler=sampler,
            distil=SAMPLERS[method.name].distil and recipe.mixup == 0,
            epochs=None if timed else wanted,
            seconds=left if timed else None,
            deadline=None if timed else time.monotonic() + left,
            checkpoint=place,
            resume=place,
            interrupted=work.pause,
        )
    if trained.diverged is not None:
        return {"seconds": trained.seconds + spent}, str(trained.diverged)
    work.pause.check()
    if trained.stopped:
        _cut_short(work, trained.epochs, wanted)
    return _made(trained.curve) | _proposed(work, sampler), ""


def _cut_short(work: Work, done: float, wanted: float) -> None:
    work.note(
        f"the time was over when the bank had seen the data {done:.3g} times of {wanted:.3g}, so the same seed may end "
        "otherwise next time; with a larger --budget it does not"
    )


def _proposed(work: Work, sampler: Sampler) -> dict[str, Any]:
    """Return what a controller that has learned with the bank proposes within the limits (ENAS, Pham et al., 2018)."""
    if not isinstance(sampler, Driven):
        return {}
    rng = np.random.default_rng([work.request.seed, 79])
    until = time.monotonic() + _LOOKING_S if work.request.trials is None else math.inf
    found: dict[Arch, None] = {}
    for _ in range(_PROPOSED):
        drawn = [p.arch for p in sampler.strategy.ask(1, rng, ()) if p.arch not in found and work.fits(p.arch)]
        found.update(dict.fromkeys(drawn))
        if time.monotonic() > until:
            break
    return {"proposed": [arch.to_json() for arch in found]}


def _ended(bank: Bank, sampler: Sampler, place: Path) -> dict[str, Any] | None:
    """Make the bank, and a sampler that learns, what they were when a training ended in ``place``, if one has.

    Returns what came of it. A process may be killed between the end of a training and the note that the run makes.
    """
    try:
        weights, curve = load_weights(place), load_curve(place)
    except StoreError:
        return None
    learned = weights.get("_extra_state")
    if isinstance(sampler, Driven) and learned is not None:
        sampler.replay(json.loads(learned.cpu().numpy().tobytes()))
    bank.load_state_dict({n.removeprefix("bank."): value for n, value in weights.items() if n.startswith("bank.")})
    return _made(curve)


def _made(curve: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return what the run keeps of a bank's training, by the last row of its curve."""
    last = curve[-1]
    return {"epochs": last["epoch"], "seconds": last["seconds"], "loss": last["train_loss"]}


def _time_left(work: Work, spent: float, lost: float = 0.0) -> float:
    """Return how long a training of the bank may go on that has taken ``spent`` seconds, after ``lost`` in vain."""
    kept = work.shares.search + work.shares.final + work.shares.ship
    share = max(work.shares.bank - lost, LEAST_AGAIN * work.shares.bank)
    return max(_LEAST_S, min(share - spent, work.clock.left(kept)))


def _sampler(work: Work, method: Method, bank: Bank, given: Mapping[str, Answer]) -> Sampler:
    """Return the method's sampler; a learned one is taught by scores on the bank."""
    machine = work.machine.alone()
    inside = make("reinforce", narrow(work.space, given), again=True)
    return make_sampler(
        method.name, work.space, validation_score(bank, work.task, machine), Narrowed(work.space, inside, given)
    )


def train_gates(
    work: Work, method: Method, bank: Bank, recipe: Settings, base: Mapping[str, Answer], anew: Callable[[], Bank]
) -> tuple[Bank, dict[str, Any], list[Arch]]:
    """Train a bank with all options mixed, and the gates with it, as ``train_paths`` does; return what came of it.

    Third are the architectures that the gates prefer within the limits, the likeliest first: none where there was no
    time for a step. ``base`` answers what is not a choice of modules.
    """
    bank, made = _steadily(work, bank, recipe, anew, partial(_with_gates, work, method, base))
    if not made["epochs"]:
        work.note(f"there was no time for a single step of {method.name}, so its gates prefer nothing: give more time")
        return bank, made, []
    decisions = relaxed_decisions(method, work.space)
    likely = (
        completed(work.space, answers, {k: v for k, v in base.items() if k not in decisions})
        for answers in chain(_within(work, decisions, made["shares"], base), likeliest(decisions, made["shares"]))
    )
    fitting: list[Arch] = []
    until = time.monotonic() + _LOOKING_S if work.request.trials is None else math.inf
    for arch, _ in zip(likely, range(TRIED), strict=False):
        if arch not in fitting and work.fits(arch) and listens(work.task, work.space, arch):
            fitting.append(arch)
        if len(fitting) == 4 or time.monotonic() > until:
            break
    return bank, made, fitting


def _with_gates(
    work: Work, method: Method, base: Mapping[str, Answer], bank: Bank, recipe: Settings, place: Path, lost: float
) -> tuple[dict[str, Any], str]:
    decisions = relaxed_decisions(method, work.space)
    timed, left = work.request.trials is None, _time_left(work, _seconds_of(place), lost)
    epochs = max(1, round(wanted_epochs(work.task.spec.samples) / 3))
    if timed:  # about: each step is taken twice, through most of the options
        typical = completed(work.space, work.probed.starts[0], base)
        options = sum(len(d.options) for d in decisions.values()) / len(decisions)
        mixed = options * work.pace(typical)
        _refuse_too_long(work, method, 2.0 * mixed * recipe.batch_size / len(work.task.train.y), left)
        epochs = max(1, min(epochs, round(work.shares.bank / mixed)))
    steps = max(1, len(work.task.train.y) // recipe.batch_size // 2)
    with work.pause.gently():
        _, found = search_by(
            method.name,
            bank,
            work.task,
            recipe,
            machine=work.machine.alone(),
            seed=work.request.seed,
            epochs=None if timed else epochs,
            seconds=left if timed else None,
            deadline=None if timed else time.monotonic() + left,
            base=base,
            gate_rate=min(0.1, GATES_MOVE / (steps * epochs)),
            checkpoint=place,
            interrupted=work.pause,
            **_price(work, method, base),
        )
    curve = [dict(row) for row in found.curve]
    done, loss = (curve[-1]["epoch"], curve[-1]["train_loss"]) if curve else (0.0, 0.0)
    if not math.isfinite(loss):
        return {"seconds": found.seconds}, found.stopped
    work.pause.check()
    if not timed and done < epochs and not found.stopped:
        _cut_short(work, done, epochs)
    made: dict[str, Any] = {
        "epochs": done,
        "seconds": found.seconds,
        "loss": loss if curve else None,
        "gates": curve,
        "shares": {key: list(shares) for key, shares in found.shares.items()},
        "stopped": found.stopped,
    }
    return made, ""


def _refuse_too_long(work: Work, method: Method, step: float, left: float) -> None:
    """Raise ``BudgetError`` where a single step of all options together takes longer than there is time for the bank.

    Not on a machine that was busy while it was measured: there a step may be far shorter than it seemed.
    """
    slow = (work.journal.get("measure") or {}).get("slow", 1.0)
    if step > left and slow <= BUSY:
        raise BudgetError(
            f"A budget of {work.clock.budget:.0f} s is too small for {method.name} on this space: one step through all "
            f"options at once takes about {step:.1f} s here, and {left:.1f} s are left for all steps. Give at least "
            f"--budget {10 * work.clock.budget * step / left:.0f}s, a smaller --space, or a method that takes one path "
            "at a time, such as spos."
        )


def _seconds_of(place: Path) -> float:
    """Return the seconds that a search of gates has taken before it was stopped."""
    try:
        return float(load_checkpoint(place / GATES)[1]["seconds"])
    except StoreError:
        return 0.0


def _price(work: Work, method: Method, base: Mapping[str, Answer]) -> dict[str, Any]:
    """Return which cost is weighed into what gates minimise, and its limit: the first that is limited, if any is.

    A method that weighs a cost where nothing is limited weighs multiply-adds, which need not be measured.
    """
    limited = next((metric for metric in _PRICED if metric in work.request.limits), None)
    if limited is None and not GATE_METHODS[method.name].priced:
        return {}
    shape, metric = work.task.spec.input_shape, limited or "macs"
    return {
        "cost": lambda gates: expected_cost(work.space, gates, shape, metric, base),
        "limit": None if limited is None else work.request.limits[limited],
    }


def _within(
    work: Work, decisions: Mapping[str, Decision], shares: Mapping[str, Sequence[float]], base: Mapping[str, Answer]
) -> Iterator[dict[str, Answer]]:
    """Yield the likeliest answers that keep the limits on what can be told exactly, if there are such limits."""
    bounds = {metric: work.request.limits[metric] for metric in _EXACT if metric in work.request.limits}
    if bounds:
        gates = Gates(decisions.values(), softmax)
        for key, logits in gates.logits.items():
            logits.data = torch.tensor(shares[key]).clamp_min(1e-30).log()
        shape = work.task.spec.input_shape
        costs = [(expected_cost(work.space, gates, shape, metric, base), bound) for metric, bound in bounds.items()]
        with contextlib.suppress(LimitError):
            yield derive_within(gates, costs)


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
