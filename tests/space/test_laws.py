"""The laws of the language, over generated spaces of every node kind nested to depth four."""

import itertools
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from archsmith.errors import SpaceError
from archsmith.space import (
    Arch,
    Call,
    check,
    count,
    crossover,
    enumerate_archs,
    evaluate,
    feature_names,
    from_json,
    mutate,
    neighbours,
    one_hot,
    ordinal,
    sample,
    to_json,
    walk,
)
from archsmith.testing.spaces import define_by_run, spaces, spaces_and_archs

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
ANY = {"programs": (define_by_run,)}
seeds = st.integers(0, 2**32 - 1)


def values(space, arch):
    return evaluate(space, arch, lambda call, path, args, kwargs: (path, call.target.__name__, args, kwargs))


@SLOW
@given(spaces_and_archs(**ANY))
def test_a_space_and_an_arch_equal_their_json_round_trip(pair):
    space, arch = pair
    again = from_json(json.loads(json.dumps(to_json(space), allow_nan=False)))
    assert to_json(again) == to_json(space)
    assert dict(again.decisions) == dict(space.decisions)
    assert Arch.from_json(json.loads(json.dumps(arch.to_json()))) == arch
    assert repr(values(again, arch)) == repr(values(space, arch))


@SLOW
@given(spaces_and_archs(**ANY))
def test_a_space_survives_the_way_to_another_process(pair):
    space, arch = pair
    again = pickle.loads(pickle.dumps(space))
    assert repr(values(again, arch)) == repr(values(space, arch))
    assert list(again.decisions) == list(space.decisions)


@SLOW
@given(spaces_and_archs(**ANY))
def test_walking_and_evaluating_ask_the_same_decisions(pair):
    space, arch = pair
    asked = []

    def decide(decision):
        asked.append(decision.key)
        return arch[decision.key]

    assert walk(space, decide) == arch
    assert len(asked) == len(set(asked)) and set(asked) == set(arch)
    for key in arch:  # evaluating needs every answer, so none was asked in vain
        with pytest.raises(SpaceError, match="does not answer"):
            values(space, Arch({k: v for k, v in arch.items() if k != key}))


@SLOW
@given(spaces_and_archs(**ANY))
def test_every_active_decision_is_in_the_table_and_has_more_than_one_answer(pair):
    space, arch = pair
    for key in arch:
        assert space.decisions[key].size > 1
        assert space.decisions[key].contains(arch[key])


@SLOW
@given(spaces_and_archs())
def test_every_use_of_a_call_has_a_path_of_its_own(pair):
    space, arch = pair
    paths = []

    def make(call: Call, path, args, kwargs):
        paths.append(path)
        return path

    evaluate(space, arch, make)
    assert len(paths) == len(set(paths))


@SLOW
@given(spaces_and_archs(**ANY), seeds)
def test_a_mutation_changes_exactly_the_decisions_it_names(pair, seed):
    space, arch = pair
    assume(len(arch) > 0)
    rng = np.random.default_rng(seed)
    key = sorted(arch)[seed % len(arch)]
    child = mutate(space, arch, rng, decisions=[key])
    check(space, child)
    changed = {k for k in arch if k in child and repr(child[k]) != repr(arch[k])}
    assert changed == {key}


@SLOW
@given(spaces_and_archs(**ANY), seeds)
def test_a_drawn_mutation_changes_exactly_one_decision(pair, seed):
    space, arch = pair
    assume(len(arch) > 0)
    child = mutate(space, arch, np.random.default_rng(seed))
    assert sum(k in child and repr(child[k]) != repr(arch[k]) for k in arch) == 1


@SLOW
@given(spaces(**ANY), seeds)
def test_every_answer_of_a_crossover_comes_from_a_parent_that_has_it(space, seed):
    rng = np.random.default_rng(seed)
    mother, father = sample(space, rng), sample(space, rng)
    child = crossover(space, mother, father, rng)
    check(space, child)
    for key, answer in child.items():
        known = [p[key] for p in (mother, father) if key in p]
        assert not known or any(repr(k) == repr(answer) for k in known)


@SLOW
@given(spaces(**ANY), seeds)
def test_sampling_replays_and_is_always_allowed(space, seed):
    first = sample(space, np.random.default_rng(seed))
    assert sample(space, np.random.default_rng(seed)) == first
    check(space, first)


@SLOW
@given(spaces(**ANY))
def test_counting_equals_listing(space):
    some = list(itertools.islice(_listed(space), 2000))
    assume(len(some) < 2000)
    assert len({a.id for a in some}) == len(some)
    if all(d.kind != "real" for d in space.decisions.values()):
        assert count(space) == len(some)


def _listed(space):
    try:
        yield from enumerate_archs(space)
    except SpaceError:
        assert any(d.kind == "real" for d in space.decisions.values())


@SLOW
@given(spaces_and_archs(**ANY))
def test_encodings_are_zero_exactly_where_a_decision_is_inactive(pair):
    space, arch = pair
    hot, names, ranks = one_hot(space, arch), feature_names(space), ordinal(space, arch)
    assert len(hot) == len(names) and len(ranks) == len(space.decisions)
    assert np.isfinite(hot).all() and hot.min(initial=0) >= 0 and hot.max(initial=0) <= 1
    at = 0
    for (key, decision), rank in zip(space.decisions.items(), ranks, strict=True):
        size = len(decision.options) or 2
        active = hot[at : at + size].any()
        assert active == (key in arch) == (rank > 0)
        if key in arch and decision.kind in ("choice", "pick"):
            assert hot[at : at + size].sum() == (decision.k if decision.kind == "pick" else 1)
        at += size


@SLOW
@given(spaces_and_archs(**ANY))
def test_neighbours_differ_in_one_decision_and_are_each_listed_once(pair):
    space, arch = pair
    found = list(itertools.islice(neighbours(space, arch), 200))
    assert len({a.id for a in found}) == len(found)
    for other in found:
        check(space, other)
        assert sum(k in other and repr(other[k]) != repr(arch[k]) for k in arch) == 1


@SLOW
@given(spaces_and_archs(**ANY))
def test_different_architectures_have_different_one_hot_codes(pair):
    space, arch = pair
    for other in itertools.islice(neighbours(space, arch), 20):
        assert not np.array_equal(one_hot(space, arch), one_hot(space, other))
    assert not math.isnan(one_hot(space, arch).sum())
