"""Progressive search: stages, their answers, and the beam."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from archsmith.predictors import Ensemble, counted_options
from archsmith.predictors.scores import normal_scores
from archsmith.space import Space, choice, integer
from archsmith.strategy import PNAS
from archsmith.strategy.pnas import simplest, stages_of
from archsmith.tables import Table, nasbench201
from archsmith.testing.predictor import CELL
from archsmith.trial import Evaluate, Trial


def cells_without_their_last_node(data: str) -> tuple[Table, list[int], np.ndarray]:
    """Return a table, its rows in which the last node skips, and the losses of all rows."""
    table = nasbench201(data)
    last = stages_of(table.space)[-1]
    skips = {key: simplest(table.space.decisions[key]) for key in last}
    loss = -np.asarray(table.final("accuracy"))
    small = [row for row in range(len(loss)) if all(table.arch(row)[key] == skips[key] for key in last)]
    assert len(small) == 125
    return table, small, loss


def test_a_cell_grows_node_by_node() -> None:
    assert stages_of(CELL) == (("edge0",), ("edge1", "edge2"), ("edge3", "edge4", "edge5"))


def test_what_is_no_cell_is_opened_in_the_order_of_the_expression() -> None:
    space = Space(**{f"x{i}": choice(*range(8), name=f"x{i}") for i in range(5)})
    assert stages_of(space) == (("x0", "x1"), ("x2", "x3"), ("x4",)) or stages_of(space)[0][0] == "x0"
    assert [key for stage in stages_of(space) for key in stage] == list(space.decisions)


def test_the_simplest_answer_skips_or_is_the_first() -> None:
    space = Space(
        a=choice("none", "skip_connect", "conv", name="a"), n=integer(2, 9, name="n"), w=choice(8, 16, name="w")
    )
    assert [simplest(d) for d in space.decisions.values()] == ["skip_connect", 2, 8]


def test_a_stage_opens_its_decisions_only_and_grows_the_best_of_the_stage_before() -> None:
    strategy, seen = PNAS(CELL, beam=4, members=2, steps=50), list[Trial]()
    for number in range(12):
        (proposal,) = strategy.ask(1, np.random.default_rng(number), ())
        loss = -sum(v == "large" for v in proposal.arch.values())
        seen.append(Trial(number, proposal, "complete", losses=(float(loss),)))
        strategy.tell(seen[-1])
    first, second = seen[:4], seen[4:8]
    assert all(t.arch[f"edge{i}"] == "skip" for t in first for i in range(1, 6))
    assert all(t.arch[f"edge{i}"] == "skip" for t in second for i in range(3, 6))
    assert any(t.arch["edge1"] != "skip" for t in second)
    assert {t.arch["edge0"] for t in second} <= {t.arch["edge0"] for t in first}
    assert np.mean([t.losses for t in seen[8:]]) < np.mean([t.losses for t in first])


@pytest.mark.parametrize("data", ["cifar10", "cifar100", "imagenet16"])
def test_what_is_known_of_small_cells_ranks_those_with_one_node_more(data: str) -> None:
    # Liu et al.: a predictor trained on cells of b blocks ranks those of b + 1. Here the nodes of NAS-Bench-201 are the
    # stages, so all 125 cells whose last node skips are to rank cells in which that node computes as well.
    table, small, loss = cells_without_their_last_node(data)
    large = np.random.default_rng(0).choice(len(loss), 500, replace=False).tolist()
    predictor = Ensemble(counted_options(table.space), depth=2, width=32, steps=400)
    fitted = predictor.fit([table.arch(r) for r in small], normal_scores(loss[small].tolist()).tolist())
    expected = fitted.predict([table.arch(r) for r in large])[0]
    assert spearmanr(expected, loss[large]).statistic > 0.7


@pytest.mark.parametrize("data", ["cifar10", "cifar100", "imagenet16"])
def test_what_it_grows_is_better_than_what_it_could_have_grown(data: str) -> None:
    table, small, loss = cells_without_their_last_node(data)
    strategy = PNAS(table.space, beam=62, expansions=62 * 125)
    for number, row in enumerate(small[:-1]):  # two stages of 62
        strategy.tell(Trial(number, Evaluate(table.arch(row)), "complete", losses=(float(loss[row]),)))
    grown = [table.row(proposal.arch) for proposal in strategy.ask(62, np.random.default_rng(0), ())]
    edges = [key for stage in stages_of(table.space)[:-1] for key in stage]
    parents = {tuple(table.arch(r)[key] for key in edges) for r in grown}
    could = [r for r in range(len(loss)) if tuple(table.arch(r)[key] for key in edges) in parents]
    assert len(grown) == 62 and len(could) == 125 * len(parents)
    assert np.mean(loss[grown]) < np.quantile(loss[could], 0.4)


def test_workers_wait_at_the_end_of_a_stage() -> None:
    strategy = PNAS(CELL, beam=4, members=2, steps=20)
    first = strategy.ask(9, np.random.default_rng(0), ())
    assert len(first) == 4, "a stage has as many places as the beam"
    running = [Trial(i, p) for i, p in enumerate(first)]
    assert strategy.ask(2, np.random.default_rng(1), running) == []
