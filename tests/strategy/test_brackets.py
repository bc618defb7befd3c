"""HyperBand and its relatives: the sizes of brackets, the barrier, and what the model of BOHB is told."""

import numpy as np
import pytest
from scipy.stats import kstest, truncnorm

from archsmith.errors import UsageError
from archsmith.space import Arch, Space, choice, real
from archsmith.strategy import BOHB, HyperBand, KernelDensity, RandomSearch, Strategy, SynchronousHalving
from archsmith.strategy.hyper_band import bracket_sizes
from archsmith.strategy.kernel_density import _truncated
from archsmith.trial import Evaluate, Trial

SPACE = Space(x=real(0, 1, name="x"), kind=choice("a", "b", "c", name="kind"))


def run(strategy: Strategy, trials: int, workers: int = 1) -> list[Trial]:
    done, running, number = list[Trial](), list[Trial](), 0
    rng = np.random.default_rng(0)
    while len(done) < trials:
        new = strategy.ask(workers - len(running), np.random.default_rng(number), tuple(running))
        running += [Trial(number + i, p) for i, p in enumerate(new)]
        number += len(new)
        assert running, "nothing runs and nothing is proposed"
        ended = running.pop(int(rng.integers(len(running))))
        loss = abs(float(str(ended.arch["x"])) - 0.7) + 0.5 * (ended.arch["kind"] != "b")
        done.append(Trial(ended.number, ended.proposal, "complete", losses=(loss,)))
        strategy.tell(done[-1])
    return done


def levels(trials: list[Trial]) -> list[float]:
    return [t.proposal.fidelity["epochs"] for t in trials]


def test_the_sizes_of_brackets_are_the_published_ones() -> None:
    assert bracket_sizes(81, 3) == (81, 34, 15, 8, 5)
    assert bracket_sizes(1, 3) == (1,)
    assert bracket_sizes(27, 3) == (27, 12, 6, 4)


def test_each_rung_keeps_the_floor_of_an_etath_and_resumes_it() -> None:
    done = run(SynchronousHalving(RandomSearch(SPACE), 9, maximum=9), 13)
    assert levels(done) == [1.0] * 9 + [3.0] * 3 + [9.0]
    best = sorted(done[:9], key=lambda t: t.losses)[:3]
    assert {t.proposal.resume for t in done[9:12]} == {t.number for t in best}


@pytest.mark.parametrize("workers", [1, 4])
def test_hyper_band_runs_all_its_brackets_in_turn(workers: int) -> None:
    # R = 9: brackets of 9 at 1, 3 and 9; of 5 at 3 and 9; of 3 at 9.
    sizes = [(1.0, 9), (3.0, 3), (9.0, 1), (3.0, 5), (9.0, 1), (9.0, 3)]
    expected = [level for level, number in sizes for _ in range(number)]
    assert levels(run(HyperBand(RandomSearch(SPACE)), 2 * len(expected), workers)) == expected * 2


def test_workers_wait_for_the_last_of_a_rung() -> None:
    strategy = SynchronousHalving(RandomSearch(SPACE), 3, maximum=3)
    first = strategy.ask(5, np.random.default_rng(0), ())
    assert len(first) == 3, "a rung has three places"
    strategy.tell(Trial(0, first[0], "complete", losses=(0.1,)))
    strategy.tell(Trial(1, first[1], "failed", losses=(float("inf"),)))
    assert strategy.ask(2, np.random.default_rng(1), (Trial(2, first[2]),)) == []
    strategy.tell(Trial(2, first[2], "complete", losses=(0.2,)))
    (promoted,) = strategy.ask(2, np.random.default_rng(2), ())
    assert promoted.resume == 0 and promoted.fidelity == {"epochs": 3.0}


def test_a_space_that_is_used_up_does_not_hold_a_rung_open() -> None:
    small = Space(kind=choice("a", "b", "c", name="kind"))
    strategy = SynchronousHalving(RandomSearch(small), 9, maximum=3)
    for number in range(3):
        (proposal,) = strategy.ask(1, np.random.default_rng(number), ())
        strategy.tell(Trial(number, proposal, "complete", losses=(float(number),)))
    (promoted,) = strategy.ask(4, np.random.default_rng(9), ())
    assert promoted.resume == 0
    strategy.tell(Trial(3, promoted, "complete", losses=(0.0,)))
    assert strategy.ask(4, np.random.default_rng(10), ()) == []


def test_densities_draw_where_good_results_were() -> None:
    strategy = KernelDensity(SPACE, random_fraction=0.0)
    done = run(strategy, 60)
    late = [t.losses[0] for t in done[30:]]
    assert np.mean(late) < 0.5 * np.mean([t.losses[0] for t in run(RandomSearch(SPACE), 60)])


