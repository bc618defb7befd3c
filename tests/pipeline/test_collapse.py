"""The sign of a collapse: chosen modules without weights."""

import numpy as np
import pytest

from archsmith.build import build
from archsmith.build.darts_blocks import DartsEdge
from archsmith.pipeline.collapse import free_options, usual_free_options
from archsmith.space import Space, sample
from archsmith.spaces.darts import darts_model
from archsmith.spec import Spec


def test_options_without_weights_are_those_of_the_network_that_is_built():
    spec = Spec("image", "classification", (1, 12, 12), 3, 100)
    made, rng = Space(model=darts_model(spec, 4, 3)), np.random.default_rng(0)
    archs, shares = [sample(made, rng) for _ in range(2)], []
    for arch in archs:
        edges = [m for m in build(made, arch, seed=0).modules() if isinstance(m, DartsEdge)]
        free = sum(not any(True for _ in edge.parameters()) for edge in edges)
        shares.append(free / len(edges))
    assert free_options(made, archs[1]) == (free, len(edges)) == (free, 3 * 8)
    assert usual_free_options(made, np.random.default_rng(0), 2) == pytest.approx(np.mean(shares))
