"""Rules that end trainings early, by themselves and in a study."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from archsmith import Study, maximize, minimize
from archsmith.errors import SpaceError, UsageError
from archsmith.estimate import Curve, ExtrapolationRule, MedianRule, Stopping, StoppingRule
from archsmith.run import Run
from archsmith.space import Arch, Space, choice, real
from archsmith.strategy import RandomSearch
from archsmith.trial import Evaluate

SPACE = Space(final=real(0.0, 1.0, name="final"))


def curve(final: float, points: int, at: float = 1.0, noise: float = 0.0) -> Curve:
    steps = np.arange(1.0, points + 1) * at
    wiggle = noise * np.random.default_rng(0).standard_normal(points)
    return Curve(steps, final + 1.0 / steps + wiggle)


def test_the_median_rule_ends_the_worse_half_once_enough_are_there() -> None:
    rule, others = MedianRule(others=3), [curve(final, 8) for final in (0.1, 0.2, 0.3)]
    assert rule(curve(0.6, 4), others)
    assert not rule(curve(0.4, 4), others)
    assert not rule(curve(0.9, 1), others), "one point is too early"
    assert not rule(curve(0.9, 4), others[:2]), "two others are too few"
    assert not rule(curve(0.9, 9), others), "none of the others came as far"


def test_the_best_so_far_is_compared_with_the_median_of_running_means() -> None:
    # Two points each: the means are 2, 3 and 4, the bests 1, 1 and 1.
    others = [Curve(np.array([1.0, 2.0]), np.array([2.0 * mean - 1.0, 1.0])) for mean in (2.0, 3.0, 4.0)]
    rule = MedianRule(others=3)
    for best, ends in ((2.9, False), (3.1, True)):
        assert rule(Curve(np.array([1.0, 2.0]), np.array([9.0, best])), others) == ends
        assert rule(Curve(np.array([1.0, 2.0]), np.array([best, 9.0])), others) == ends, "the last is not the best"


def test_the_median_is_taken_at_the_same_point_of_training() -> None:
    others = [curve(0.1, 30) for _ in range(5)]
    assert not MedianRule()(curve(0.1, 3), others), "as good as the others were then"


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_extrapolation_ends_what_cannot_reach_the_best(noise: float) -> None:
    best = [curve(0.2, 30)]
    rule = ExtrapolationRule(end=30)
    assert rule(curve(0.6, 8, noise=noise), best)
    assert not rule(curve(0.1, 8, noise=noise), best), "it is behind now, but will be ahead"
    assert not rule(curve(0.6, 3, noise=noise), best), "three points are too few"
    assert not rule(curve(0.6, 8), []), "there is nothing to be worse than"
    assert not rule(Curve(np.arange(8.0), np.full(8, np.nan)), best)


def train(proposal: Evaluate, run: Run) -> dict[str, float]:
    accuracy = 0.0
    for epoch in range(1, 11):
        accuracy = float(str(proposal.arch["final"])) * (1 - 0.5 / epoch)
        run.report({"epoch": epoch, "accuracy": accuracy})
        if run.interrupted():
            break
    return {"accuracy": accuracy, "epochs": epoch}


def test_a_study_stops_the_worse_ones_and_keeps_the_best(tmp_path: Path) -> None:
    everything = Study(SPACE, RandomSearch(SPACE), train, [maximize("accuracy")], seed=3).run(trials=30)
    stopping = Stopping(train, MedianRule())
    study = Study(SPACE, RandomSearch(SPACE), stopping, [maximize("accuracy")], folder=tmp_path, seed=3).run(trials=30)
    stopped = [t for t in study.trials if t.state == "stopped"]
    assert 8 <= len(stopped) <= 20 and all("MedianRule" in t.reason for t in stopped)
    assert study.best is not None and everything.best is not None
    assert study.best.metrics == everything.best.metrics
    lines = sum(len(p.read_text().splitlines()) - 1 for p in tmp_path.rglob("metrics.csv"))
    assert lines < 0.8 * 300, "stopping saved nothing"


def test_without_a_folder_nothing_is_stopped() -> None:
    study = Study(SPACE, RandomSearch(SPACE), Stopping(train, MedianRule(others=1)), [maximize("accuracy")])
    assert {t.state for t in study.run(trials=10).trials} == {"complete"}


def test_an_interruption_from_outside_still_arrives(tmp_path: Path) -> None:
    run = Run(0, 0, tmp_path / "0", interrupted=lambda: True)
    metrics = Stopping(train, MedianRule())(Evaluate(Arch({"final": 0.5})), run)
    assert metrics["epochs"] == 1


SIZES = Space(**{f"layer{i}": choice(0, 1, 2, name=f"layer{i}") for i in range(5)})


def slower_and_better(early: bool) -> Callable[[Evaluate, Run], dict[str, float]]:
    """Return a training in which a larger network learns more; its latency is told with every epoch, or at the end."""

    def train(proposal: Evaluate, run: Run) -> dict[str, float]:
        size = float(sum(int(str(v)) for v in proposal.arch.values()))
        for epoch in range(1, 13):
            loss = (11 - size) / 10 + 1 / epoch
            run.report({"epoch": epoch, "loss": loss} | ({"latency": size} if early else {}))
            if run.interrupted():
                break
        return {"loss": loss, "latency": size}

    return train


@pytest.mark.parametrize("rule", [MedianRule(), ExtrapolationRule(end=12)], ids=["median", "extrapolation"])
@pytest.mark.parametrize("early", [True, False], ids=["told early", "told at the end"])
def test_what_breaks_a_limit_ends_nothing_that_keeps_it(rule: StoppingRule, early: bool, tmp_path: Path) -> None:
    goals, limits, ended, train = [minimize("loss")], {"latency": 3.0}, 0, slower_and_better(early)
    for seed in range(2):
        free = Study(SIZES, RandomSearch(SIZES), train, goals, limits, seed=seed).run(trials=40)
        stopping = Stopping(train, rule, goals, limits)
        with Study(
            SIZES, RandomSearch(SIZES), stopping, goals, limits, folder=tmp_path / str(seed), seed=seed
        ) as study:
            study.run(trials=40)
        assert study.best is not None and free.best is not None and study.best.losses == free.best.losses
        ended += sum(t.state == "stopped" for t in study.trials)
    assert ended > 0, "nothing was saved"


@pytest.mark.parametrize("rule", [MedianRule(), ExtrapolationRule(end=12)], ids=["median", "extrapolation"])
def test_with_two_objectives_only_what_is_no_worse_in_the_other_ends_a_training(
    rule: StoppingRule, tmp_path: Path
) -> None:
    goals = [minimize("loss"), minimize("latency")]
    free = Study(SIZES, RandomSearch(SIZES), slower_and_better(early=True), goals, seed=1).run(trials=40)
    stopping = Stopping(slower_and_better(early=True), rule, goals)
    with Study(SIZES, RandomSearch(SIZES), stopping, goals, folder=tmp_path, seed=1) as study:
        study.run(trials=40)
    assert {t.losses for t in study.front} == {t.losses for t in free.front}
    unknown = Stopping(slower_and_better(early=False), rule, goals)
    with Study(SIZES, RandomSearch(SIZES), unknown, goals, folder=tmp_path / "silent", seed=1) as study:
        study.run(trials=40)
    assert {t.state for t in study.trials} <= {"complete", "cached"}, "what it cannot compare goes on"


def test_a_rule_made_for_other_goals_is_refused_when_the_study_is_made() -> None:
    stopping = Stopping(train, MedianRule())
    with pytest.raises(UsageError, match="by max accuracy, but the study searches for max accuracy, size <= 9"):
        Study(SPACE, RandomSearch(SPACE), stopping, [maximize("accuracy")], {"size": 9})
    with pytest.raises(UsageError, match="min loss"):
        Study(SPACE, RandomSearch(SPACE), stopping, [minimize("loss")])


def test_a_space_that_the_training_refuses_is_refused_through_the_rule() -> None:
    class Picky:
        def check(self, space: Space, weights: str) -> None:
            raise SpaceError("not this one")

        def __call__(self, proposal: Evaluate, run: Run) -> dict[str, float]:
            return {"accuracy": 0.0}

    with pytest.raises(SpaceError, match="not this one"):
        Study(SPACE, RandomSearch(SPACE), Stopping(Picky(), MedianRule()))


def test_resumed_curves_do_not_hide_what_others_had_by_then() -> None:
    mine = Curve(np.arange(1, 6.0), np.full(5, 9.0))
    whole = [Curve(np.arange(1, 28.0), np.full(27, 0.1))] * 5
    resumed = [Curve(np.arange(10, 28.0), np.full(18, 0.1))] * 6
    assert MedianRule()(mine, whole)
    assert MedianRule()(mine, [*whole, *resumed])
    assert not MedianRule()(mine, resumed)
