"""A search on shared weights: train one bank, search on it, and train what was found on its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from torch import nn

from archsmith.build.bank import Bank
from archsmith.estimate import Settings, SharedEstimator
from archsmith.execute import Inline
from archsmith.pipeline.banks import BANK, bank_of, parameters_of, train_gates, train_paths
from archsmith.pipeline.collapse import free_options, usual_free_options
from archsmith.pipeline.family import assigned, candidates, family_objectives
from archsmith.pipeline.finalists import wanted_epochs
from archsmith.pipeline.methods import Method, relaxed_decisions
from archsmith.pipeline.ranks import agreement, best_first, check_ranks
from archsmith.pipeline.warm import begin_bank
from archsmith.pipeline.work import Work
from archsmith.space import Answer, Arch, Decision, completed, narrow, settings
from archsmith.spaces import starts, usual_training
from archsmith.strategy import First, InTurn, Narrowed, RandomSearch, Sharing, Strategy, make
from archsmith.trial import known_violation

__all__ = ["ENOUGH", "LEAST_ASKED", "RANDOM", "search_shared"]

RANDOM = "random search on the same bank"
ENOUGH = 0.5  # of the epochs that a training wants, below which it had better begin with the shared weights
LEAST_ASKED = 0.1  # of the time that is left, what a search on the bank gets however late it is


def search_shared(work: Work, method: Method) -> None:
    """Go through the phases of a search on shared weights, up to the comparisons.

    The training settings are those that work for most networks, the same for the bank and for all that is trained
    after it: on shared weights they have no say, so they are not searched.
    """
    if not work.shares.bank:
        work.share_weights()
    if work.request.folds or work.request.executor in ("processes", "ray"):
        work.note("scores on shared weights are of one split, and measured in this process")
    # Kept, since a latency measured on another day might give others, and what was trained would not fit them.
    known = work.journal.get("given") or work.journal.put("given", Arch(_given(work, method)).to_json())
    given = dict(Arch.from_json(known))
    recipe = Settings.from_values(settings(work.space, completed(work.space, work.probed.starts[0], given)))
    bank = _trained(work, method, recipe, given)
    _look(work, method, bank, given)
    work.begin = _tuning(work, bank)
    if work.request.family:
        work.preferred = candidates(work)
    work.rivals = _found_at_random(work)
    work.train()
    if work.request.family:
        work.family = assigned(work, work.finalists)
        winner = work.family[0][1]  # it keeps all the limits
        work.finalists = [winner, *(f for f in work.finalists if f is not winner)]
    work.compare()
    work.announce("check the ranking")
    estimator = SharedEstimator(work.task, bank, work.machine.alone())
    standings = check_ranks(work, estimator, work.shares.ranks, work.shares.ship)
    work.sharing |= {
        "held": _held(work, method, given),
        **agreement(standings),
        **_side_by_side(work, method),
        "collapse": _collapse(work),
    }


def _given(work: Work, method: Method) -> dict[str, Answer]:
    """Return the answers to what is not searched: the training settings, and what gates cannot decide.

    For gates those are of a known good design that fits, else of a random network that does, else in the middle.
    """
    given = usual_training(work.space, work.task.spec)
    if method.kind == "paths":
        return given
    decided = relaxed_decisions(method, work.space)
    base = next((a for a in (*starts(work.space), *work.probed.starts) if work.fits(a)), work.probed.starts[0])
    known = {**base, **given}
    rest = {key: decision for key, decision in work.space.decisions.items() if key not in decided}
    return {key: known[key] if key in known else _middle(decision) for key, decision in rest.items()}


def _held(work: Work, method: Method, given: dict[str, Answer]) -> dict[str, Answer]:
    """Return the answers of the winner that were not searched because gates cannot decide them."""
    if method.kind == "paths":
        return {}
    training = usual_training(work.space, work.task.spec)
    winner = work.finalists[0].trial.arch
    return {key: answer for key, answer in winner.items() if key in given and key not in training}


def _middle(decision: Decision) -> Answer:
    if decision.kind in ("integer", "real"):
        return decision.at(0.5)
    answers = list(islice(decision.answers(), 64))
    return answers[len(answers) // 2]


def _trained(work: Work, method: Method, recipe: Settings, given: dict[str, Answer]) -> Bank:
    """Return the bank: trained now, or before."""
    work.announce("train the bank")
    bank = bank_of(work)
    if bank is None:
        begin = partial(begin_bank, work.request.weights, work.space, work.request.seed)
        bank, left = begin()

        def anew() -> Bank:
            return begin()[0]

        work.note(f"{method.name} ({method.paper}): one bank of {parameters_of(bank):,} shared weights")
        if work.request.weights:
            work.note(f"it begins with {work.request.weights}; {len(left)} tensors could not be carried over in full")
        likely: list[Arch] = []
        if method.kind == "gates":
            bank, made, likely = train_gates(work, method, bank, recipe, given, anew)
            if made["epochs"] and not likely:
                work.note("no network that the gates prefer can learn within the limits: the search goes on without")
        else:
            bank, made = train_paths(work, method, bank, recipe, given, anew)
        bank.save(work.folder / BANK)
        about = {"started_from": work.request.weights, "not_carried": left}
        size = {"parameters": parameters_of(bank), "recipe": recipe.to_json()}
        work.journal.put("bank", {**made, **size, **about, "likely": [a.to_json() for a in likely]})
    known = dict(work.journal.get("bank") or {})
    work.note(f"the bank saw the data {known['epochs']:.3g} times in {known['seconds']:.0f} s")
    if known.get("stopped"):
        work.note(f"the gates stopped early: {known['stopped']}")
    work.preferred = tuple(Arch.from_json(a) for a in known.pop("likely"))
    known.pop("proposed", None)
    work.sharing = {"method": method.name, "paper": method.paper, **known}
    return bank.to(work.machine.device)


def _look(work: Work, method: Method, bank: Bank, given: dict[str, Answer]) -> None:
    """Search on the bank, with random search beside, which is asked as often."""
    work.announce("search")
    estimator = SharedEstimator(work.task, bank, work.machine.alone())
    # A bank that took longer than planned, or was trained again after a kill, is worth nothing unless it is asked.
    spare = max(work.clock.left(work.shares.final + work.shares.ship), LEAST_ASKED * work.clock.left(work.shares.ship))
    share = min(work.shares.search - work.clock.spent.get("search", 0.0), spare)
    plan = work.journal.get("plan")
    if plan is None:
        first = [a.to_json() for a in _first(work, method)]
        plan = work.journal.put("plan", {"first": first, "expected": _expected(work, estimator, share)})
    work.first = tuple(Arch.from_json(a) for a in plan["first"])
    executor = Inline(estimator, work.folder, seed=work.request.seed, interrupted=work.pause)
    strategy = _strategy(work, method, given, int(plan["expected"]))
    work.study_with(strategy, executor, share, family_objectives(work))


def _strategy_of(work: Work, method: Method) -> str:
    """Return the name of the strategy that searches on the bank: what was asked for, else the method's."""
    return method.strategy if work.request.strategy == "halving" else work.request.strategy


