"""What predictors see of an architecture."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.errors import SpaceError
from archsmith.predictors import cell_path_bits, counted_options, decisions, joined, subtrees
from archsmith.space import Arch, Space, call, cell_graph, cell_paths, choice, graph, integer, sample, wirings
from archsmith.spaces.cell import cell
from archsmith.spec import Spec
from archsmith.tables import nasbench201
from archsmith.testing.predictor import CELL
from archsmith.testing.spaces import EXAMPLES, spaces_and_archs

SPEC = Spec("image", "classification", (3, 32, 32), 10, 1000)


def arch_of(*operations: str) -> Arch:
    return Arch({f"edge{i}": o for i, o in enumerate(operations)})


@settings(max_examples=50, deadline=None)
@given(spaces_and_archs())
def test_rows_fill_their_blocks_and_are_zero_where_a_decision_is_inactive(pair: tuple[Space, Arch]) -> None:
    space, arch = pair
    encoding = joined(decisions(space), counted_options(space))
    (row,) = encoding.rows([arch])
    assert row.shape == (encoding.width,) == encoding.groups.shape
    assert len(encoding.terms) == len(encoding.blocks)
    for place, (name, _) in enumerate(encoding.blocks):
        if name in space.decisions:
            assert row[encoding.groups == place].any() == (name in arch)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_remembered_is_what_is_written_anew(name: str) -> None:
    space, rng = EXAMPLES[name], np.random.default_rng(0)
    archs = [sample(space, rng) for _ in range(5)]
    assert np.array_equal(decisions(space).rows(archs), decisions(space).remembered(archs))


def test_choices_that_differ_are_one_apart_and_numbers_keep_their_order() -> None:
    space = Space(a=choice("x", "y", "z", name="a"), n=choice(8, 16, 32, name="n"), m=integer(0, 10, name="m"))
    rows = decisions(space).rows([Arch({"a": a, "n": 8, "m": 0}) for a in "xy"])
    assert np.isclose(((rows[0] - rows[1]) ** 2).sum(), 1.0)
    near, far = (Arch({"a": "x", "n": n, "m": n // 4}) for n in (16, 32))
    rows = decisions(space).rows([Arch({"a": "x", "n": 8, "m": 0}), near, far])
    assert ((rows[0] - rows[1]) ** 2).sum() < ((rows[0] - rows[2]) ** 2).sum()


def test_options_are_counted_over_choices_that_share_them() -> None:
    encoding = counted_options(CELL)
    (row,) = encoding.rows([arch_of("large", "large", "none", "skip", "large", "small")])
    assert row.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 3 / 6])  # none, skip, small, large
    assert counted_options(EXAMPLES["one"]).width == 0


def test_a_cell_is_read_from_the_expression() -> None:
    space = cell(SPEC)
    (found,) = wirings(space)
    assert [(s, t) for s, t, _ in found.edges] == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    assert found.none == "none" and len(found.operations) == 5
    assert wirings(EXAMPLES["everything"]) == ()
    with pytest.raises(SpaceError, match="wiring"):
        cell_path_bits(EXAMPLES["flat"])


def test_a_cell_of_a_table_is_read_as_that_of_a_network() -> None:
    (found,), (network,) = wirings(nasbench201("cifar10").space), wirings(cell(SPEC))
    assert found == network


def test_paths_are_those_of_the_cell_encoding() -> None:
    rng, (wiring,) = np.random.default_rng(0), wirings(CELL)
    encoding = cell_path_bits(CELL)
    assert encoding.width == 3 + 9 + 27
    for _ in range(20):
        arch = sample(CELL, rng)
        expected = cell_paths(wiring.cell(arch), wiring.operations, wiring.none)
        assert np.array_equal(encoding.rows([arch])[0] > 0, expected > 0)


def test_the_paths_of_nas_bench_101_are_the_published_364() -> None:
    # One to five of three operations in a row are 363; its input joined to its output, with none between, is the 364th
    # of White et al. Here operations are on edges, so that what joins nodes without one is no path.
    pairs = [(a, b) for b in range(1, 6) for a in range(b)]
    operations = ("conv3x3", "conv1x1", "maxpool3x3")
    edges = [choice("none", *operations, name=f"{a} to {b}") for a, b in pairs]
    encoding = cell_path_bits(Space(model=call(graph, pairs, *edges)))
    assert encoding.width + 1 == sum(3**k for k in range(6)) == 364
    assert encoding.blocks == tuple((f"paths of length {k}", 3**k) for k in range(1, 6))
    whole = Arch({f"{a} to {b}": operations[b % 3] for a, b in pairs})
    # Every choice of the inner four nodes to pass through is a path, and a word of its own but for equal ones.
    routes = [(*through, 5) for k in range(5) for through in combinations(range(1, 5), k)]
    words = {tuple(operations[b % 3] for b in route) for route in routes}
    assert np.count_nonzero(encoding.rows([whole])) == len(words)


def test_subtrees_of_two_small_cells_by_hand() -> None:
    (wiring,) = wirings(CELL)
    line = subtrees(wiring, arch_of("small", "none", "large", "none", "none", "skip"), 1)
    assert dict(line[0]) == {"input": 1, "small": 1, "large": 1, "skip": 1, "output": 1}
    assert dict(line[1]) == {"input()": 1, "small(input)": 1, "large(small)": 1, "skip(large)": 1, "output(skip)": 1}
    cut = subtrees(wiring, arch_of("small", "none", "none", "large", "none", "skip"), 1)
    assert dict(cut[0]) == {"input": 1, "large": 1, "output": 1}, "an edge on no way to the output counts"


def test_cells_that_are_the_same_network_have_equal_subtrees_and_equal_paths() -> None:
    (wiring,) = wirings(CELL)
    # Node 1 and node 2 change places where nothing joins them.
    one, other = (arch_of("small", "large", "none", "none", *ends) for ends in (("skip", "small"), ("skip", "small")))
    other = arch_of("large", "small", "none", "none", "small", "skip")
    assert subtrees(wiring, one, 3) == subtrees(wiring, other, 3)
    rows = cell_path_bits(CELL).rows([one, other])
    assert np.array_equal(rows[0], rows[1])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["none", "skip", "small", "large"]), min_size=6, max_size=6))
def test_every_cell_has_subtrees(operations: list[str]) -> None:
    (wiring,) = wirings(CELL)
    arch = arch_of(*operations)
    counts = subtrees(wiring, arch, 2)
    connected = cell_paths(wiring.cell(arch), wiring.operations, wiring.none).any()
    assert (sum(counts[0].values()) > 2) == connected, "besides the input and the output, all that joins them"
    assert cell_graph(wiring.cell(arch), wiring.operations)[0].shape == (8, 8)
