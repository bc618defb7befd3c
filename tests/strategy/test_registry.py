"""Strategies are found by name, take the settings they have, and say what they cannot do."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from archsmith.errors import MissingExtra, SpaceError, UsageError
from archsmith.space import Space, choice
from archsmith.strategy import Abilities, HyperBand, Named, RandomSearch, find, make, names, registry, require
from archsmith.study import Study
from archsmith.testing.predictor import CELL
from archsmith.testing.spaces import EXAMPLES
from archsmith.trial import maximize, minimize

FLAT = EXAMPLES["flat"]


@dataclass
class Narrow:
    """Handles next to nothing."""

    space: Space
    abilities: ClassVar[Abilities] = Abilities(many_objectives=False, ranges=False, conditionals=False, limits=False)

    def __post_init__(self):
        require(self, self.space)

    def ask(self, n, rng, running):
        return []

    def tell(self, trial):
        pass


def test_every_name_makes_a_strategy():
    assert {"random", "evolution", "halving"} <= set(names())
    assert len(set(names())) == len(names())
    for name in names():
        try:
            made = make(name, CELL)
        except MissingExtra as error:
            assert "pip install" in str(error)
            continue
        if find(name).abilities.many_objectives:
            require(made, objectives=2)


def test_settings_are_passed_on_and_wrong_ones_named():
    assert make("evolution", FLAT, population=7).population == 7
    with pytest.raises(UsageError, match=r"no setting 'popluation'. Did you mean 'population'"):
        make("evolution", FLAT, popluation=7)


def test_the_settings_of_what_wraps_another_are_named_too():
    assert make("halving", FLAT, maximum=27).maximum == 27
    assert make("hyperband", FLAT, strategy=RandomSearch(FLAT, tries=7)).strategy.tries == 7
    for name in ("halving", "hyperband", "synchronous_halving", "hurdles", "gp_paths", "tpe"):
        with pytest.raises(UsageError, match=f"The strategy '{name}' has no setting 'foo'. (Allowed|Did)"):
            make(name, CELL, foo=1)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("hyperband", {"strategy": "random"}, "'strategy' a strategy, .* not 'random'"),
        ("hyperband", {"strategy": RandomSearch}, "'strategy' a strategy"),
        ("evolution", {"population": "a"}, "'population' a whole number, not 'a'"),
        ("evolution", {"population": 2.5}, "'population' a whole number, not 2.5"),
        ("evolution", {"population": True}, "'population' a whole number, not True"),
        ("archsmith", {"initial": "x"}, "'initial' a whole number, not 'x'"),
        ("gp", {"candidates": 1.5}, "'candidates' a whole number, not 1.5"),
        ("gp", {"model": 3}, "'model' a text or a predictor, .* not 3"),
        ("gp", {"refit": float("nan")}, "'refit' a number, not nan"),
        ("reinforce", {"tries": 0}, "tries=0"),
        ("reinforce", {"bins": 0}, "bins=0"),
        ("reinforce", {"hidden": 0}, "hidden=0"),
        ("ppo", {"seed": -1}, "seed=-1"),
        ("reinforce", {"rate": "fast"}, "'rate' a number or None, not 'fast'"),
        ("kernel_density", {"bandwidth_factor": -1}, "bandwidth_factor=-1"),
        ("bohb", {"bandwidth_factor": 0}, "bandwidth_factor=0"),
        ("halving", {"maximum": float("inf")}, "'maximum' a number, not inf"),
        ("halving", {"minimum": 0}, "minimum=0"),
        ("halving", {"fidelity": ""}, "fidelity=''"),
        ("halving", {"fidelity": 3}, "'fidelity' a text, not 3"),
        ("hurdles", {"models": 0}, "models=0"),
        ("random", {"tries": 0}, "not 0"),
        ("nsga2", {"mutation": 0.0}, "mutation=0.0"),
        ("local", {"eager": "no"}, "'eager' True or False, not 'no'"),
        ("bananas", {"encoding": "pats"}, "'encoding' one of 'paths', 'one_hot', not 'pats'"),
        ("mcts", {"bins": 0}, "bins=0"),
        ("mcts", {"value": "net"}, "'value'"),
    ],
)
def test_a_value_that_a_setting_does_not_take_is_refused_at_construction(name, settings, words):
    with pytest.raises(UsageError, match=words):
        make(name, FLAT, **settings)


def test_what_no_check_foresaw_is_still_an_error_for_people(monkeypatch):
    @dataclass
    class Brittle(RandomSearch):
        def __post_init__(self):
            raise ValueError("three is not four")

    monkeypatch.setattr(registry, "find", lambda name: Named(name, Brittle))
    with pytest.raises(UsageError, match=r"cannot be made with tries=4: three is not four"):
        make("brittle", FLAT, tries=4)


def test_what_is_wrapped_is_a_strategy():
    for wrong in ("random", RandomSearch, None):
        with pytest.raises(UsageError, match="must be a strategy"):
            HyperBand(wrong)


@pytest.mark.parametrize("name", ["gp_paths", "gp_subtrees", "bananas_paths"])
def test_a_space_without_a_cell_is_refused_with_the_names_of_those_that_take_it(name):
    for space in (FLAT, EXAMPLES["ranges"]):
        with pytest.raises(SpaceError, match=r"this one has none\. These can: ") as refused:
            make(name, space)
        able = str(refused.value).rpartition("These can: ")[2].rstrip(".").split(", ")
        assert {"archsmith", "gp", "bananas"} <= set(able) and name not in able
        for other in able:
            require(find(other), space)


def test_those_that_can_are_those_that_can_take_all_of_it():
    with pytest.raises(SpaceError) as refused:
        make("exhaustive", EXAMPLES["ranges"])
    able = str(refused.value).rpartition("These can: ")[2].rstrip(".").split(", ")
    assert "gp_paths" not in able and "gp" in able
    with pytest.raises(UsageError) as refused:
        require(find("mcts"), FLAT, objectives=2)
    able = str(refused.value).rpartition("These can: ")[2].rstrip(".").split(", ")
    assert "gp_subtrees" not in able and "cmaes" not in able and "nsga2" in able


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'evolution'"):
        find("evolutoin")


def test_an_import_path_is_a_name():
    assert make("archsmith.strategy:RandomSearch", FLAT) == RandomSearch(FLAT)
    for wrong in ("archsmith.strategy:Nothing", "nowhere:Nothing"):
        with pytest.raises(UsageError, match=r"package.module:Name"):
            find(wrong)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (EXAMPLES["ranges"], "'rate' is a real range. These can: .*evolution.*random"),
        (EXAMPLES["branches"], "'a' is asked in some architectures only. These can: .*random"),
    ],
)
def test_a_space_beyond_a_strategy_is_refused_at_construction(space, words):
    with pytest.raises(SpaceError, match=words):
        Narrow(space)


def test_objectives_and_limits_beyond_it_are_refused_before_anything_runs():
    objectives = [maximize("accuracy"), minimize("params")]
    with pytest.raises(UsageError, match=r"Narrow handles one objective, and this search has 2. These can: "):
        Study(FLAT, Narrow(FLAT), lambda proposal, run: {}, objectives)
    with pytest.raises(UsageError, match="Narrow handles no limits"):
        Study(FLAT, Narrow(FLAT), lambda proposal, run: {}, objectives[:1], {"params": 1})
    with pytest.raises(UsageError, match="narrow handles one objective"):
        require(Named("narrow", Narrow), objectives=2)


def test_a_space_without_conditions_is_told_from_one_with():
    shared = choice(1, 2, name="shared")
    both = Space(model=choice(a=[shared], b=[shared, 3], name="kind"))
    assert Narrow(both), "asked in every option, so always"
    for name, conditional in {"flat": False, "tiny": False, "constrained": False, "one": False}.items():
        assert not conditional and Narrow(EXAMPLES[name])
