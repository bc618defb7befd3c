"""What is run, what is not, and what is made of the results."""

from collections import Counter

import pytest

from archsmith.errors import LimitError, TooManyFailures, UsageError
from archsmith.execute import Simulated
from archsmith.run import Run
from archsmith.space import Arch, Space, choice, integer, real
from archsmith.store import MemoryStore
from archsmith.strategy import RandomSearch, RegularizedEvolution, SuccessiveHalving
from archsmith.study import Study
from archsmith.trial import Evaluate, Event, Proposal, maximize, minimize, tradeoff

SPACE = Space(**{f"x{i}": choice(0, 1, 2, 3, name=f"x{i}") for i in range(5)})
WIDE = Space(rate=real(0.0, 1.0, name="rate"))


def total(arch: Arch) -> int:
    return sum(int(v) for v in arch.values())  # type: ignore[arg-type]


def evaluate(proposal: Proposal, run: Run) -> dict[str, float]:
    return {"accuracy": total(proposal.arch) / 15, "seconds": 1.0}


def screen(arch: Arch) -> dict[str, float]:
    return {"params": total(arch)}


def test_a_trial_beyond_a_limit_is_told_and_never_run() -> None:
    ran: list[Arch] = []

    def noted(proposal: Proposal, run: Run) -> dict[str, float]:
        ran.append(proposal.arch)
        return evaluate(proposal, run)

    study = Study(SPACE, RandomSearch(SPACE), noted, limits={"params": 5}, screen=screen).run(trials=20)
    states = Counter(t.state for t in study.trials)
    assert states["complete"] == 20 == len(ran), "infeasible trials cost nothing and do not count"
    assert states["infeasible"] > 0 and len(study.trials) == sum(states.values())
    assert all(total(arch) <= 5 for arch in ran)
    for trial in study.trials:
        assert trial.metrics["params"] == total(trial.arch), "screened metrics stay with the trial"
        assert (trial.state == "infeasible") == (trial.violation > 0)
    refused = next(t for t in study.trials if t.state == "infeasible")
    assert refused.reason == f"params = {total(refused.arch)}, allowed 5"
    assert study.best is not None and study.best.metrics["params"] <= 5


def test_evolution_finds_a_small_feasible_part() -> None:
    strategy = RegularizedEvolution(SPACE, population=10, sample=5)
    study = Study(SPACE, strategy, evaluate, limits={"params": 1}, screen=screen).run(trials=4)
    assert len({t.arch for t in study.trials if t.usable}) == 4  # of 6 in 1,024


def test_limits_that_nothing_meets_end_the_search_with_the_closest() -> None:
    with pytest.raises(
        LimitError, match=r"None of 50 architectures.*acceptance rate 0 of 50.*params = 10\d\S*, allowed 9"
    ):
        Study(
            WIDE,
            RandomSearch(WIDE),
            evaluate,
            limits={"params": 9},
            screen=lambda arch: {"params": 100 + 9 * float(arch["rate"])},  # type: ignore[arg-type]
            patience=50,
        ).run(trials=5)
    small = Space(x=choice(1, 2, 3))
    with pytest.raises(LimitError, match=r"None of 3 architectures.*params = 1, allowed 0"):
        Study(small, RandomSearch(small), evaluate, limits={"params": 0}, screen=screen).run(seconds=60)


def test_a_long_streak_without_a_run_ends_a_search_that_found_something() -> None:
    tiny = Space(x=choice(1, 2, 3))
    strategy = RegularizedEvolution(tiny, population=2, sample=2)
    study = Study(tiny, strategy, evaluate, patience=40).run(trials=100)
    assert Counter(t.state for t in study.trials) == {"complete": 3, "cached": len(study.trials) - 3}
    assert "40 proposals needed no run" in study.ended


def test_nothing_left_to_try_ends_the_search() -> None:
    tiny = Space(x=choice(1, 2, 3))
    study = Study(tiny, RandomSearch(tiny), evaluate).run(trials=100)
    assert [t.state for t in study.trials] == ["complete"] * 3
    assert study.ended == "nothing is left to try"


def test_equal_networks_are_run_once_also_side_by_side() -> None:
    ran: list[float] = []

    def noted(proposal: Proposal, run: Run) -> dict[str, float]:
        ran.append(total(proposal.arch))
        return evaluate(proposal, run)

    executor = Simulated(noted, slots=6)
    study = Study(SPACE, RandomSearch(SPACE), executor=executor, key=lambda arch: str(total(arch))).run(trials=12)
    assert len(ran) == len(set(ran)) == 12
    cached = [t for t in study.trials if t.state == "cached"]
    assert cached
    for trial in cached:
        assert trial.same_as is not None
        original = study.trials[trial.same_as]
        assert original.state == "complete" and dict(original.metrics) == dict(trial.metrics)
        assert trial.losses == original.losses and trial.usable and f"trial {original.number}" in trial.reason


