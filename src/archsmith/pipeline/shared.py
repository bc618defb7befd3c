"""A search on shared weights: train one bank, search on it, and train what was found on its own."""

from __future__ import annotations

import time
from typing import Any

from archsmith.build.bank import Bank
from archsmith.estimate import Settings, SharedEstimator
from archsmith.execute import Inline
from archsmith.pipeline.banks import BANK, bank_of, parameters_of, train_paths
from archsmith.pipeline.methods import Method
from archsmith.pipeline.work import Work
from archsmith.space import Answer, Arch, completed, narrow, settings
from archsmith.spaces import starts, usual_training
from archsmith.strategy import First, InTurn, Narrowed, RandomSearch, Sharing, Strategy, find, make

__all__ = ["search_shared"]


def search_shared(work: Work, method: Method) -> None:
    """Go through the phases of a search on shared weights, up to the comparisons.

    The training settings are those that work for most networks, the same for the bank and for all that is trained
    after it: on shared weights they have no say, so they are not searched.
    """
    work.measure()
    given = usual_training(work.space, work.task.spec)
    recipe = Settings.from_values(settings(work.space, completed(work.space, work.probed.starts[0], given)))
    bank = _trained(work, method, recipe)
    _look(work, method, bank, given)
    work.train()
    work.compare()


def _trained(work: Work, method: Method, recipe: Settings) -> Bank:
    """Return the bank: trained now, or before."""
    work.announce("train the bank")
    bank = bank_of(work)
    if bank is None:
        bank = Bank(work.space, work.request.seed)
        work.note(f"{method.name} ({method.paper}): one bank of {parameters_of(bank):,} shared weights")
        made = train_paths(work, method, bank, recipe)
        bank.save(work.folder / BANK)
        work.journal.put("bank", {**made, "parameters": parameters_of(bank), "recipe": recipe.to_json()})
    known = work.journal.get("bank") or {}
    work.note(f"the bank saw the data {known['epochs']:.3g} times in {known['seconds']:.0f} s")
    work.sharing = {"method": method.name, "paper": method.paper, **known}
    return bank


def _look(work: Work, method: Method, bank: Bank, given: dict[str, Answer]) -> None:
    """Search on the bank, with random search beside, which is asked as often."""
    work.announce("search")
    machine = work.machine.alone()
    estimator = SharedEstimator(work.task, bank, machine)
    share = min(
        work.shares.search - work.clock.spent.get("search", 0.0),
        work.clock.left(work.shares.final + work.shares.ship),
    )
    plan = work.journal.get("plan")
    if plan is None:
        first = [a.to_json() for a in _first(work)]
        plan = work.journal.put("plan", {"first": first, "expected": _expected(work, estimator, share)})
    work.first = tuple(Arch.from_json(a) for a in plan["first"])
    executor = Inline(estimator, work.folder, seed=work.request.seed, interrupted=work.pause)
    work.study_with(_strategy(work, method, given, int(plan["expected"])), executor, share)


def _strategy(work: Work, method: Method, given: dict[str, Answer], expected: int) -> Strategy:
    inside = narrow(work.space, given)
    named = find(work.request.strategy)
    sized: dict[str, Any] = {}
    if named.name in ("evolution", "nsga2"):
        population = min(max(expected // 20, 8), 50)
        sized = {"population": population} | ({"sample": max(2, population // 4)} if named.name == "evolution" else {})
    made = make(work.request.strategy, inside, **sized)
    first = tuple(_without(a, given) for a in work.first)
    both = InTurn(First(made, first) if first else made, RandomSearch(inside))
    return Sharing(Narrowed(work.space, both, given), weights=BANK)


def _without(arch: Arch, given: dict[str, Answer]) -> Arch:
    return Arch({key: answer for key, answer in arch.items() if key not in given})


def _first(work: Work) -> tuple[Arch, ...]:
    """Return what is tried first: known good designs that fit, and what was found where that is rare."""
    known = tuple(a for a in starts(work.space) if work.fits(a))
    return (*known, *(work.probed.starts if work.probed.rare else ()))


def _expected(work: Work, estimator: SharedEstimator, share: float) -> int:
    """Return about how many networks can be measured on the bank in the time."""
    if work.request.trials is not None:
        return work.request.trials
    began = time.monotonic()
    for arch in work.probed.starts[:2]:
        estimator.score(arch)
    each = (time.monotonic() - began) / max(1, len(work.probed.starts[:2]))
    return max(1, int(share / max(each, 1e-3)))
