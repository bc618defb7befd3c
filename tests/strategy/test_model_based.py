"""Strategies with a model: that the model is of use, that its answer is not the luckiest one, and when it is fitted."""

import math
from itertools import pairwise

import numpy as np
import pytest

from archsmith.bench.hypervolume import hypervolume
from archsmith.errors import SpaceError, UsageError
from archsmith.predictors import Ensemble, decisions
from archsmith.predictors.scores import normal_scores
from archsmith.space import Arch, Space, choice, sample
from archsmith.strategy import BANANAS, BayesianOptimization, GuidedEvolution, RandomSearch, Strategy, recommended
from archsmith.strategy.evidence import Evidence, expected_improvement, scalarized, scheduled
from archsmith.testing.predictor import CELL
from archsmith.trial import Evaluate, Trial

FLAT = Space(**{f"x{i}": choice(*range(5), name=f"x{i}") for i in range(6)})


def loss(arch: Arch) -> float:
    return sum(abs(int(str(v)) - 2) * (1 + i) for i, v in enumerate(arch.values()))


def searched(strategy: Strategy, trials: int, noise: float = 0.0, seed: int = 0) -> list[Trial]:
    rng, done = np.random.default_rng([seed, 9]), list[Trial]()
    for number in range(trials):
        (proposal,) = strategy.ask(1, np.random.default_rng([seed, number]), ())
        measured = loss(proposal.arch) + noise * float(rng.standard_normal())
        done.append(Trial(number, proposal, "complete", losses=(measured,)))
        strategy.tell(done[-1])
    return done


@pytest.mark.parametrize(
    "make",
    [
        lambda: GuidedEvolution(FLAT, candidates=60),
        lambda: BayesianOptimization(FLAT, candidates=60),
        lambda: BANANAS(FLAT, steps=200, candidates=60),
    ],
    ids=["guided", "bayesian", "bananas"],
)
def test_a_model_beats_chance_and_repeats_nothing(make: object) -> None:
    done = searched(make(), 40)  # type: ignore[operator]
    assert len({t.arch for t in done}) == 40
    late = np.mean([t.losses[0] for t in done[20:]])
    blind = np.mean([t.losses[0] for t in searched(RandomSearch(FLAT), 40)])
    assert late < 0.7 * blind


def test_the_answer_is_not_the_luckiest_measurement() -> None:
    better = 0.0
    for seed in range(5):
        strategy, rng, done = GuidedEvolution(FLAT), np.random.default_rng(seed), list[Trial]()
        for number in range(80):
            arch = sample(FLAT, rng)
            noisy = loss(arch) + 8.0 * float(rng.standard_normal())
            done.append(Trial(number, Evaluate(arch), "complete", losses=(noisy,)))
            strategy.tell(done[-1])
        answer, lucky = recommended(strategy, done), min(done, key=lambda t: t.losses)
        assert answer is not None
        better += loss(lucky.arch) - loss(answer.arch)
    assert better > 0


def test_cells_are_searched_by_their_paths_and_subtrees() -> None:
    for strategy in (
        BayesianOptimization(CELL, "paths"),
        BayesianOptimization(CELL, "subtrees"),
        BANANAS(CELL, "paths"),
    ):
        rng = np.random.default_rng(0)
        for number in range(12):
            arch = sample(CELL, rng)
            strategy.tell(Trial(number, Evaluate(arch), "complete", losses=(float(rng.random()),)))
        assert len(strategy.ask(3, rng, ())) == 3
    with pytest.raises(SpaceError, match="cell"):
        BayesianOptimization(FLAT, "subtrees")
    with pytest.raises(UsageError, match="'paths'"):
        BayesianOptimization(CELL, "pahts")
    with pytest.raises(UsageError, match="'one_hot'"):
        BANANAS(CELL, "onehot")  # type: ignore[arg-type]


def test_any_predictor_will_do() -> None:
    done = searched(BayesianOptimization(FLAT, Ensemble(decisions(FLAT), steps=100), candidates=20), 14)
    assert len(done) == 14


def test_a_batch_spreads_out_and_keeps_off_what_runs() -> None:
    strategy = GuidedEvolution(FLAT, candidates=100)
    searched(strategy, 20)
    first = strategy.ask(4, np.random.default_rng(5), ())
    assert len({p.arch for p in first}) == 4
    running = [Trial(50 + i, p) for i, p in enumerate(first)]
    assert not {p.arch for p in first} & {p.arch for p in strategy.ask(4, np.random.default_rng(5), running)}