def _strategy(work: Work, method: Method, given: dict[str, Answer], expected: int) -> Strategy:
    inside = narrow(work.space, given)
    name = _strategy_of(work, method)
    sized: dict[str, Any] = {}
    if name in ("evolution", "nsga2"):
        population = min(max(expected // 20, 8), 50)
        sized = {"population": population} | ({"sample": max(2, population // 4)} if name == "evolution" else {})
    made = make(name, inside, **sized)
    first = tuple(dict.fromkeys(Arch({k: v for k, v in a.items() if k not in given}) for a in work.first))
    both = InTurn(First(made, first) if first else made, RandomSearch(inside))
    return Sharing(Narrowed(work.space, both, given), weights=BANK)


def _first(work: Work, method: Method) -> tuple[Arch, ...]:
    """Return what is tried first: what gates prefer, else known good designs, and what fits where that is rare.

    A controller that has learned with the bank derives from what it learned, as in ENAS.
    """
    if method.kind == "gates":
        return work.preferred
    derived = [Arch.from_json(a) for a in (work.journal.get("bank") or {}).get("proposed", ())]
    known = tuple(a for a in starts(work.space) if work.fits(a))
    # Of several limits, what was probed for keeps the strictest.
    return (*known, *derived, *(work.probed.starts if work.probed.rare or work.request.family else ()))


def _tuning(work: Work, bank: Bank) -> Callable[[Arch], nn.Module] | None:
    """Return how a final training begins: from the bank where there is too little time for one from scratch."""
    assert work.study is not None
    best = work.study.best
    planned = work.journal.get("begin")
    if planned is None:
        epochs = math.inf if best is None else work.shares.final / work.pace(best.arch)
        enough = ENOUGH * wanted_epochs(work.task.spec.samples)
        tuned = epochs < enough and not work.request.repeatable
        planned = work.journal.put("begin", {"tuned": tuned, "epochs": epochs, "enough": enough})
    if planned["tuned"]:
        work.note(
            f"there is time for {planned['epochs']:.3g} epochs of a final training, and one from scratch needs about "
            f"{planned['enough']:.3g}: it begins with the shared weights"
        )
    return bank.extract if planned["tuned"] else None


def _found_at_random(work: Work) -> dict[str, Arch]:
    """Return the best network that random search has found on the bank."""
    assert work.study is not None
    kept = {**work.limits, **work.request.limits}
    own = [t for t in work.study.trials if t.number % 2 and known_violation(t.metrics, kept) == 0]
    best = best_first(work, own)
    return {RANDOM: best[0].arch} if best else {}


def _side_by_side(work: Work, method: Method) -> dict[str, Any]:
    """Return what the strategy and random search have found on the same bank, asked equally often."""
    assert work.study is not None
    rows = []
    for name, odd in ((_strategy_of(work, method), 0), ("random", 1)):
        own = [t for t in work.study.trials if t.number % 2 == odd]
        best = best_first(work, own)
        score = best[0].metrics[work.objective.metric] if best else None
        number = best[0].number if best else None
        rows.append({"name": name, "trials": len(own), "trial": number, "score": score})
    return {"side_by_side": rows, "rivals": {name: a.to_json() for name, a in work.rivals.items()}}


def _collapse(work: Work) -> dict[str, Any]:
    """Return what tells whether the search has collapsed."""
    free, chosen = free_options(work.space, work.finalists[0].trial.arch)
    usual = usual_free_options(work.space, np.random.default_rng([work.request.seed, 78]))
    gates = work.sharing.get("gates", [])
    return {"free": free, "chosen": chosen, "usual_share": None if math.isnan(usual) else usual, "gates": gates}


def _expected(work: Work, estimator: SharedEstimator, share: float) -> int:
    """Return about how many networks can be measured on the bank in the time."""
    if work.request.trials is not None:
        return work.request.trials
    began = time.monotonic()
    for arch in work.probed.starts[:2]:
        estimator.score(arch)
    each = (time.monotonic() - began) / max(1, len(work.probed.starts[:2]))
    return max(1, int(share / max(each, 1e-3)))
