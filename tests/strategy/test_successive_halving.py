"""Successive halving spends as its arithmetic says, and tells the wrapped strategy the truth."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from archsmith.errors import UsageError
from archsmith.execute import Simulated
from archsmith.run import Run
from archsmith.space import Space, real
from archsmith.strategy import RandomSearch, RegularizedEvolution, SuccessiveHalving
from archsmith.study import Study
from archsmith.testing.strategy import drive
from archsmith.trial import Evaluate, Proposal, State, Trial, maximize

SPACE = Space(quality=real(0.0, 1.0, name="quality"))


def quality(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    return "complete", (-float(proposal.arch["quality"]),), 0.0  # type: ignore[arg-type]


@dataclass
class Recorder:
    """Random search that keeps what it is told and what it was told was running."""

    space: Space
    log: list[list[Trial]]  # one list for each fresh copy
    told: list[Trial] = field(init=False, repr=False, compare=False)
    search: RandomSearch = field(init=False, repr=False, compare=False)
    running: list[int] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.told = []
        self.search = RandomSearch(self.space)
        self.log.append(self.told)

    def ask(self, n: int, rng: np.random.Generator, running: list[Trial]) -> list[Proposal]:
        assert all(t.proposal.resume is None for t in running), "a promotion is no new architecture"
        return list(self.search.ask(n, rng, running))

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)
        self.search.tell(trial)


def rungs(trials: list[Trial]) -> Counter[float]:
    return Counter(t.proposal.fidelity["epochs"] for t in trials)


def asha(**options: float) -> SuccessiveHalving:
    return SuccessiveHalving(RandomSearch(SPACE), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("eta", "minimum", "levels", "sizes", "epochs"),
    [
        (3, 7, (7, 21, 63, 189, 567, 600), (214, 71, 23, 7, 2, 0), 5129 - 33),
        (3, 22, (22, 66, 198, 594, 600), (214, 71, 23, 7, 2), 13_652),
        (3, 66, (66, 198, 594, 600), (214, 71, 23, 7), 32_646),
        (2, 37, (37, 74, 148, 296, 592, 600), (214, 107, 53, 26, 13, 6), 23_543),
        (2, 75, (75, 150, 300, 600), (214, 107, 53, 26), 39_825),
        (4, 37, (37, 148, 592, 600), (214, 53, 13, 3), 19_597),
    ],
)
def test_rungs_and_cost_are_those_of_halving_214_curves(
    eta: float, minimum: float, levels: tuple[int, ...], sizes: tuple[int, ...], epochs: int
) -> None:
    """With results that arrive best first, no promotion is premature, and the asynchronous rungs are the exact ones.

    The table of synchronous halving promotes one trial from a rung of two where eta is three; here that is no third.
    """
    strategy = asha(minimum=minimum, maximum=600, eta=eta)
    assert strategy.levels == levels
    number, spent, count = 0, 0.0, Counter[float]()
    fresh = iter(np.linspace(1, 0, 214))
    while True:
        asked = strategy.ask(1, np.random.default_rng([0, number]), ())[0]
        if asked.resume is None:
            best = next(fresh, None)
            if best is None:
                break
            asked = Evaluate(type(asked.arch)({"quality": float(best)}), asked.fidelity)
        level = asked.fidelity["epochs"]
        spent += level - (0 if asked.resume is None else levels[levels.index(int(level)) - 1])
        count[level] += 1
        strategy.tell(Trial(number, asked, "complete", losses=(-float(asked.arch["quality"]),)))  # type: ignore[arg-type]
        number += 1
    assert tuple(count[level] for level in levels) == sizes
    assert spent == epochs


def test_each_rung_holds_an_eta_th_of_the_one_below_or_more() -> None:
    for seed in range(3):
        log = drive(asha(maximum=27), 300, quality, slots=8, seed=seed)
        count = rungs(log.told)
        assert set(count) <= {1, 3, 9, 27}
        for below, above in ((1, 3), (3, 9), (9, 27)):
            assert count[below] // 3 - 3 <= count[above] <= count[below], "premature promotions only add"


def test_promotions_are_of_the_best_so_far_and_happen_once() -> None:
    log = drive(asha(), 200, quality, slots=6, batch=2)
    resumed = Counter(p.resume for p in log.proposals if p.resume is not None)
    assert set(resumed.values()) == {1}
    for _, _, running, proposals, told in log.asks:
        done = log.told[:told]
        for p in proposals:
            if p.resume is None:
                continue
            trial = next(t for t in done if t.number == p.resume)
            rung = sorted(t.losses for t in done if t.proposal.fidelity == trial.proposal.fidelity)
            assert trial.losses in rung[: len(rung) // 3]
            assert p.fidelity["epochs"] == 3 * trial.proposal.fidelity["epochs"]
            assert p.resume not in {t.proposal.resume for t in running}


def test_the_highest_rung_is_promoted_first() -> None:
    strategy = asha()
    number = 0
    for epochs in (1, 3):
        for i in range(3):
            arch = RandomSearch(SPACE).ask(1, np.random.default_rng(number), ())[0].arch
            resume = None if epochs == 1 else i
            strategy.tell(Trial(number, Evaluate(arch, {"epochs": epochs}, resume), "complete", losses=(float(i),)))
            number += 1
    strategy.tell(Trial(99, Evaluate(arch, {"epochs": 1}), "complete", losses=(-1.0,)))
    due = strategy.ask(9, np.random.default_rng(0), ())
    assert [(p.fidelity["epochs"], p.resume) for p in due[:2]] == [(9, 3), (3, 99)]


def test_the_wrapped_strategy_knows_each_highest_rung_only() -> None:
    copies: list[list[Trial]] = []
    strategy = SuccessiveHalving(Recorder(SPACE, copies))
    log = drive(strategy, 120, quality, slots=4)
    strategy.ask(50, np.random.default_rng(0), ())  # more than the promotions that are due
    told = copies[-1]
    highest: dict[object, Trial] = {}
    for trial in log.told:
        highest[trial.arch] = trial  # keeps the place of the first
    assert told == list(highest.values())
    assert max(rungs(told)) == 9
    assert copies[0] == [], "the strategy that was given is never told anything"


def test_however_many_trials_there_are_few_are_told_again_for_each_promotion() -> None:
    copies: list[list[Trial]] = []
    strategy = SuccessiveHalving(Recorder(SPACE, copies))
    rng, number = np.random.default_rng(0), 0
    for _ in range(1500):
        for resume, epochs in ((None, 1), (number, 3)):
            arch = RandomSearch(SPACE).ask(1, rng, ())[0].arch
            strategy.tell(Trial(number, Evaluate(arch, {"epochs": epochs}, resume), "complete", losses=(0.0,)))
            number += 1
    promotions = 1500
    assert sum(map(len, copies)) <= promotions * (200 + 2)
    superseded = [t for t in copies[-1] if t.proposal.resume is None]
    assert len(copies[-1]) == 1500 and len(superseded) <= 1500 / 200, "and all but half a percent of them is known"


def test_failed_promotions_leave_the_lower_rung_standing() -> None:
    def fails_above(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
        return quality(proposal, rng) if proposal.resume is None else ("failed", (float("inf"),), 0.0)

    copies: list[list[Trial]] = []
    strategy = SuccessiveHalving(Recorder(SPACE, copies))
    log = drive(strategy, 60, fails_above, slots=3)
    promotions = [p.resume for p in log.proposals if p.resume is not None]
    assert promotions and len(set(promotions)) == len(promotions), "a failed promotion is not tried again"
    assert all(t.state == "complete" for t in copies[-1])


def test_infeasible_trials_do_not_widen_a_rung() -> None:
    strategy = asha()
    for number in range(30):
        arch = RandomSearch(SPACE).ask(1, np.random.default_rng(number), ())[0].arch
        state: State = "complete" if number < 2 else "infeasible"
        loss, violation = (float(number), 0.0) if number < 2 else (float("inf"), 1.0)
        strategy.tell(Trial(number, Evaluate(arch, {"epochs": 1}), state, losses=(loss,), violation=violation))
    assert strategy.ask(1, np.random.default_rng(0), ())[0].resume is None, "two are not enough for a third"


def test_several_objectives_are_ranked_by_domination() -> None:
    def two(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
        q = float(proposal.arch["quality"])  # type: ignore[arg-type]
        return "complete", (q, abs(q - 0.3)), 0.0  # everything above 0.3 is dominated

    log = drive(asha(), 150, two, slots=4)
    top = [t for t in log.told if t.proposal.fidelity["epochs"] == 9]
    assert top and all(float(t.arch["quality"]) < 0.4 for t in top)  # type: ignore[arg-type]


def test_other_fidelities_are_kept() -> None:
    inner = SuccessiveHalving(RandomSearch(SPACE), fidelity="resolution", minimum=32, maximum=32)
    proposal = SuccessiveHalving(inner).ask(1, np.random.default_rng(0), ())[0]
    assert proposal.fidelity == {"resolution": 32, "epochs": 1}


def test_it_finds_better_than_full_trainings_in_the_same_time() -> None:
    def measured(proposal: Proposal, run: Run) -> tuple[dict[str, float], float]:
        epochs = proposal.fidelity.get("epochs", 9)
        before = {None: 0, 3: 1, 9: 3}[epochs if proposal.resume is not None else None]
        return {"accuracy": float(proposal.arch["quality"]) * (1 - 0.5 / epochs)}, epochs - before  # type: ignore[arg-type]

    better = 0
    for seed in range(6):
        found = []
        for strategy in (asha(), RandomSearch(SPACE)):
            executor = Simulated(measured, slots=4)
            study = Study(SPACE, strategy, executor=executor, objectives=[maximize("accuracy")], seed=seed)
            best = study.run(seconds=120).best
            assert best is not None
            found.append(best.metrics["accuracy"])
        better += found[0] > found[1]
    assert better >= 5


def test_evolution_learns_from_promoted_results() -> None:
    strategy = SuccessiveHalving(RegularizedEvolution(SPACE, population=8, sample=4))
    log = drive(strategy, 150, quality, slots=4)
    late = [p.arch["quality"] for p in log.proposals[-40:] if p.resume is None]
    early = [p.arch["quality"] for p in log.proposals[:10] if p.resume is None]
    assert np.mean(late) > np.mean(early)  # type: ignore[arg-type]


def test_senseless_arguments_are_refused() -> None:
    for senseless in ({"minimum": 0}, {"minimum": 10}, {"eta": 1}):
        with pytest.raises(UsageError, match="minimum"):
            asha(**senseless)