def test_what_breaks_a_limit_is_avoided() -> None:
    strategy = GuidedEvolution(FLAT, candidates=60)
    rng = np.random.default_rng(0)
    broken = []
    for number in range(40):
        (proposal,) = strategy.ask(1, np.random.default_rng(number), ())
        excess = max(0.0, sum(int(str(v)) for v in proposal.arch.values()) - 10.0)
        broken.append(excess > 0)
        losses = (loss(proposal.arch) + float(rng.random()),)
        strategy.tell(Trial(number, proposal, "complete", losses=losses, violation=excess))
    assert sum(broken[20:]) < sum(broken[:20])


@pytest.mark.parametrize("share", [0.01, 0.15, 1.0])
def test_a_fit_is_due_after_a_share_more_results_and_never_in_advance(share: float) -> None:
    due = [scheduled(n, share, first=5, least=2) for n in range(300)]
    assert all(d <= n for n, d in enumerate(due)) and due == sorted(due)
    steps = np.unique(due[5:])
    assert all(b - a == max(2, int(a * share)) for a, b in pairwise(steps))
    assert due[3] == 3, "before there are enough it looks at all there are"


def test_scores_keep_the_order_share_ties_and_are_blind_to_size() -> None:
    scores = normal_scores([3.0, 1.0, 1.0, 1e9])
    assert scores[1] == scores[2] < scores[0] < scores[3]
    assert np.array_equal(scores, normal_scores([3.0, 2.0, 2.0, 4.0]))


def test_broken_trials_rank_behind_usable_ones_and_failures_last() -> None:
    evidence = Evidence()
    arch = Arch({"x": 1})
    for number, (state, value, violation) in enumerate(
        [("complete", 5.0, 0.0), ("complete", 0.0, 0.2), ("failed", math.inf, 0.0), ("infeasible", math.inf, 0.1)]
    ):
        evidence.tell(Trial(number, Evaluate(arch), state, losses=(value,), violation=violation))
    evidence.tell(Trial(9, Evaluate(arch), "stopped", losses=(math.inf,)))
    assert np.argsort(evidence.scores(4)[0]).tolist() == [0, 3, 1, 2]


def test_expected_improvement_is_that_of_a_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    mean, std, known = np.array([[0.2, -0.5, 1.0]]), np.array([[0.5, 0.1, 2.0]]), np.array([[0.0, 3.0]])
    drawn = np.maximum(0.0 - rng.normal(mean[0], std[0], (200_000, 3)), 0.0).mean(0)
    assert np.allclose(expected_improvement(mean, std, known, rng), drawn, atol=0.01)
    two = expected_improvement(np.array([[0.0, -1.0], [0.0, -1.0]]), np.full((2, 2), 1e-6), np.zeros((2, 1)), rng)
    assert two[1] > two[0]


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_best_along_random_directions_is_the_hypervolume(objectives: int) -> None:
    rng = np.random.default_rng(0)
    losses, reference = rng.random((objectives, 12)), np.full(objectives, 0.9)
    best = scalarized(losses, reference, rng.standard_normal((40_000, objectives))).max(1)
    ball = math.pi ** (objectives / 2) / (2**objectives * math.gamma(objectives / 2 + 1))
    assert ball * best.mean() == pytest.approx(hypervolume(losses.T, reference), rel=0.02)


def test_of_several_objectives_what_widens_the_front_gains_most() -> None:
    known = np.array([[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]])
    mean = np.array([[0.6, 0.2, 0.45, 0.1, 0.9], [0.6, 0.2, 0.4, 0.95, -3.0]])
    gains = expected_improvement(mean, np.full((2, 5), 1e-6), known, np.random.default_rng(0))
    assert gains[0] == 0 and gains[1] > 2 * gains[3] > 0 and gains[1] > 2 * gains[2] > 0
    assert gains[4] == 0, "half of what was tried is better in the first objective"
    unsure = expected_improvement(mean, np.full((2, 5), 0.5), known, np.random.default_rng(0))
    assert unsure[0] > 0, "what is not known may be better"
