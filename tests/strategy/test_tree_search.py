"""Tree search counts what it sees, goes where it is better, and learned partitions tell good parts from bad."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from archsmith.errors import UsageError
from archsmith.predictors import Ensemble, decisions
from archsmith.space import Arch, Space, choice, enumerate_archs
from archsmith.strategy import RandomSearch, Strategy, make
from archsmith.strategy.lanas import LaNAS
from archsmith.strategy.tree_search import TreeSearch
from archsmith.testing.spaces import EXAMPLES
from archsmith.testing.strategy import drive
from archsmith.trial import Evaluate, Proposal, State, Trial

SPACE = Space(**{f"x{i}": choice(*range(5), name=f"x{i}") for i in range(8)})


def separable(proposal: Proposal, rng: np.random.Generator) -> tuple[State, tuple[float, ...], float]:
    weights = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    loss = sum(w * (int(proposal.arch[f"x{i}"]) - 3) ** 2 for i, w in enumerate(weights))  # type: ignore[arg-type]
    return "complete", (loss + 0.05 * float(rng.normal()),), 0.0


def test_visits_add_up() -> None:
    strategy = TreeSearch(SPACE)
    drive(strategy, 120, separable, slots=3)
    root = strategy._root
    assert root.visits == 120 == sum(child.visits for child in root.children.values())
    for child in root.children.values():
        assert child.visits == sum(grandchild.visits for grandchild in child.children.values())


def test_without_exploration_it_is_greedy() -> None:
    strategy = TreeSearch(SPACE, exploration=0.0)
    rng, number = np.random.default_rng(0), 0
    for first in range(5):
        for _ in range(4):
            arch = Arch({"x0": first, **{f"x{i}": int(rng.integers(5)) for i in range(1, 8)}})
            strategy.tell(Trial(number, Evaluate(arch), "complete", losses=(abs(first - 2) + 0.01 * number,)))
            number += 1
    assert {strategy.ask(1, np.random.default_rng(i), ())[0].arch["x0"] for i in range(20)} == {2}


def test_every_answer_is_tried_before_any_is_tried_again() -> None:
    log = drive(TreeSearch(SPACE, exploration=0.3), 5, separable)
    assert {p.arch["x0"] for p in log.proposals} == set(range(5))


def test_what_runs_is_not_gone_for_again() -> None:
    strategy = TreeSearch(SPACE)
    batch = strategy.ask(5, np.random.default_rng(0), ())
    assert len({p.arch for p in batch}) == 5
    drive(strategy, 60, separable)
    running = [Trial(1000 + i, p) for i, p in enumerate(strategy.ask(30, np.random.default_rng(1), ()))]
    assert len({t.arch for t in running}) == 30
    assert not {t.arch for t in running} & {p.arch for p in strategy.ask(9, np.random.default_rng(1), running)}


def test_a_whole_space_is_tried_once() -> None:
    for name in ("tiny", "branches", "one"):
        space = EXAMPLES[name]
        log = drive(TreeSearch(space), 1000, lambda p, r: ("complete", (float(int(p.arch.id[:2], 16)),), 0.0), slots=2)
        assert sorted(p.arch.id for p in log.proposals) == sorted(a.id for a in enumerate_archs(space))


def best(strategy: Strategy, seed: int, trials: int = 150) -> float:
    return min(t.losses[0] for t in drive(strategy, trials, separable, slots=2, seed=seed).told)


@pytest.mark.parametrize(
    "kind",
    [
        TreeSearch,
        lambda space: TreeSearch(space, value=Ensemble(decisions(space), members=2, depth=1, steps=100)),
        lambda space: LaNAS(space, initial=40),
    ],
    ids=["mcts", "alphax", "lanas"],
)
def test_it_beats_random_search(kind: type[TreeSearch]) -> None:
    seeds = range(5)
    found, drawn = [best(kind(SPACE), s) for s in seeds], [best(RandomSearch(SPACE), s) for s in seeds]
    assert np.mean(found) < 0.8 * np.mean(drawn)


@dataclass(frozen=True)
class Oracle:
    """Predicts what ``x0`` costs, and keeps what it was asked."""

    fits: list[int] = field(default_factory=list)
    asked: list[list[Arch]] = field(default_factory=list)

    def fit(self, archs: Sequence[Arch], losses: Sequence[float]) -> "Oracle":
        self.fits.append(len(archs))
        return self

    def predict(self, archs: Sequence[Arch]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        self.asked.append(list(archs))
        return np.array([10.0 * int(str(a["x0"])) for a in archs]), np.ones(len(archs))


def test_a_new_prefix_counts_half_by_what_is_expected_of_its_completions() -> None:
    value = Oracle()
    strategy = TreeSearch(SPACE, value=value, initial=3, rollouts=7)
    arch = {f"x{i}": 0 for i in range(8)}
    given = [arch, {**arch, "x7": 1}, {**arch, "x7": 2}, {**arch, "x0": 3}, {**arch, "x0": 3, "x4": 2}]
    for number, answers in enumerate(given):
        strategy.tell(Trial(number, Evaluate(Arch(answers)), "complete", losses=(4.0,)))
    children = strategy._root.children
    # The first three count as measured: when they came, too little was known.
    assert children[0].score == pytest.approx(-3 * 4.0)
    assert children[3].score == pytest.approx(-2 * 0.5 * (4.0 + 30.0))
    assert value.fits == [3], "the network is trained again when ten more are there"
    opened, deeper = value.asked[-2:]
    assert len(opened) == 7 and {a["x0"] for a in opened} == {3} and len({a["x1"] for a in opened}) > 1
    assert all([a[f"x{i}"] for i in range(5)] == [3, 0, 0, 0, 2] for a in deeper)
    assert len({a["x7"] for a in deeper}) > 1


def test_without_a_value_network_nothing_but_results_counts() -> None:
    plain = TreeSearch(SPACE)
    told = drive(plain, 30, separable).told
    assert plain._root.score == pytest.approx(-sum(t.losses[0] for t in told))


def test_alphax_is_tree_search_with_a_value_network() -> None:
    made = make("alphax", SPACE)
    assert isinstance(made, TreeSearch) and made.value == "ensemble" and made._predictor is not None
    assert isinstance(TreeSearch(SPACE)._predictor, type(None))


def test_parts_are_better_on_their_better_side() -> None:
    strategy = LaNAS(SPACE, initial=100, depth=3)
    drive(strategy, 100, separable)
    tree = strategy._tree
    assert tree is not None and tree.better is not None and tree.worse is not None
    assert tree.better.value > tree.value > tree.worse.value
    assert sorted([*tree.better.rows, *tree.worse.rows]) == list(range(100))
    codes = np.array(strategy._codes)
    assert ((codes[tree.better.rows] @ tree.line) > 0).all() and ((codes[tree.worse.rows] @ tree.line) <= 0).all()


def test_without_exploration_the_best_part_is_searched() -> None:
    strategy = LaNAS(SPACE, initial=100, exploration=0.0)
    told = drive(strategy, 100, separable).told
    proposals = strategy.ask(20, np.random.default_rng(0), ())
    losses = [separable(p, np.random.default_rng(0))[1][0] for p in proposals]
    assert np.mean(losses) < np.quantile([t.losses[0] for t in told], 0.25)


def test_senseless_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="exploration"):
        TreeSearch(SPACE, exploration=-1)
    for wrong in ({"bins": 0}, {"rollouts": 0}, {"initial": 0}, {"value": "net"}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            TreeSearch(SPACE, **wrong)  # type: ignore[arg-type]
    for senseless in ({"initial": 0}, {"depth": 0}, {"least": 1}, {"tries": 0}, {"exploration": -0.1}):
        with pytest.raises(UsageError, match=next(iter(senseless))):
            LaNAS(SPACE, **senseless)  # type: ignore[arg-type]
