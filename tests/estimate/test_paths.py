"""What the path samplers draw."""

from collections import Counter

import numpy as np
from scipy.stats import chisquare
from torch import nn

from archsmith.estimate import fair, sandwich, shrinking, uniform
from archsmith.space import Space, call, choice, integer, largest, smallest
from archsmith.testing.spaces import block, leaf

FLAT = Space(**{f"x{i}": choice(*"abcde", name=f"x{i}") for i in range(6)})
UNEVEN = Space(a=choice(*range(6), name="a"), b=choice(*range(4), name="b"), c=choice("one", "two", name="c"))
SIZES = Space(
    model=call(block, *[call(leaf, choice(4, 8, 16, name=f"width{i}")) for i in range(3)]),
    kernel=choice(3, 5, 7, name="kernel0"),
    depth=integer(1, 4, name="depth"),
)


def test_uniform_paths_take_every_option_equally_often() -> None:
    rng = np.random.default_rng(0)
    drawn = [uniform(FLAT, rng) for _ in range(2000)]
    assert all(len(archs) == 1 for archs in drawn)
    for key in FLAT.decisions:
        counts = Counter(archs[0][key] for archs in drawn)
        assert chisquare([counts[o] for o in "abcde"]).pvalue > 1e-3


def test_fair_paths_take_every_option_exactly_once_a_step() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        archs = fair(FLAT, rng)
        for key in FLAT.decisions:
            assert sorted(str(arch[key]) for arch in archs) == list("abcde")


def test_fair_paths_leave_no_option_of_a_smaller_choice_behind() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        archs = fair(UNEVEN, rng)
        assert len(archs) == 6
        for key, decision in UNEVEN.decisions.items():
            counts = Counter(arch[key] for arch in archs)
            assert max(counts[o] for o in decision.options) - min(counts[o] for o in decision.options) <= 1


def test_a_sandwich_is_the_largest_then_some_then_the_smallest() -> None:
    archs = sandwich(SIZES, np.random.default_rng(0), between=3)
    assert (archs[0], archs[-1], len(archs)) == (largest(SIZES), smallest(SIZES), 5)


def test_of_modules_the_one_with_the_most_parameters_teaches_and_any_of_them_comes_last() -> None:
    operation = choice(none=call(nn.Identity), small=call(nn.Linear, 4, 4), wide=call(nn.Bilinear, 4, 4, 4), name="o")
    space, rng = Space(model=operation, width=choice(1, 2, name="width")), np.random.default_rng(0)
    drawn = [sandwich(space, rng) for _ in range(40)]
    assert {archs[0]["o"] for archs in drawn} == {"wide"}
    assert {archs[-1]["o"] for archs in drawn} == {"none", "small", "wide"}
    assert {(archs[0]["width"], archs[-1]["width"]) for archs in drawn} == {(2, 1)}


def test_where_a_constraint_forbids_the_largest_a_large_one_comes_first() -> None:
    widths = [choice(4, 8, name=f"width{i}") for i in range(2)]
    layers = [call(nn.Linear, 3, widths[0]), call(nn.Linear, widths[0], widths[1])]
    space = Space(model=call(nn.Sequential, *layers), valid=lambda a: a["width0"] + a["width1"] < 16)  # type: ignore[operator]
    for seed in range(10):
        first, *_, last = sandwich(space, np.random.default_rng(seed))
        assert sorted(first.values()) == [4, 8] and list(last.values()) == [4, 4]


def test_a_phase_of_shrinking_varies_only_what_is_open() -> None:
    rng = np.random.default_rng(0)
    kernels = shrinking(lambda key: key.startswith("kernel"), paths=2)
    drawn = [arch for _ in range(40) for arch in kernels(SIZES, rng)]
    assert len(drawn) == 80 and {arch["kernel0"] for arch in drawn} == {3, 5, 7}
    most = largest(SIZES)
    assert all(arch[key] == most[key] for arch in drawn for key in most if key != "kernel0")
    assert shrinking(lambda key: False)(SIZES, rng) == [most]
