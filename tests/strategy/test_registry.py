"""Strategies are found by name, take the settings they have, and say what they cannot do."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from archsmith.errors import MissingExtra, SpaceError, UsageError
from archsmith.space import Space, choice
from archsmith.strategy import Abilities, Named, RandomSearch, find, make, names, require
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
