"""Training the bank of a run, and finding it again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsmith.build.bank import Bank
from archsmith.errors import ArchsmithError, StoreError
from archsmith.estimate import Settings, Trained, seconds_spent, train_bank
from archsmith.pipeline.finalists import wanted_epochs
from archsmith.pipeline.methods import Method
from archsmith.pipeline.work import Work

__all__ = ["BANK", "bank_of", "parameters_of", "train_paths"]

BANK = "bank"
"""The folder of a run in which its bank is kept."""

_LEAST_S = 1.0


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


def train_paths(work: Work, method: Method, bank: Bank, recipe: Settings) -> dict[str, Any]:
    """Train the bank on the paths that the method draws, for its share of the budget; return what came of it.

    A training that was stopped goes on from its last state. One that diverges begins anew, at a third of the rate.
    """
    assert method.sampler is not None
    trained = _attempt(work, method, bank, recipe, work.journal.place("bank"))
    if trained.diverged is not None:
        work.note(f"the bank diverged, so it begins anew at a third of the learning rate: {trained.diverged}")
        fresh = Bank(work.space, work.request.seed)
        bank.load_state_dict(fresh.state_dict())
        gentler = replace(recipe, lr=recipe.peak_lr / 3)
        trained = _attempt(work, method, bank, gentler, work.journal.place("bank-again"))
    if trained.diverged is not None:
        raise ArchsmithError(
            f"The shared weights could not be trained: {trained.diverged}. Search without --method, or with another."
        )
    return {"epochs": trained.epochs, "seconds": trained.seconds, "loss": trained.metrics.get("train_loss")}


def _attempt(work: Work, method: Method, bank: Bank, recipe: Settings, place: Path) -> Trained:
    assert method.sampler is not None
    spent = seconds_spent(place)
    left = min(work.shares.bank - spent, work.clock.left(work.shares.search + work.shares.final + work.shares.ship))
    repeatable = work.request.repeatable
    with work.pause.gently():
        trained = train_bank(
            bank,
            work.task,
            recipe,
            machine=work.machine.alone(),
            seed=work.request.seed,
            sampler=method.sampler,
            distil=method.distil,
            epochs=wanted_epochs(work.task.spec.samples) if repeatable else None,
            seconds=None if repeatable else max(_LEAST_S, left),
            deadline=time.monotonic() + max(_LEAST_S, left) if repeatable else None,
            checkpoint=place,
            resume=place,
            interrupted=work.pause,
        )
    work.pause.check()
    return replace(trained, seconds=trained.seconds + spent)


def parameters_of(bank: Bank) -> int:
    """Return how many numbers the bank shares."""
    return sum(p.numel() for p in bank.parameters())