def test_the_model_looks_at_the_highest_fidelity_with_enough_results() -> None:
    strategy = KernelDensity(SPACE, random_fraction=0.0)
    rng = np.random.default_rng(0)
    for number in range(60):  # the low fidelity says a, the high one says b
        level, good = (1.0, "a") if number < 20 else (9.0, "b")
        arch = Arch({"x": float(rng.random()), "kind": "abc"[int(rng.integers(3))]})
        loss = float(arch["kind"] != good) + float(rng.random()) * 0.1
        strategy.tell(Trial(number, Evaluate(arch, {"epochs": level}), "complete", losses=(loss,)))
    kinds = [p.arch["kind"] for p in strategy.ask(30, rng, ())]
    assert kinds.count("b") > kinds.count("a")


def test_bohb_tells_its_model_of_every_rung() -> None:
    strategy = BOHB(SPACE)
    done = run(strategy, 22)
    assert sum(map(len, strategy._model._levels.values())) == len(done)


def test_impossible_settings_are_refused() -> None:
    for make in (HyperBand, SynchronousHalving):
        with pytest.raises(UsageError, match="minimum=9"):
            make(RandomSearch(SPACE), minimum=9, maximum=3)
    with pytest.raises(UsageError, match="eta=1"):
        BOHB(SPACE, eta=1)
    with pytest.raises(UsageError, match="samples=0"):
        KernelDensity(SPACE, samples=0)
    with pytest.raises(UsageError, match="bandwidth_factor=-1"):
        KernelDensity(SPACE, bandwidth_factor=-1)


def test_the_bandwidth_factor_widens_ranges_only() -> None:
    wide, narrow = (KernelDensity(SPACE, bandwidth_factor=factor) for factor in (3.0, 1e-9))
    steps, start = {"x": 0.1, "kind": 0.24}, Arch({"x": 0.5, "kind": "a"})
    drawn = [wide._near(start, steps, np.random.default_rng(i)) for i in range(3000)]
    # A bandwidth of 0.24 draws among all three options with that probability.
    assert np.mean([a["kind"] != "a" for a in drawn]) == pytest.approx(0.24 * 2 / 3, abs=0.03)
    assert np.std([float(str(a["x"])) for a in drawn]) > 0.2
    kept = [narrow._near(start, steps, np.random.default_rng(i)) for i in range(300)]
    assert np.allclose([float(str(a["x"])) for a in kept], 0.5)
    assert {a["kind"] for a in kept} == {"a", "b", "c"}


def test_draws_of_a_range_are_of_a_truncated_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    for mean in (0.0, 0.1, 0.5, 1.0):
        drawn = np.array([_truncated(mean, 0.3, rng) for _ in range(4000)])
        assert 0 < drawn.min() and drawn.max() < 1, "nothing piles up at the borders"
        expected = truncnorm(-mean / 0.3, (1 - mean) / 0.3, loc=mean, scale=0.3)
        assert kstest(drawn, expected.cdf).pvalue > 0.001


@pytest.mark.parametrize(("results", "good", "bad"), [(5, 0, 0), (6, 3, 3), (20, 3, 17), (40, 6, 34)])
def test_good_and_bad_are_apart_and_each_more_than_the_decisions(results: int, good: int, bad: int) -> None:
    strategy, rng = KernelDensity(SPACE), np.random.default_rng(0)
    for number in range(results):
        arch = Arch({"x": float(rng.random()), "kind": "a"})
        strategy.tell(Trial(number, Evaluate(arch), "complete", losses=(float(rng.random()),)))
    split = strategy._split()
    assert (split is None) == (good == 0)
    if split is not None:
        assert not set(split[0]) & set(split[1])
        assert (len(split[0]), len(split[1])) == (good, bad)


def test_the_rungs_of_synchronous_halving_of_214_are_the_published_ones_down_to_the_last() -> None:
    rungs = (7.0, 21.0, 63.0, 189.0, 567.0, 600.0)
    sizes = (214, 71, 23, 7, 2, 1)
    done = run(SynchronousHalving(RandomSearch(SPACE), 214, rungs=rungs), sum(sizes))
    assert levels(done) == [level for level, size in zip(rungs, sizes, strict=True) for _ in range(size)]
    spent = {t.number: t.proposal.fidelity["epochs"] for t in done}
    resumed = sum(spent[t.proposal.resume] for t in done if t.proposal.resume is not None)
    assert sum(spent.values()) - resumed == 5129
