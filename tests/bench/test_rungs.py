"""Rungs of strategies that spend little on most trials: levels of the table, each of them once."""

from pathlib import Path

import pytest

from archsmith.bench import Entry, compare, nasbench201_problem, table_problem
from archsmith.errors import UsageError
from archsmith.strategy import BOHB, HyperBand, RandomSearch, SuccessiveHalving, SynchronousHalving
from archsmith.strategy.hurdles import Hurdles
from archsmith.trial import maximize

ALL = ("halving", "synchronous_halving", "hyperband", "bohb", "hurdles")


def levelled(folder: Path, levels: tuple[int, ...], seconds: float = 400.0):
    path = folder / "levels.csv"
    rows = "".join(
        f"{a},{b},{e},{a + b - (a - b) ** 2 / 4 + e / max(levels)},{e}\n"
        for a in range(6)
        for b in range(6)
        for e in levels
    )
    path.write_text(f"a,b,epochs,score,seconds\n{rows}", encoding="utf-8")
    goal = (maximize("score"),)
    return table_problem(path, goal, seconds=seconds, cost="seconds", fidelity=["epochs"])


@pytest.mark.parametrize(("levels", "seconds"), [((12, 36, 200), 2500.0), ((1, 3, 50), 800.0)])
def test_nothing_is_evaluated_twice_at_uneven_levels(tmp_path: Path, levels: tuple[int, ...], seconds: float) -> None:
    problem = levelled(tmp_path, levels, seconds)
    comparison = compare(problem, [Entry("hurdles", {"models": 4}), *map(Entry, ALL)], range(2))
    assert {line.label: line.duplicates for line in comparison.lines()} == dict.fromkeys(comparison.trajectories, 0)
    # Some of what is started reaches the top, however far apart the levels are.
    for label, played in comparison.trajectories.items():
        assert {level for t in played for level in t.level.tolist()} == {0, 1, 2}, label


def rungs(strategy: object) -> tuple[float, ...]:
    if isinstance(strategy, SuccessiveHalving | Hurdles):
        return strategy.levels
    assert isinstance(strategy, HyperBand | SynchronousHalving | BOHB)
    return strategy._brackets.shapes[0][0]


@pytest.mark.parametrize("name", ALL)
def test_rungs_are_levels_of_the_table(tmp_path: Path, name: str) -> None:
    few, many = levelled(tmp_path, (12, 36, 200)), levelled(tmp_path, tuple(range(1, 101)))
    assert rungs(Entry(name).make(few)) == (12, 36, 200)
    assert rungs(Entry(name).make(many)) == (1, 3, 9, 27, 100)
    assert rungs(Entry(name, {"eta": 10}).make(many)) == (1, 10, 100)
    assert rungs(Entry(name, {"minimum": 20, "maximum": 90}).make(many)) == (20, 90)
    assert rungs(Entry(name, {"rungs": [12, 200]}).make(few)) == (12, 200)
    assert rungs(Entry(name).make(nasbench201_problem(seconds=1000))) == (12, 200)
    for settings in ({"rungs": (12, 108)}, {"maximum": 12}, {"minimum": 300}, {"rungs": (200, 12)}):
        with pytest.raises(UsageError, match="whose epochs are 12, 36, 200"):
            Entry(name, settings).make(few)


def test_what_goes_on_is_set_by_what_the_rungs_cost(tmp_path: Path) -> None:
    def eta(levels: tuple[int, ...]) -> float:
        made = Entry("halving").make(levelled(tmp_path, levels))
        assert isinstance(made, SuccessiveHalving)
        return made.eta

    assert eta((12, 200)) == 200 / 12
    assert eta((1, 300)) == 27  # or nothing that synchronous halving starts would ever go on
    assert eta((12, 36, 200)) == eta((1, 3, 50)) == eta((1, 3, 9)) == 3
    assert eta((1, 2, 4)) == 2


def test_rungs_that_do_not_rise_are_refused() -> None:
    for given in ((0, 3), (9, 3), (3, 3)):
        with pytest.raises(UsageError, match="Rungs rise from above 0"):
            SuccessiveHalving(RandomSearch(nasbench201_problem(trials=1).table.space), rungs=given)


OWN = """
from archsmith.strategy import Abilities, RandomSearch, SuccessiveHalving


class Own(SuccessiveHalving):
    abilities = Abilities(fidelities=True)

    def __init__(self, space, fidelity="epochs", minimum=1, maximum=9, eta=3):
        super().__init__(RandomSearch(space), fidelity, minimum, maximum, eta)
"""


def test_a_strategy_that_multiplies_by_itself_gets_levels_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_rungs.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert rungs(Entry("own_rungs:Own").make(levelled(tmp_path, (12, 36, 200)))) == (12, 200)
    assert rungs(Entry("own_rungs:Own").make(levelled(tmp_path, (2, 8, 32)))) == (2, 8, 32)
