"""Splits are disjoint, complete, stratified, fixed by the seed, recorded by a hash; the test split is locked."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsmith.errors import ArchsmithError, DataError, UsageError
from archsmith.task import Task, load
from archsmith.task.splits import assign_folds, assign_splits, split_hash
from archsmith.task.targets import encode_target
from archsmith.task.values import TEST, TRAIN, VALID, Split

RNG = np.random.default_rng(0)


def numbered(count: int = 200, classes: int = 2, **options: object) -> Task:
    """Return a task whose only column is the number of the sample, so that splits can be told apart."""
    x = np.stack([np.arange(count), RNG.normal(size=count)], 1)
    return load((x, np.arange(count) % classes), **options)  # type: ignore[arg-type]


def members(task: Task) -> dict[str, set[int]]:
    splits = {"train": task.train, "valid": task.valid, "test": task.open_test()}
    return {name: {int(v) for v in split.x[:, 0]} for name, split in splits.items()}


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=6),
    valid=st.floats(0.05, 0.5),
    test=st.floats(0.05, 0.5),
    seed=st.integers(0, 99),
)
def test_every_class_is_in_every_split_at_its_share(counts: list[int], valid: float, test: float, seed: int) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    assume(len(counts) <= len(y) / 2)
    target = encode_target(y, "y")
    part = assign_splits(target, np.zeros(len(y), dtype=np.int8), seed, valid, test)
    for label, count in enumerate(counts):
        there = part[y == label]
        assert set(there) == {TRAIN, VALID, TEST}
        assert abs((there == TEST).sum() - test * count) <= 1
    assert (part == assign_splits(target, np.zeros(len(y), dtype=np.int8), seed, valid, test)).all()


def test_splits_are_disjoint_and_complete() -> None:
    found = members(numbered())
    assert sorted(i for part in found.values() for i in part) == list(range(200))


def test_the_seed_fixes_the_splits_and_the_hash() -> None:
    a, b, c = numbered(), numbered(), numbered(seed=1)
    assert members(a) == members(b)
    assert a.split_hash == b.split_hash != c.split_hash
    assert members(a) != members(c)


def test_the_hash_sees_indices_and_labels() -> None:
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    part = np.array([0, 0, 1, 1, 2, 2], dtype=np.int8)
    moved, renamed = part[[0, 2, 1, 3, 4, 5]], torch.tensor([1, 1, 0, 1, 0, 1])
    hashes = {split_hash(y, part), split_hash(y, moved), split_hash(renamed, part), split_hash(y.float(), part)}
    assert len(hashes) == 4
    assert split_hash(y, part) == "927c4aecbb770c36aa26dd3ea06e2dd26e64e24d1e0d0678f4a69d564775e69a"


def test_regression_targets_are_spread_evenly() -> None:
    y = RNG.lognormal(sigma=2, size=400)
    task = load((RNG.normal(size=(400, 2)), y))
    medians = [float(s.y.log().median()) for s in (task.train, task.valid, task.open_test())]
    assert max(medians) - min(medians) < 0.4


def test_the_test_split_opens_only_through_the_lock_which_counts() -> None:
    task = numbered()
    assert task.test_openings == 0
    assert task.sizes["test"] == 40
    held = [v for v in vars(task).values() if isinstance(v, Split)]
    assert sorted(len(v) for v in held) == [32, 128]
    public = [getattr(task.lock, name) for name in dir(task.lock) if "__" not in name]
    assert not any(isinstance(v, Split) for v in public)
    assert "tensor" not in repr(task)
    task.open_test()
    task.open_test()
    assert task.test_openings == 2


def test_a_copy_for_another_process_leaves_the_test_split_behind() -> None:
    task = numbered()
    copy = pickle.loads(pickle.dumps(task))
    assert torch.equal(copy.train.x, task.train.x)
    assert copy.sizes == task.sizes
    with pytest.raises(ArchsmithError, match="without its test split"):
        copy.open_test()
    assert len(task.open_test()) == 40


def test_folds_take_turns_and_never_touch_the_test_split() -> None:
    task = numbered(folds=4)
    locked = members(task)["test"]
    seen: list[int] = []
    for k in range(4):
        fold = task.fold(k)
        found = members(fold)
        assert found["test"] == locked
        assert found["train"] | found["valid"] | locked == set(range(200))
        assert not found["train"] & found["valid"]
        assert fold.spec.input_shape == task.spec.input_shape
        seen += sorted(found["valid"])
    assert sorted(seen + sorted(locked)) == list(range(200))
    assert members(task.fold(0)) == members(task)
    with pytest.raises(UsageError, match="folds 0 to 3"):
        task.fold(4)
    with pytest.raises(UsageError, match="no folds"):
        numbered().fold(0)


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(6, 40), min_size=2, max_size=5), folds=st.integers(2, 5), seed=st.integers(0, 9))
def test_folds_are_equally_large_and_stratified(counts: list[int], folds: int, seed: int) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    fold = assign_folds(encode_target(y, "y"), np.zeros(len(y), dtype=np.int8), seed, folds)
    assert np.ptp(np.bincount(fold, minlength=folds)) <= 1
    for label in range(len(counts)):
        assert np.ptp(np.bincount(fold[y == label], minlength=folds)) <= 1


def test_a_class_needs_a_sample_for_each_split() -> None:
    y = np.array([0] * 50 + [1] * 50 + [2] * 2)
    with pytest.raises(DataError, match=r"at least 3 samples.*class '2' has 2"):
        load((RNG.normal(size=(102, 2)), y))
    with pytest.raises(DataError, match=r"at least 6 samples"):
        load((RNG.normal(size=(105, 2)), np.r_[y, 2, 2, 2]), folds=5)


def test_fractions_can_be_chosen() -> None:
    assert numbered(valid_fraction=0.5, test_fraction=0.1).sizes == {"train": 90, "valid": 90, "test": 20}