def test_a_promoted_cached_trial_resumes_the_one_that_ran() -> None:
    resumed: dict[int, int | None] = {}

    def noted(proposal: Proposal, run: Run) -> dict[str, float]:
        resumed[run.trial] = proposal.resume
        return evaluate(proposal, run)

    strategy = SuccessiveHalving(RandomSearch(SPACE), minimum=1, maximum=4, eta=2)
    study = Study(SPACE, strategy, noted, key=lambda arch: str(total(arch) // 2)).run(trials=14)
    trials = {t.number: t for t in study.trials}
    through = [
        t for t in study.trials if t.proposal.resume is not None and trials[t.proposal.resume].same_as is not None
    ]
    assert through, "no cached trial was promoted"
    for number, resume in resumed.items():
        assert resume is None or trials[resume].state == "complete", f"trial {number} has no checkpoint to resume"


def test_a_network_that_keeps_failing_is_left_alone() -> None:
    ran: list[int] = []

    def broken(proposal: Proposal, run: Run) -> dict[str, float]:
        if total(proposal.arch) % 2:
            ran.append(run.trial)
            raise ValueError("odd")
        return evaluate(proposal, run)

    study = Study(WIDE, RandomSearch(WIDE), lambda p, run: {"accuracy": 1.0}, key=lambda arch: "same", patience=20)
    assert len([t for t in study.run(trials=5).trials if t.state == "complete"]) == 1
    strategy = RandomSearch(SPACE)
    study = Study(SPACE, strategy, broken, key=lambda arch: str(total(arch) % 2), max_failures=50, patience=30)
    study.run(trials=40)
    assert len(ran) == 2
    assert any("not run again: the same network failed 2 times before" in t.reason for t in study.trials)


def test_screening_happens_once_for_each_network() -> None:
    screened: list[Arch] = []

    def noted(arch: Arch) -> dict[str, float]:
        screened.append(arch)
        return {"params": 1.0}

    strategy = SuccessiveHalving(RegularizedEvolution(SPACE, population=4, sample=2))
    Study(SPACE, strategy, evaluate, screen=noted).run(trials=40)
    assert len(screened) == len(set(screened))


def test_failures_in_a_row_with_one_cause_stop_the_search() -> None:
    def broken(proposal: Proposal, run: Run) -> dict[str, float]:
        raise ValueError(f"no data for trial {run.trial}")

    study = Study(SPACE, RandomSearch(SPACE), broken)
    with pytest.raises(
        TooManyFailures, match=r"(?s)last 5 trials failed.*5 times: raised: ValueError: no data for trial"
    ):
        study.run(trials=50)
    assert [t.state for t in study.trials] == ["failed"] * 5


def test_failures_of_many_kinds_are_borne_longer_and_grouped() -> None:
    kinds = (KeyError, ValueError, TypeError)

    def broken(proposal: Proposal, run: Run) -> dict[str, float]:
        raise kinds[run.trial % 3]("one of three")

    study = Study(SPACE, RandomSearch(SPACE), broken)
    with pytest.raises(TooManyFailures) as stopped:
        study.run(trials=50)
    assert len(study.trials) == 20
    assert all(f"times: raised: {kind.__name__}" in str(stopped.value) for kind in kinds)


def test_a_success_in_between_forgives() -> None:
    def shaky(proposal: Proposal, run: Run) -> dict[str, float]:
        if run.trial % 5:
            raise ValueError("again")
        return evaluate(proposal, run)

    study = Study(SPACE, RandomSearch(SPACE), shaky).run(trials=30)
    assert Counter(t.state for t in study.trials) == {"failed": 24, "complete": 6}


def test_a_mended_search_goes_on() -> None:
    log = MemoryStore()

    def broken(proposal: Proposal, run: Run) -> dict[str, float]:
        raise ValueError("not yet")

    with pytest.raises(TooManyFailures):
        Study(SPACE, RandomSearch(SPACE), broken, store=log).run(trials=10)
    study = Study(SPACE, RandomSearch(SPACE), evaluate, store=log).run(trials=10)
    assert Counter(t.state for t in study.trials) == {"failed": 5, "complete": 5}


def test_what_is_not_a_number_has_failed_but_is_not_the_codes_fault() -> None:
    def diverging(proposal: Proposal, run: Run) -> dict[str, float]:
        return {"accuracy": float("nan") if run.trial % 10 else 0.5}

    study = Study(SPACE, RandomSearch(SPACE), diverging).run(trials=21)
    assert Counter(t.state for t in study.trials) == {"failed": 18, "complete": 3}
    assert {t.reason for t in study.trials if t.state == "failed"} == {"diverged: accuracy is nan"}
    assert study.best is not None and study.best.metrics["accuracy"] == 0.5
    always = Study(SPACE, RandomSearch(SPACE), lambda p, run: {"accuracy": float("inf")})
    with pytest.raises(TooManyFailures):
        always.run(trials=50)


def test_a_missing_metric_is_named_with_the_nearest() -> None:
    study = Study(SPACE, RandomSearch(SPACE), lambda p, run: {"acuracy": 1.0})
    with pytest.raises(TooManyFailures, match=r"returned no 'accuracy'\. Did you mean 'acuracy'"):
        study.run(trials=9)
    study = Study(SPACE, RandomSearch(SPACE), evaluate, limits={"latency_ms": 5})
    with pytest.raises(TooManyFailures, match="returned no 'latency_ms'"):
        study.run(trials=9)


def test_a_screen_that_raises_fails_the_trial() -> None:
    def raising(arch: Arch) -> dict[str, float]:
        if total(arch) % 2:
            raise RuntimeError("shapes do not fit")
        return {"params": 1.0}

    study = Study(SPACE, RandomSearch(SPACE), evaluate, screen=raising, max_failures=100).run(trials=20)
    failed = [t for t in study.trials if t.state == "failed"]
    assert failed and all(t.reason == "raised: RuntimeError: shapes do not fit (before training)" for t in failed)
    assert all((t.state == "failed") == bool(total(t.arch) % 2) for t in study.trials)


def test_a_limit_on_a_measured_metric_ranks_behind() -> None:
    def slow(proposal: Proposal, run: Run) -> dict[str, float]:
        return {"accuracy": total(proposal.arch) / 15, "latency_ms": float(total(proposal.arch))}

    study = Study(SPACE, RandomSearch(SPACE), slow, limits={"latency_ms": 7}).run(trials=40)
    assert study.best is not None and study.best.metrics["latency_ms"] == 7


def test_several_objectives_give_a_front() -> None:
    def measured(proposal: Proposal, run: Run) -> dict[str, float]:
        return {"accuracy": total(proposal.arch) / 15, "params": float(total(proposal.arch) ** 2)}

    objectives = [maximize("accuracy"), minimize("params")]
    strategy = RegularizedEvolution(SPACE, population=10, sample=4)
    study = Study(SPACE, strategy, measured, objectives).run(trials=60)
    points = {(t.metrics["accuracy"], t.metrics["params"]) for t in study.front}
    assert len(points) > 3 and study.best in study.front
    for t in study.trials:
        assert (
            not any(a >= t.metrics["accuracy"] and p < t.metrics["params"] for a, p in points) or t not in study.front
        )


def test_only_the_highest_fidelity_is_compared() -> None:
    def fades(proposal: Proposal, run: Run) -> dict[str, float]:
        return {"accuracy": total(proposal.arch) / proposal.fidelity["epochs"]}

    study = Study(SPACE, SuccessiveHalving(RandomSearch(SPACE)), fades).run(trials=40)
    assert study.best is not None and study.best.proposal.fidelity == {"epochs": 9}
    assert {t.proposal.fidelity["epochs"] for t in study.front} == {9}


def test_events_are_logged_in_order_and_then_seen() -> None:
    log, seen = MemoryStore(), list[Event]()
    study = Study(SPACE, RandomSearch(SPACE), evaluate, store=log)
    study.on_event = lambda event: seen.append(event) if event in list(log.events("study")) else None
    study.run(trials=3)
    assert [(e.kind, e.trial) for e in seen] == [(k, n) for n in range(3) for k in ("asked", "finished")]


def test_senseless_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="at least one objective"):
        Study(SPACE, RandomSearch(SPACE), evaluate, [])
    with pytest.raises(UsageError, match="evaluate function"):
        Study(SPACE, RandomSearch(SPACE))


def test_a_cost_that_is_missing_or_nothing_is_said_and_not_taken_for_a_result() -> None:
    space = Space(n=integer(1, 9, name="n"))

    def free(proposal: Evaluate, run: Run) -> dict[str, float]:
        return {"accuracy": 0.5, "latency": 0.0}

    typo = Study(space, RandomSearch(space), free, [tradeoff("accuracy", "latenci", 1.0)], max_failures=3)
    with pytest.raises(TooManyFailures, match=r"no 'latenci'.*latency"):
        typo.run(trials=9)
    nothing = Study(space, RandomSearch(space), free, [tradeoff("accuracy", "latency", 1.0)], max_failures=3)
    with pytest.raises(TooManyFailures, match="latency is 0, but what is traded against is above 0"):
        nothing.run(trials=9)
