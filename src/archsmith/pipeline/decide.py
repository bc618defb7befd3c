"""Whether to train every candidate on its own or to share weights, where nobody says: by what the time allows."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsmith.errors import SpaceError
from archsmith.pipeline.methods import Method, find_method, require_method
from archsmith.pipeline.work import BEGUN, ETA, RUNGS, Work
from archsmith.space import sample

__all__ = ["LEAST_BANK", "LEAST_FIRST", "LEAST_STEPS", "decided"]

LEAST_FIRST = 0.25  # epochs at the lowest rung, below which first scores are hardly more than chance
LEAST_BANK = 3.0  # epochs of a bank, below which its scores are not more than that either
LEAST_STEPS = 2000  # steps of a bank, below which they do not rank networks, however often it saw few data

_DRAWN = 15  # random networks, by whose middle one the epochs of a bank are predicted


def decided(work: Work) -> Method | None:
    """Return the method that the run uses, None for training every candidate on its own; and say why.

    Candidates that are trained on their own have the truer scores. Where the search's share of the budget is so small
    that a dozen of them would see less than a quarter of the data once, one bank that sees all of it several times, in
    thousands of steps, tells more. A bank trains networks of every size, so its epochs are predicted by the middle one
    of some random ones. The thresholds are a rule of thumb. Decided once in a run, after its machine was measured.
    """
    known = work.journal.get("method")
    if known is None:
        known = work.journal.put("method", _weighed(work))
        if known["reason"]:
            work.note(known["reason"])
    return find_method(known["name"]) if known["name"] else None


def _weighed(work: Work) -> dict[str, Any]:
    request = work.request
    bound = request.trials is not None or request.folds or request.executor not in ("auto", "inline")
    if bound or request.strategy != "halving" or not work.probed.starts or work.tempo is None:
        return {"name": "", "reason": ""}
    epoch = work.pace(work.probed.starts[0])
    price = 1 + sum((ETA**i - 0.5 * ETA ** (i - 1)) / ETA**i for i in range(1, RUNGS))
    first = work.shares.search / (BEGUN * price) / epoch
    rng = np.random.default_rng([request.seed, 2])
    typical = float(np.median([work.pace(sample(work.space, rng)) for _ in range(_DRAWN)]))
    bank = work.shares.shared().bank / typical
    steps = bank * work.tempo.steps
    told = (
        f"of {BEGUN} candidates each would see the data {first:.2g} times at first, one bank {bank:.2g} times in "
        f"{steps:,.0f} steps"
    )
    if first >= LEAST_FIRST or bank < LEAST_BANK or steps < LEAST_STEPS:
        why = (
            "" if first >= LEAST_FIRST else f"every candidate is trained on its own, though {told}: too few for a bank"
        )
        return {"name": "", "reason": why}
    method = find_method("spos")
    try:
        require_method(method, work.space, work.task.spec.input_shape)
    except SpaceError as error:
        return {"name": "", "reason": f"every candidate is trained on its own: its weights cannot be shared. {error}"}
    return {"name": method.name, "reason": f"searching on shared weights ({method.name}), since {told}"}
