"""The laws of an estimator, as functions of a factory: ``for law in ESTIMATOR_LAWS: law(make)``.

``make()`` returns ``(evaluate, proposal)``: an estimator, and something it can measure quickly. An estimator is any
function of ``(proposal, run)`` that returns named numbers.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from archsmith.execute.protocol import Evaluation
from archsmith.run import Run
from archsmith.trial import Proposal

__all__ = [
    "ESTIMATOR_LAWS",
    "EstimatorLaw",
    "MakeEstimator",
    "equal_seeds_give_equal_metrics",
    "no_folder_is_needed",
    "numbers_with_names_come_out",
    "the_process_is_left_alone",
]

MakeEstimator = Callable[[], tuple[Evaluation, Proposal]]
EstimatorLaw = Callable[[MakeEstimator], None]


def _measure(evaluate: Evaluation, proposal: Proposal, seed: int = 3) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return dict(evaluate(proposal, Run(0, seed, Path(folder) / "trials" / "0")))


def numbers_with_names_come_out(make: MakeEstimator) -> None:
    """The metrics are a mapping of names to numbers, at least one of them, none of them infinite or NaN."""
    metrics = _measure(*make())
    assert metrics, "no metrics"
    for name, value in metrics.items():
        assert isinstance(name, str) and math.isfinite(float(value)), f"{name!r}: {value!r}"


def no_folder_is_needed(make: MakeEstimator) -> None:
    """A run that keeps nothing is measured too."""
    evaluate, proposal = make()
    metrics = evaluate(proposal, Run(0, 3))
    assert isinstance(metrics, Mapping) and metrics, "no metrics"


def equal_seeds_give_equal_metrics(make: MakeEstimator) -> None:
    """All randomness comes from the run's seed; times and what is measured in them are left out."""
    first, second = (_measure(*make()) for _ in range(2))
    assert first.keys() == second.keys(), "other metrics the second time"
    for name in first:
        if not any(word in name for word in ("second", "time", "latency", "_ms")):
            assert first[name] == second[name], f"{name}: {first[name]} and then {second[name]}"


def the_process_is_left_alone(make: MakeEstimator) -> None:
    """Global random generators, the environment and the working folder are as before, and so is the proposal."""
    evaluate, proposal = make()
    before = proposal.to_json()
    state, legacy = random.getstate(), repr(np.random.get_state())  # noqa: NPY002  (looked at, never drawn from)
    folder, environment = os.getcwd(), dict(os.environ)
    _measure(evaluate, proposal)
    assert random.getstate() == state, "the global generator of random was used"
    assert repr(np.random.get_state()) == legacy, "the global generator of numpy was used"  # noqa: NPY002
    assert os.getcwd() == folder and dict(os.environ) == environment, "the process's surroundings changed"
    assert proposal.to_json() == before, "the proposal changed"


ESTIMATOR_LAWS: Sequence[EstimatorLaw] = (
    numbers_with_names_come_out,
    no_folder_is_needed,
    equal_seeds_give_equal_metrics,
    the_process_is_left_alone,
)
