"""Sizes and costs of published spaces that can be worked out: how many there are, and what they cost."""

import itertools
import math

import pytest

from archsmith.space import Space, choice, count, pick
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
    of three operations in each inner vertex.
    """
    pairs = list(itertools.combinations(range(vertices), 2))
    inner = range(1, vertices - 1)
    orders = list(itertools.permutations(inner))
    seen = set()
    for bits in itertools.product((0, 1), repeat=len(pairs)):
        if sum(bits) > 9:
            continue
        edges = frozenset(p for p, b in zip(pairs, bits, strict=True) if b)
        if not _all_on_the_way(edges, vertices):
            continue
        for operations in itertools.product(range(3), repeat=len(inner)):
            named = dict(zip(inner, operations, strict=True))
            forms = []
            for order in orders:
                place = {0: 0, vertices - 1: vertices - 1, **dict(zip(inner, order, strict=True))}
                moved = sorted((place[a], place[b]) for a, b in edges)
                forms.append((tuple(moved), tuple(named[v] for v in sorted(inner, key=place.__getitem__))))
            seen.add(min(forms))
    return len(seen)


def _all_on_the_way(edges: frozenset[tuple[int, int]], vertices: int) -> bool:
    ahead, back = {0}, {vertices - 1}
    for a, b in sorted(edges):
        if a in ahead:
            ahead.add(b)
    for a, b in sorted(edges, reverse=True):
        if b in back:
            back.add(a)
    return len(ahead) == len(back) == vertices


@pytest.mark.parametrize(("vertices", "cells"), [(2, 1), (3, 6), (4, 84), (5, 2_441)])
def test_nas_bench_101_has_as_many_small_cells_as_published(vertices: int, cells: int) -> None:
    assert _unique_101(vertices) == cells


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
