"""Several objectives, hard limits, rungs and rules that end trainings early, in one study."""

from collections.abc import Callable
from pathlib import Path

import pytest

from archsmith import RegularizedEvolution, Study, maximize, minimize
from archsmith.estimate import MedianRule, Stopping
from archsmith.run import Run
from archsmith.space import Space, choice
from archsmith.strategy import NSGA2, GuidedEvolution, HyperBand, Strategy, SuccessiveHalving
from archsmith.trial import Evaluate

SPACE = Space(**{f"layer{i}": choice(1, 2, 3, 4, name=f"layer{i}") for i in range(5)})
LIMIT = 14.0  # of the sum of the layers, which goes from 5 to 20
GOALS = [maximize("accuracy"), minimize("latency_ms")]


def train(proposal: Evaluate, run: Run) -> dict[str, float]:
    """What is larger is slower, and learns more, but in its first layer; its size is told with the result."""
    size = float(sum(int(str(v)) for v in proposal.arch.values()))
    useful = size + 16 - 8 * int(str(proposal.arch["layer0"]))
    accuracy = 0.0
    for epoch in range(1, int(proposal.fidelity.get("epochs", 9)) + 1):
        accuracy = useful / 32 * (1 - 0.5 / epoch)
        run.report({"epoch": epoch, "accuracy": accuracy, "latency_ms": size})
        if run.interrupted():
            break
    return {"accuracy": accuracy, "latency_ms": size, "size": size, "epochs": epoch}


@pytest.mark.parametrize(
    "make",
    [
        lambda: SuccessiveHalving(NSGA2(SPACE, population=8)),
        lambda: HyperBand(RegularizedEvolution(SPACE, population=8, sample=3)),
        lambda: SuccessiveHalving(GuidedEvolution(SPACE)),
    ],
    ids=["nsga2", "evolution", "guided"],
)
def test_objectives_limits_rungs_and_stopping_hold_together(tmp_path: Path, make: Callable[[], Strategy]) -> None:
    stopping = Stopping(train, MedianRule(others=2, points=1), GOALS, {"size": LIMIT})
    study = Study(SPACE, make(), stopping, GOALS, limits={"size": LIMIT}, folder=tmp_path)
    with study:
        study.run(trials=50)
    assert study.front and all(t.metrics["size"] <= LIMIT for t in study.front)
    assert all(t.state in ("complete", "cached") for t in study.front), "what was ended early is no result"
    trials = {t.number: t for t in study.trials}
    promoted = [t for t in study.trials if t.proposal.resume is not None]
    assert promoted and {t.state for t in study.trials} >= {"complete", "stopped"}
    for trial in promoted:
        before = trials[trial.proposal.resume]  # type: ignore[index]
        assert before.usable and before.metrics["size"] <= LIMIT, "what breaks the limit or was stopped goes no further"
