"""The laws of a predictor, as functions of a factory: ``for law in PREDICTOR_LAWS: law(make)``.

``make(space)`` returns a predictor for a space. One that is for cells only says so by ``SpaceError``; the laws then
look at the spaces that are left, of which ``CELL`` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from archsmith.errors import SpaceError
from archsmith.predictors import Predictor
from archsmith.space import Arch, Space, call, choice, sample
from archsmith.testing.spaces import EXAMPLES

__all__ = [
    "CELL",
    "PREDICTOR_LAWS",
    "MakePredictor",
    "PredictorLaw",
    "Wired",
    "equal_results_give_equal_predictions",
    "fitting_changes_nothing",
    "little_is_enough",
    "means_rank_what_is_new",
    "predictions_do_not_depend_on_company",
    "predictions_fit_the_space",
]

MakePredictor = Callable[[Space], Predictor]
PredictorLaw = Callable[[MakePredictor], None]


class Wired:
    """A cell that computes nothing: four nodes joined by six edges."""

    wiring = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

    def __init__(self, *edges: Any) -> None:
        self.edges = edges


_OPERATIONS = ("none", "skip", "small", "large")
CELL = Space(model=call(Wired, *(choice(*_OPERATIONS, name=f"edge{i}") for i in range(6))))
"""A space of one cell: 4,096 architectures."""

_SPACES = MappingProxyType({**EXAMPLES, "cell": CELL})


def _each(make: MakePredictor) -> Iterator[tuple[str, Space, Predictor]]:
    able = 0
    for name, space in _SPACES.items():
        try:
            predictor = make(space)
        except SpaceError:
            continue
        able += 1
        yield name, space, predictor
    assert able, "it predicts for no space at all"


def _archs(space: Space, number: int, seed: int = 0) -> list[Arch]:
    rng = np.random.default_rng(seed)
    return [sample(space, rng) for _ in range(number)]


def _losses(archs: Sequence[Arch]) -> list[float]:
    """Give losses that depend on the decisions one by one, equally for equal answers."""
    values = {"none": 2.0, "skip": 0.7, "small": 0.4, "large": 0.0}
    return [sum(values.get(str(a), len(str(a)) * 0.1) * (1 + i) for i, a in enumerate(arch.values())) for arch in archs]


def predictions_fit_the_space(make: MakePredictor) -> None:
    """Every architecture gets a finite mean and a finite deviation that is not negative; none gets none."""
    for name, space, predictor in _each(make):
        archs, others = _archs(space, 20), _archs(space, 30, seed=1)
        fitted = predictor.fit(archs, _losses(archs))
        mean, std = fitted.predict(others)
        assert mean.shape == std.shape == (30,), f"{name}: shapes {mean.shape} and {std.shape} for 30 architectures"
        assert np.isfinite(mean).all() and np.isfinite(std).all(), f"{name}: a prediction is not a number"
        assert (std >= 0).all(), f"{name}: a negative deviation"
        nothing = fitted.predict([])
        assert len(nothing[0]) == len(nothing[1]) == 0, f"{name}: predictions of nothing"


def little_is_enough(make: MakePredictor) -> None:
    """One result, equal losses, and one architecture with two losses are no trouble."""
    for name, space, predictor in _each(make):
        archs = _archs(space, 6)
        for known, losses in ((archs[:1], [0.3]), (archs, [0.5] * 6), ([archs[0]] * 2, [0.1, 0.2])):
            mean, std = predictor.fit(known, losses).predict(archs)
            assert np.isfinite(mean).all() and np.isfinite(std).all(), f"{name}: not a number after {losses}"


def equal_results_give_equal_predictions(make: MakePredictor) -> None:
    """Fitted again, or made again and fitted, it predicts the same."""
    for name, space, predictor in _each(make):
        archs, others = _archs(space, 15), _archs(space, 10, seed=1)
        first, again, anew = (p.fit(archs, _losses(archs)).predict(others) for p in (predictor, predictor, make(space)))
        assert np.array_equal(first, again) and np.array_equal(first, anew), f"{name}: two fits differ"


def fitting_changes_nothing(make: MakePredictor) -> None:
    """What was fitted before predicts as before, whatever the predictor is fitted to afterwards."""
    for name, space, predictor in _each(make):
        archs, others = _archs(space, 15), _archs(space, 10, seed=1)
        text, losses = repr(predictor), _losses(archs)
        fitted = predictor.fit(archs, losses)
        before = fitted.predict(others)
        predictor.fit(others, [-v for v in _losses(others)]).predict(archs)
        losses.reverse()
        assert np.array_equal(before, fitted.predict(others)), f"{name}: a later fit changed an earlier one"
        assert repr(predictor) == text, f"{name}: its settings were changed by use"


def predictions_do_not_depend_on_company(make: MakePredictor) -> None:
    """What is predicted for an architecture does not depend on what is predicted beside it."""
    for name, space, predictor in _each(make):
        archs, others = _archs(space, 15), _archs(space, 8, seed=1)
        fitted = predictor.fit(archs, _losses(archs))
        together, alone = fitted.predict(others), [fitted.predict([arch]) for arch in others]
        for column in (0, 1):
            apart = np.array([one[column][0] for one in alone])
            assert np.allclose(together[column], apart, rtol=1e-6, atol=1e-5), f"{name}: company matters"


def means_rank_what_is_new(make: MakePredictor) -> None:
    """On losses that are a sum over the decisions, its means rank 100 new architectures with a correlation of 0.5."""
    archs, others = _archs(CELL, 80), _archs(CELL, 100, seed=1)
    mean, _ = make(CELL).fit(archs, _losses(archs)).predict(others)
    correlation = float(spearmanr(mean, _losses(others)).statistic)
    assert correlation > 0.5, f"a rank correlation of {correlation:.2f}"


PREDICTOR_LAWS: Sequence[PredictorLaw] = (
    predictions_fit_the_space,
    little_is_enough,
    equal_results_give_equal_predictions,
    fitting_changes_nothing,
    predictions_do_not_depend_on_company,
    means_rank_what_is_new,
)
