"""Sizes and costs of published spaces that can be worked out: how many there are, and what they cost."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from archsmith.space import Space, call, choice, count, pick, repeat
from archsmith.tables import EDGES, OPERATIONS

_INTO = {1: (0,), 2: (0, 1), 3: (0, 1, 2)}
CELLS = [dict(zip(EDGES, operations, strict=True)) for operations in itertools.product(OPERATIONS, repeat=6)]


def test_channel_choices_of_nats_bench_are_32768() -> None:
    space = Space(**{f"c{i}": choice(*range(8, 65, 8), name=f"c{i}") for i in range(5)})
    assert count(space) == 8**5 == 32_768


def test_a_cell_of_darts_is_one_of_a_thousand_million() -> None:
    operations = "max_pool avg_pool skip sep3 sep5 dil3 dil5".split()  # without "none", which is never kept
    roots = {}
    for node in range(4):
        edges = [choice(*operations, name=f"{node}/{source}") for source in range(node + 2)]
        roots[f"node{node}"] = pick(2, **{f"from{i}": edge for i, edge in enumerate(edges)}, name=f"inputs{node}")
    expected = math.prod(math.comb(node + 2, 2) * 7**2 for node in range(4))
    assert count(Space(**roots)) == expected == 1_037_664_180


def test_single_path_one_shot_has_four_to_the_twentieth() -> None:
    space = Space(**{f"b{i}": choice(3, 5, 7, "x", name=f"b{i}") for i in range(20)})
    assert count(space) == 4**20


def _unique_101(vertices: int) -> int:
    """Count the cells of NAS-Bench-101 with so many vertices, up to renaming of the inner ones.

    A cell is an upper triangular matrix of at most nine edges with every vertex on a way from input to output, and one
    of three operations in each inner vertex. A graph is written in as many matrices as it has orders of its vertices
    without a backward edge, less its symmetries; Burnside's lemma counts the operations that a symmetry leaves alone.
    """
    pairs = list(itertools.combinations(range(vertices), 2))
    matrices = np.zeros(1, dtype=np.int64)
    for place in range(len(pairs)):
        matrices = np.concatenate([matrices, matrices | (1 << place)])
        matrices = matrices[np.bitwise_count(matrices) <= 9]
    has = {pair: (matrices >> place) & 1 > 0 for place, pair in enumerate(pairs)}
    ahead, back = {0: np.ones(len(matrices), bool)}, {vertices - 1: np.ones(len(matrices), bool)}
    for b in range(1, vertices):
        ahead[b] = np.any([has[a, b] & ahead[a] for a in range(b)], axis=0)
    for a in reversed(range(vertices - 1)):
        back[a] = np.any([has[a, b] & back[b] for b in range(a + 1, vertices)], axis=0)
    matrices = matrices[np.all([ahead[v] & back[v] for v in range(vertices)], axis=0)]
    orders, left_alone = np.zeros(len(matrices), np.int64), np.zeros(len(matrices), np.int64)
    for inner in itertools.permutations(range(1, vertices - 1)):
        to = (0, *inner, vertices - 1)
        backward = sum(1 << place for place, (a, b) in enumerate(pairs) if to[a] > to[b])
        may = np.flatnonzero(matrices & backward == 0)
        orders[may] += 1
        moved = np.zeros(len(may), np.int64)
        for place, (a, b) in enumerate(pairs):
            if to[a] < to[b]:
                moved |= ((matrices[may] >> place) & 1) << pairs.index((to[a], to[b]))
        left_alone[may[moved == matrices[may]]] += 3 ** _cycles(to[1:-1])
    weights = {int(n): int(left_alone[orders == n].sum()) for n in np.unique(orders)}
    return int(sum(Fraction(weight, n) for n, weight in weights.items()))


def _cycles(to: tuple[int, ...]) -> int:
    left, cycles = dict(enumerate(to, 1)), 0
    while left:
        start, at = left.popitem()
        while at != start:
            at = left.pop(at)
        cycles += 1
    return cycles


@pytest.mark.parametrize(("vertices", "cells"), [(2, 1), (3, 6), (4, 84), (5, 2_441), (6, 62_010), (7, 359_082)])
def test_nas_bench_101_has_as_many_cells_as_published(vertices: int, cells: int) -> None:
    assert _unique_101(vertices) == cells


def test_nas_bench_101_has_423624_cells_in_all() -> None:
    assert sum(map(_unique_101, range(2, 7))) + 359_082 == 423_624


def test_transnas_bench_101_has_4096_cells_and_3256_networks() -> None:
    cell = Space(**{f"e{i}": choice("none", "skip", "conv1", "conv3", name=f"e{i}") for i in range(6)})
    assert count(cell) == 4_096
    # A network has four to six modules; one to four of them halve the image, and one to three double the channels.
    networks = 0
    for modules in (4, 5, 6):
        kinds = itertools.product(((0, 0), (0, 1), (1, 0), (1, 1)), repeat=modules)
        networks += sum(1 <= sum(h for h, _ in k) <= 4 and 1 <= sum(d for _, d in k) <= 3 for k in kinds)
    assert networks == 3_256


def test_the_networks_of_once_for_all_and_autoformer_are_as_many_as_published() -> None:
    stages = {
        f"stage{i}": repeat(
            [choice(*range(9), name=f"block{i}/{j}") for j in range(4)], choice(2, 3, 4, name=f"depth{i}")
        )
        for i in range(5)
    }
    assert count(Space(**stages)) == (9**2 + 9**3 + 9**4) ** 5
    blocks = [call(dict, heads=choice(3, 4, name=f"heads{i}"), mlp=choice(3.5, 4, name=f"mlp{i}")) for i in range(14)]
    tiny = Space(layers=repeat(blocks, choice(12, 13, 14, name="depth")), embed=choice(192, 216, 240, name="embed"))
    assert count(tiny) == 3 * (4**12 + 4**13 + 4**14)


def _written(cell: dict[str, str], zeros: bool, drop: bool = False) -> str:
    """Return the cell as a sum of operations on sums, where skipping changes nothing, as the authors write it.

    The terms of a sum are sorted, but not those of a sum that was skipped into it.
    With ``zeros`` it is known that ``none`` gives nothing and that nothing comes of nothing; with ``drop`` nothing is
    also left out of sums.
    """
    nodes = {0: "0"}
    for node, sources in _INTO.items():
        terms = []
        for source in sources:
            operation, inner = cell[f"edge{source}{node}"], nodes[source]
            if zeros and (operation == "none" or inner == "#"):
                terms.append("#")
            else:
                terms.append(inner if operation == "skip_connect" else f"({inner})@{operation}")
        if drop:
            terms = [term for term in terms if term != "#"] or ["#"]
        nodes[node] = "+".join(sorted(terms))
    return nodes[3]


def _connected(cell: dict[str, str]) -> bool:
    reached = {0}
    for node, sources in _INTO.items():
        if any(s in reached and cell[f"edge{s}{node}"] != "none" for s in sources):
            reached.add(node)
    return 3 in reached


@pytest.mark.parametrize(
    ("zeros", "drop", "different"), [(False, False, 12_751), (True, False, 6_466), (True, True, 5_390)]
)
def test_as_many_of_15625_cells_are_different_as_published(zeros: bool, drop: bool, different: int) -> None:
    assert len({_written(cell, zeros, drop) for cell in CELLS}) == different


def test_the_output_of_341_cells_does_not_depend_on_the_input() -> None:
    assert sum(not _connected(cell) for cell in CELLS) == 341
