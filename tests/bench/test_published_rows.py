"""A published row stands beside a line where the protocol is the same, and nowhere else."""

from typing import Any

import pytest

from archsmith.bench import Entry, nasbench201_problem, published
from archsmith.trial import maximize

EVOLUTION = Entry("evolution", {"population": 10, "sample": 3})


def row(entry: Entry, **protocol: Any) -> tuple[float, float] | None:
    known = published(nasbench201_problem(**{"seconds": 12_000, **protocol}), entry)
    return None if known is None else known.values["test_cifar10"]


def test_the_same_protocol_has_its_row() -> None:
    assert row(EVOLUTION) == (93.92, 0.30)
    assert row(Entry("random")) == (93.70, 0.36)
    assert row(Entry("reinforce", {"rate": 0.01})) == (93.85, 0.37)
    oracle = {"seconds": None, "trials": 100, "objectives": (maximize("test_cifar10"),)}
    assert row(Entry("random"), **oracle) == (93.84, 0.23)


@pytest.mark.parametrize(
    "protocol",
    [{"workers": 8}, {"answer": "recommended"}, {"epochs": 200}, {"seconds": 6000}, {"limits": {"macs": 1e8}}],
)
def test_another_protocol_has_none(protocol: dict[str, Any]) -> None:
    assert row(EVOLUTION, **protocol) is None
    assert row(Entry("random"), **protocol) is None


def test_other_settings_have_none() -> None:
    assert row(Entry("evolution")) is None
    assert row(Entry("reinforce")) is None  # learns at 0.1
    assert row(Entry("bohb")) is None  # has the rungs of the table, at their cost
    oracle = {"seconds": None, "trials": 100, "objectives": (maximize("test_cifar10"),), "workers": 4}
    assert row(Entry("random"), **oracle) is None
