"""What may be written, what it means, and what is refused in plain words."""

import functools
import math
from collections import OrderedDict

import numpy as np
import pytest

from archsmith.errors import SpaceError
from archsmith.space import (
    Arch,
    Space,
    bounds,
    call,
    cell_graph,
    cell_paths,
    check,
    choice,
    count,
    enumerate_archs,
    evaluate,
    from_json,
    integer,
    mutate,
    pick,
    real,
    repeat,
    round_to,
    sample,
    settings,
    switch,
    to_json,
    valid,
    walk,
)


def plain(space, arch):
    return evaluate(space, arch, lambda call, path, args, kwargs: call.target(*args, **kwargs))


def listing(*items, **named):
    return [*items, *named.values()]


def test_one_object_is_one_decision_however_often_it_is_used():
    width = choice(16, 32, name="width")
    space = Space(model=call(listing, width, [width, width * 2], deep=call(listing, width)))
    assert list(space.decisions) == ["width"]
    assert plain(space, Arch({"width": 32})) == {"model": [32, [32, 64], [32]]}


def test_a_call_used_twice_is_made_twice():
    part = call(dict)
    model = plain(Space(model=call(listing, part, part)), Arch({}))["model"]
    assert model[0] is not model[1]


def test_an_option_not_taken_is_not_asked():
    space = Space(model=choice(a=call(listing, choice(1, 2, name="inner")), b=call(listing)))
    assert set(walk(space, lambda d: d.options[-1])) == {"model"}
    assert set(walk(space, lambda d: d.options[0])) == {"model", "inner"}


def test_a_decision_with_one_option_is_never_asked():
    space = Space(model=call(listing, choice(7), pick(2, 1, 2), integer(3, 3), real(0.5, 0.5)))
    assert walk(space, lambda d: pytest.fail("asked")) == Arch({})
    assert plain(space, Arch({}))["model"] == [7, 1, 2, 3, 0.5]
    assert count(space) == 1


def test_repeats_and_picks_are_spliced_into_arguments_and_lists():
    space = Space(model=call(listing, 0, repeat([1, 2, 3], choice(0, 2, name="n")), [pick(1, 8, 9, name="p")], 10))
    assert plain(space, Arch({"n": 2, "p": (9,)}))["model"] == [0, 1, 2, [9], 10]
    assert plain(space, Arch({"n": 0, "p": (8,)}))["model"] == [0, [8], 10]


