"""The share of a decision is that of the known function, whatever the order, the names and the fidelity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from archsmith.report.importance import MINIMUM_TRIALS, importance
from archsmith.space import Arch
from archsmith.trial import Evaluate, Trial


def trials(loss: Callable[[dict[str, Any]], float], count: int = 150, **fidelity: float) -> list[Trial]:
    rng = np.random.default_rng(3)
    made = []
    for number in range(count):
        answers: dict[str, Any] = {
            "depth": int(rng.choice([2, 3, 4])), "act": str(rng.choice(["relu", "silu"])),
            "lr": float(10 ** rng.uniform(-4, -1)), "pair": tuple(sorted(rng.permutation(4)[:2].tolist())),
        }  # fmt: skip
        if answers["depth"] == 4:
            answers["last"] = str(rng.choice(["a", "b"]))
        made.append(Trial(number, Evaluate(Arch(answers), fidelity), "complete", {}, (loss(answers),)))
    return made


def test_shares_are_those_of_an_additive_function() -> None:
    # The variances of the terms, each answer counting the same: depth 6, act 4, lr 0, pair 0.
    found = dict(importance(trials(lambda a: 3 * abs(a["depth"] - 3) * math.sqrt(3) + 4 * (a["act"] == "silu"), 300)))
    assert found["depth"] == pytest.approx(0.6, abs=0.06)
    assert found["act"] == pytest.approx(0.4, abs=0.06)
    assert found["lr"] < 0.02 and found["pair"] < 0.02 and found["last"] < 0.02


def test_numbers_matter_by_their_order() -> None:
    found = importance(trials(lambda a: (math.log10(a["lr"]) + 2.5) ** 2))
    assert found[0][0] == "lr" and found[0][1] > 0.8


def test_what_decisions_explain_only_together_is_no_one_share() -> None:
    found = dict(importance(trials(lambda a: float((a["act"] == "silu") != (a["lr"] > 10**-2.5)), 300)))
    assert sum(found.values()) < 0.3


def test_conditional_decisions_have_shares() -> None:
    found = importance(trials(lambda a: 5.0 * (a.get("last") == "a")))
    assert {name for name, _ in found[:2]} == {"last", "depth"}


def test_shares_are_shares_and_come_in_order() -> None:
    found = importance(trials(lambda a: a["depth"] * (1 + (a["act"] == "silu")) + a["lr"]))
    shares = [share for _, share in found]
    assert shares == sorted(shares, reverse=True)
    assert all(0 <= share <= 1 for share in shares) and sum(shares) <= 1 + 1e-9
    assert {name for name, _ in found} == {"depth", "act", "lr", "pair", "last"}


def test_the_same_trials_give_the_same_shares() -> None:
    made = trials(lambda a: a["depth"] + a["lr"], 60)
    assert importance(made) == importance(made)


def test_the_length_of_training_is_set_aside() -> None:
    def loss(a: dict[str, Any]) -> float:
        return float(a["act"] == "silu")

    short = trials(lambda a: loss(a) + 10, 80, epochs=1)
    long = [t for t in trials(loss, 160, epochs=9) if t.number >= 80]
    found = importance([*short, *long])
    assert found[0][0] == "act" and found[0][1] > 0.7


def test_of_one_architecture_the_most_expensive_trial_counts() -> None:
    short = trials(lambda a: 7.0 * (a["act"] == "silu"), 60, epochs=1)
    long = [
        Trial(t.number + 60, Evaluate(t.arch, {"epochs": 9}), "complete", {}, (float(t.arch["depth"]),)) for t in short
    ]  # type: ignore[arg-type]
    assert importance([*short, *long])[0][0] == "depth"


def test_one_diverged_training_does_not_explain_everything() -> None:
    made = trials(lambda a: float(a["depth"]), 60)
    broken = Trial(99, Evaluate(Arch({**made[0].arch, "lr": 0.9})), "complete", {}, (1e9,))
    assert importance([*made, broken])[0][0] == "depth"


def test_too_few_or_equal_trials_tell_nothing() -> None:
    assert importance(trials(lambda a: a["lr"], MINIMUM_TRIALS - 1)) == []
    assert importance(trials(lambda a: 1.0)) == []
    assert importance([]) == []
    assert len(importance(trials(lambda a: a["lr"], MINIMUM_TRIALS))) > 0


def test_failed_and_infinite_trials_do_not_count() -> None:
    made = trials(lambda a: a["lr"], 7)
    rest = [Trial(9 + i, t.proposal, "failed", {}, (math.inf,)) for i, t in enumerate(trials(lambda a: 0.0, 20))]
    assert importance([*made, *rest]) == []


def test_only_the_named_decisions_are_looked_at() -> None:
    assert [name for name, _ in importance(trials(lambda a: a["lr"]), ["act", "lr"])] == ["lr", "act"]
