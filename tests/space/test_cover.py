"""The extremes of a space, and architectures that together take all that it offers."""

import pytest

from archsmith.space import Arch, Space, call, check, choice, cover, integer, largest, pick, repeat, smallest
from archsmith.testing.spaces import EXAMPLES, leaf


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_cover_takes_every_option_and_both_ends_of_every_range(name: str) -> None:
    space = EXAMPLES[name]
    found = list(cover(space))
    free = Space(**space.roots)
    for arch in found:
        check(free, arch)
    for key, decision in space.decisions.items():
        taken = [arch[key] for arch in found if key in arch]
        if decision.kind == "pick":
            taken = [label for labels in taken for label in labels]  # type: ignore[union-attr]
        wanted = decision.options or (decision.at(0.0), decision.at(1.0))
        assert {repr(w) for w in wanted} <= {repr(t) for t in taken}, key


def test_a_cover_is_small() -> None:
    options = Space(**{f"x{i}": choice(*"abcde", name=f"x{i}") for i in range(30)})
    assert len(list(cover(options))) == 5
    numbers = Space(**{f"x{i}": choice(*range(5), name=f"x{i}") for i in range(30)})
    assert len(list(cover(numbers))) == 1 + 30 * 4


def test_a_cover_takes_options_beside_the_largest_numbers() -> None:
    space = Space(width=choice(4, 8, name="width"), kind=choice(*"abc", name="kind"))
    found = list(cover(space))
    assert found[0] == largest(space)
    assert {arch["kind"] for arch in found if arch["width"] == 8} == set("abc")


def test_extremes_are_those_of_numbers_and_else_the_first_option() -> None:
    space = Space(
        model=call(leaf, choice(8, 32, 16, name="width"), scale=choice(a=1.0, b=2.0, name="named")),
        depth=repeat([choice(1, 2, name=f"d{i}") for i in range(3)], integer(1, 3, name="depth")),
        edges=pick(2, a=1, b=2, c=3, name="edges"),
    )
    low, high = {"named": "a", "edges": ("a", "b")}, {"d0": 2, "d1": 2, "d2": 2, "depth": 3, "width": 32}
    assert smallest(space) == Arch({**low, "width": 8, "depth": 1, "d0": 1})
    assert largest(space) == Arch({**low, **high})