def test_arithmetic_computes_and_knows_its_bounds():
    n = integer(2, 5, name="n")
    space = Space(a=n + 1, b=3 * n, c=n // 2, d=100 // n, e=round_to(n * 7, 8), f=1 + n)
    assert settings(space, Arch({"n": 3})) == {"a": 4, "b": 9, "c": 1, "d": 33, "e": 24, "f": 4}
    assert bounds(n * 4 + 1) == (9, 21)
    assert bounds(choice(3, n * 2)) == (3, 10)


def test_a_switch_gives_one_decision_several_effects():
    kind = choice("small", "large", name="kind")
    space = Space(lr=switch(kind, small=0.1, large=0.01), model=call(listing, switch(kind, {"small": 1, "large": 2})))
    assert list(space.decisions) == ["kind"]
    assert plain(space, Arch({"kind": "large"})) == {"lr": 0.01, "model": [2]}
    assert count(space) == 2


def test_counts_of_spaces_with_shared_and_conditional_parts():
    width = choice(1, 2, 3, name="w")
    blocks = [choice(a=call(listing, width, choice(1, 2)), b=call(listing)) for _ in range(3)]
    space = Space(model=call(listing, repeat(blocks, choice(0, 3, name="n"))))
    assert count(space) == sum(1 for _ in enumerate_archs(space))
    big = Space(**{f"x{i}": choice(*range(7)) for i in range(60)})
    assert count(big) == 7**60
    assert count(Space(lr=real(0, 1))) == math.inf


def test_paths_do_not_depend_on_what_else_was_chosen():
    space = Space(model=call(listing, repeat([call(dict), call(dict)], choice(1, 2, name="n")), call(listing)))
    paths = {
        n: evaluate(space, Arch({"n": n}), lambda call, path, args, kwargs: [path, *args])["model"] for n in (1, 2)
    }
    assert paths[1] == ["model", ["model/0/0"], ["model/1"]]
    assert paths[2] == ["model", ["model/0/0"], ["model/0/1"], ["model/1"]]


def odd_sum(arch):
    return sum(arch.values()) % 2 == 1


def impossible(arch):
    return False


def test_constraints_hold_for_everything_that_is_proposed():
    space = Space([odd_sum], a=choice(0, 1, 2), b=choice(0, 1, 2))
    rng = np.random.default_rng(0)
    for _ in range(50):
        arch = sample(space, rng)
        assert valid(space, arch) and valid(space, mutate(space, arch, rng))
    assert count(space) == 4
    with pytest.raises(SpaceError, match="odd_sum"):
        check(space, Arch({"a": 0, "b": 0}))


def test_an_impossible_constraint_is_named_with_its_acceptance_rate():
    space = Space([impossible], a=choice(0, 1))
    with pytest.raises(SpaceError, match=r"'impossible' refused 1000 of 1000 .*acceptance rate 0 of 1000"):
        sample(space, np.random.default_rng(0))


def test_one_and_true_are_different_answers_but_not_two_options():
    space = Space(a=choice(1, 2, name="a"))
    with pytest.raises(SpaceError, match="was answered True"):
        check(space, Arch({"a": True}))
    assert Arch({"a": 1}) != Arch({"a": True}) != Arch({"a": 1.0})
    with pytest.raises(SpaceError, match="twice"):
        choice(1, True)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda: choice(), "at least one option"),
        (lambda: choice(1, a=2), "by position or by name"),
        (lambda: choice(1, 1), "same option twice"),
        (lambda: pick(3, 1, 2), "1 to 2"),
        (lambda: real(0, 1, log=True), "above 0"),
        (lambda: real(2, 1), "not a range"),
        (lambda: real(0, math.inf), "not a range"),
        (lambda: integer(0.5, 2), "whole"),
        (lambda: choice(math.nan, 1.0), "finite"),
        (lambda: call(functools.partial(dict)(), 1), "class or function"),
        (lambda: call(dict, OrderedDict), None),
        (lambda: call(dict, functools.partial(dict)), "already made"),
        (lambda: repeat([1], choice(1, 2)), "only 1 blocks"),
        (lambda: repeat([1], real(0, 0.5)), "whole numbers"),
        (lambda: repeat(call(dict), 2), "list of blocks"),
        (lambda: repeat([1], choice("a", "b")), "A number is needed"),
        (lambda: switch(choice("a", "b"), a=1), "nothing for 'b'"),
        (lambda: switch(choice("a", "b"), a=1, b=2, aa=3), "Did you mean 'a'"),
        (lambda: Space(), "at least one root"),
        (lambda: Space(a=choice(1, 2, name="n"), b=choice(1, 2, name="n")), "One object is one decision"),
        (lambda: Space(model=repeat([call(dict)], 1)), "one module"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(write, words):
    if words is None:
        write()
        return
    with pytest.raises(SpaceError, match=words):
        write()


def test_unknown_and_missing_answers_name_the_nearest_decision():
    space = Space(a=choice(1, 2, name="width"))
    with pytest.raises(SpaceError, match="Did you mean 'widht'"):
        check(space, Arch({"widht": 1}))
    with pytest.raises(SpaceError, match=r"asked.*Did you mean 'width'"):
        check(space, Arch({"width": 1, "width2": 1}))
    with pytest.raises(SpaceError, match="no root 'modl'"):
        evaluate(space, Arch({"width": 1}), lambda *a: None, ["modl"])


def test_json_refuses_lambdas_and_code_that_was_not_allowed():
    with pytest.raises(SpaceError, match="lambda"):
        to_json(Space(model=call(lambda: 1)))
    data = to_json(Space(model=call(OrderedDict)))
    with pytest.raises(SpaceError, match="only loaded from"):
        from_json(data)
    assert from_json(data, allow=("collections",)).roots["model"].target is OrderedDict
    for broken in ({}, {"schema": 9}, {"schema": 1, "nodes": [{"node": "Eval"}], "roots": {}, "valid": []}):
        with pytest.raises(SpaceError):
            from_json(broken)


def hidden(pick):
    if pick("kind", "a", "b") == "b":
        return pick("inner", 1, 2, 3) * pick.integer("times", 1, 4)
    return pick("kind", "a", "b")


def twofold(pick):
    return pick("x", 1, 2) + pick("x", 1, 3)


def test_a_define_by_run_function_is_read_like_an_expression():
    space = Space.from_function(hidden, lr=choice(0.1, 0.2, name="lr"))
    assert list(space.decisions) == ["model/kind", "model/inner", "model/times", "lr"]
    assert count(space) == 2 * (1 + 3 * 4)
    arch = Arch({"model/kind": "b", "model/inner": 3, "model/times": 2, "lr": 0.1})
    assert plain(space, arch) == {"model": 6, "lr": 0.1}
    assert space.defined_by_run and not Space(a=1).defined_by_run
    with pytest.raises(SpaceError, match="two ways"):
        _ = Space.from_function(twofold).decisions


CELL = [(0, 1, "a"), (0, 2, "none"), (1, 2, "b"), (0, 3, "none"), (1, 3, "none"), (2, 3, "c")]


def test_cell_paths_are_the_operations_on_the_way_from_input_to_output():
    code = cell_paths(CELL, ["none", "a", "b", "c"], none="none")
    assert len(code) == 3 + 9 + 27 and code.sum() == 1
    assert len(cell_paths(CELL, ["none", "a", "b", "c"])) == 4 + 16 + 64
    with pytest.raises(SpaceError, match="Unknown operation"):
        cell_paths([(0, 1, "z")], ["a"])


def test_a_cell_graph_joins_each_edge_to_those_that_follow_it():
    adjacency, labels = cell_graph(CELL, ["none", "a", "b", "c"])
    assert adjacency.shape == (8, 8) and labels.shape == (8, 6)
    assert adjacency[0].tolist() == [0, 1, 1, 0, 1, 0, 0, 0]  # three edges leave the input
    assert adjacency[:, -1].tolist() == [0, 0, 0, 0, 1, 1, 1, 0]  # three edges reach the output
    assert adjacency[1].tolist() == [0, 0, 0, 1, 0, 1, 0, 0]  # 0->1 is followed by 1->2 and 1->3
    assert (labels.sum(axis=1) == 1).all()
