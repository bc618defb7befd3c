"""Optuna's samplers as strategies, and studies that Optuna can open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsmith import Study, maximize, minimize
from archsmith.errors import UsageError
from archsmith.run import Run
from archsmith.space import Arch, Space, choice, integer, real, sample
from archsmith.strategy import RandomSearch, Strategy, find, make, require
from archsmith.strategy.optuna_sampler import SAMPLERS, OptunaSampler, _distribution, export_to_optuna
from archsmith.testing.spaces import EXAMPLES
from archsmith.trial import Evaluate, Trial, front, tradeoff

optuna = pytest.importorskip("optuna")

SPACE = Space(
    rate=real(1e-3, 1.0, log=True, name="rate"),
    layers=integer(1, 5, name="layers"),
    kind=choice("a", "b", "c", name="kind"),
)


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def loss(arch: Arch) -> float:
    return abs(float(str(arch["rate"])) - 0.1) + abs(int(str(arch["layers"])) - 4) + 2.0 * (arch["kind"] != "b")


def searched(strategy: OptunaSampler | RandomSearch, trials: int) -> list[Trial]:
    done: list[Trial] = []
    for number in range(trials):
        (proposal,) = strategy.ask(1, np.random.default_rng(number), ())
        done.append(Trial(number, proposal, "complete", losses=(loss(proposal.arch),)))
        strategy.tell(done[-1])
    return done


def test_cmaes_learns_on_numbers_and_shuns_what_breaks_a_limit() -> None:
    pytest.importorskip("cmaes")
    space = Space(x=real(-1.0, 1.0, name="x"), y=real(-1.0, 1.0, name="y"))

    def tried(strategy: OptunaSampler | RandomSearch) -> list[float]:
        distances = []
        for number in range(60):
            (proposal,) = strategy.ask(1, np.random.default_rng(number), ())
            x, y = float(str(proposal.arch["x"])), float(str(proposal.arch["y"]))
            distances.append(abs(x - 0.5) + abs(y - 0.2))
            beyond = max(0.0, x - 0.6)  # a limit, just beyond the best
            strategy.tell(Trial(number, proposal, "complete", losses=(distances[-1],), violation=beyond))
        return distances

    found, random = tried(OptunaSampler(space, "cmaes")), tried(RandomSearch(space))
    assert np.median(found[-20:]) < 0.5 * np.median(random)


def test_cmaes_asks_choices_by_their_place_and_so_learns_on_them() -> None:
    pytest.importorskip("cmaes")
    space = Space(**{f"x{i}": choice(*(2.0**k for k in range(10)), name=f"x{i}") for i in range(5)})

    def tried(strategy: Strategy) -> list[float]:
        found = []
        for number in range(120):
            (proposal,) = strategy.ask(1, np.random.default_rng(number), ())
            found.append(sum(abs(np.log2(float(str(v))) - 7) for v in proposal.arch.values()))
            strategy.tell(Trial(number, proposal, "complete", losses=(found[-1],)))
        return found

    assert np.median(tried(make("cmaes", space))[-40:]) < 0.7 * np.median(tried(RandomSearch(space)))
    assert _distribution(space.decisions["x0"], ordered=True) == optuna.distributions.IntDistribution(0, 9)
    assert _distribution(space.decisions["x0"]).choices == tuple(range(10)), "for all others an option is a category"


def test_cmaes_takes_one_objective_and_its_refusal_names_samplers_that_take_more() -> None:
    pytest.importorskip("cmaes")
    assert [n for n in SAMPLERS if not OptunaSampler(SPACE, n).abilities.many_objectives] == ["cmaes"]
    with pytest.raises(UsageError, match=r"'cmaes' handles one objective.*These can: .*tpe"):
        Study(SPACE, make("cmaes", SPACE), lambda p, run: {}, [maximize("accuracy"), minimize("params")])
    with pytest.raises(UsageError, match="cmaes handles one objective"):
        require(find("cmaes"), SPACE, objectives=2)


@pytest.mark.parametrize(
    ("sampler", "settings", "words"),
    [
        ("tpe", {"foo": 1}, "Optuna's TPESampler has no setting 'foo'"),
        ("tpe", {"seed": 1}, "no setting 'seed'"),
        ("tpe", {"n_startup_trials": "a"}, "'n_startup_trials' a whole number, not 'a'"),
        ("nsga3", {"population_size": 0}, "refuses the settings"),
        ("cmaes", {"with_margin": True}, "no setting 'with_margin'"),
    ],
)
def test_settings_that_a_sampler_does_not_take_are_refused(sampler: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        OptunaSampler(SPACE, sampler, settings)


def test_tpe_learns_and_repeats_nothing() -> None:
    done = searched(OptunaSampler(SPACE, "tpe"), 50)
    assert len({t.arch for t in done}) == 50
    blind = searched(RandomSearch(SPACE), 50)
    assert np.mean([t.losses for t in done[25:]]) < 0.6 * np.mean([t.losses for t in blind])


def test_a_genetic_sampler_goes_from_generation_to_generation() -> None:
    done = searched(OptunaSampler(SPACE, "nsga3", {"population_size": 10}), 60)
    assert np.mean([t.losses for t in done[40:]]) < 0.7 * np.mean([t.losses for t in done[:10]])


def test_a_sequence_covers_evenly() -> None:
    done = searched(OptunaSampler(SPACE, "qmc"), 33)
    units = sorted(SPACE.decisions["rate"].unit(t.arch["rate"]) for t in done[1:])
    gaps = np.diff([0.0, *units, 1.0])
    assert gaps.max() < 0.1, "32 points of a sequence leave no gap of three times their spacing"
    assert {t.arch["layers"] for t in done} == {1, 2, 3, 4, 5}


def test_the_process_sampler_asks_for_what_the_space_allows() -> None:
    strategy = OptunaSampler(SPACE, "gp", {"n_startup_trials": 3})
    rng = np.random.default_rng(0)
    for number in range(4):
        arch = sample(SPACE, rng)
        strategy.tell(Trial(number, Evaluate(arch), "complete", losses=(loss(arch),)))
    (one,), (again,) = (strategy.ask(1, np.random.default_rng(1), ()) for _ in range(2))
    assert one == again and set(one.arch) == {"rate", "layers", "kind"}


def test_a_sampler_hears_of_limits_from_the_first_trial_on_that_breaks_one() -> None:
    strategy = OptunaSampler(SPACE, "gp", {"n_startup_trials": 2})
    rng = np.random.default_rng(0)
    for number, violation in enumerate((0.0, 0.0, 0.0, 0.5, 0.0)):
        arch = sample(SPACE, rng)
        strategy.tell(Trial(number, Evaluate(arch), "complete", losses=(loss(arch),), violation=violation))
        strategy.ask(1, np.random.default_rng(1), ())
        known = strategy._study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        limits = [trial.constraints for trial in known]
        expected = [0.0, 0.0, 0.0, 0.5, 0.0][: number + 1]
        assert limits == ([{}] * (number + 1) if number < 3 else [{"limits": v} for v in expected])


def test_what_breaks_a_limit_unmeasured_leaves_the_process_sampler_its_sight() -> None:
    space = Space(**{f"x{i}": choice(*range(8), name=f"x{i}") for i in range(3)})

    def last(strategy: Strategy) -> float:
        found = []
        for number in range(24):
            (proposal,) = strategy.ask(1, np.random.default_rng([1, number]), ())
            answers = [int(str(v)) for v in proposal.arch.values()]
            if beyond := max(0, sum(answers) - 12):  # refused before it is trained: no loss
                strategy.tell(Trial(number, proposal, "infeasible", violation=float(beyond)))
                continue
            found.append(float(sum((v - 3) ** 2 for v in answers)))
            strategy.tell(Trial(number, proposal, "complete", losses=(found[-1],)))
        return float(np.mean(found[-5:]))

    assert last(OptunaSampler(space, "gp")) < 0.5 * last(RandomSearch(space))


def test_a_sampler_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="'tpe'"):
        OptunaSampler(SPACE, "tpee")


@pytest.mark.parametrize("name", ["everything", "conditional"])
def test_an_exported_study_is_the_same_to_optuna(tmp_path: Path, name: str) -> None:
    def evaluate(proposal: Evaluate, run: object) -> dict[str, float]:
        if int(proposal.arch.id[0], 16) == 3:
            raise ValueError("three")
        value = int(proposal.arch.id[:6], 16) / 16**6
        return {"accuracy": value, "params": 10.0 * len(proposal.arch), "other": 1 - value}

    space, objectives = EXAMPLES[name], (maximize("accuracy"), minimize("params"))
    trials = Study(space, RandomSearch(space), evaluate, objectives, max_failures=50).run(trials=30).trials
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    assert export_to_optuna(space, trials, objectives, url) == 30
    loaded = optuna.load_study(study_name="study", storage=url)
    assert loaded.metric_names == ["accuracy", "params"]
    assert [d.name for d in loaded.directions] == ["MAXIMIZE", "MINIMIZE"]
    for ours, theirs in zip(trials, loaded.trials, strict=True):
        assert theirs.user_attrs["number"] == ours.number and theirs.user_attrs["arch"] == ours.arch.id
        assert set(theirs.params) == set(ours.arch)
        for key, answer in ours.arch.items():
            assert theirs.params[key] == (str(answer) if isinstance(answer, tuple) else answer)
        if ours.state == "complete":
            assert theirs.values == [ours.metrics["accuracy"], ours.metrics["params"]]
            assert theirs.user_attrs["other"] == ours.metrics["other"]
        else:
            assert theirs.state.name == "FAIL" and "three" in theirs.user_attrs["reason"]
    assert {t.user_attrs["number"] for t in loaded.best_trials} == {t.number for t in front(trials)}
    with pytest.raises(UsageError, match="already"):
        export_to_optuna(space, trials, objectives, url)


def test_what_is_traded_against_a_cost_is_exported_as_it_was_traded(tmp_path: Path) -> None:
    space = Space(w=choice(*range(1, 20), name="w"))
    reward = tradeoff("accuracy", "latency", target=1.0, below=-1.0, above=-1.0)

    def evaluate(proposal: Evaluate, run: Run) -> dict[str, float]:
        width = float(str(proposal.arch["w"]))
        return {"accuracy": width**0.5, "latency": width}

    study = Study(space, RandomSearch(space), evaluate, [reward]).run(trials=19)
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    export_to_optuna(space, study.trials, [reward], url)
    loaded = optuna.load_study(study_name="study", storage=url)
    assert study.best is not None and study.best.arch["w"] == 1
    assert loaded.best_trial.params == {"w": 1} and loaded.best_trial.user_attrs["accuracy"] == 1.0
    assert loaded.metric_names == ["accuracy against latency"]
