"""Every predictor, through every law. A new predictor is one line here."""

import pytest

from archsmith.predictors import (
    Ensemble,
    GaussianProcess,
    WeisfeilerLehman,
    cell_path_bits,
    counted_options,
    decisions,
    joined,
)
from archsmith.predictors.forest import Forest
from archsmith.testing.predictor import PREDICTOR_LAWS, MakePredictor, PredictorLaw

PREDICTORS: dict[str, MakePredictor] = {
    "process": lambda space: GaussianProcess(decisions(space)),
    "process_counts": lambda space: GaussianProcess(joined(decisions(space), counted_options(space))),
    "process_paths": lambda space: GaussianProcess(cell_path_bits(space)),
    "subtrees": WeisfeilerLehman,
    "ensemble": lambda space: Ensemble(decisions(space), members=2, depth=2, steps=80),
    "ensemble_paths": lambda space: Ensemble(cell_path_bits(space), members=2, depth=2, steps=80),
    "forest": lambda space: Forest(decisions(space), trees=8),
}


@pytest.mark.parametrize("law", PREDICTOR_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("make", PREDICTORS.values(), ids=PREDICTORS.keys())
def test_law(make: MakePredictor, law: PredictorLaw) -> None:
    law(make)
