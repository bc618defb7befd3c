"""A search begins with what experience would build."""

import pytest

from archsmith.build.cost import meta_cost
from archsmith.space import Space, check, choice
from archsmith.spaces import mobile, starts
from archsmith.spec import Spec


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 64, 64)])
def test_every_start_is_an_architecture_of_its_space_that_runs(shape):
    space = mobile(Spec("image", "classification", shape, 7, 10_000))
    found = starts(space)
    assert len(found) == len(set(found)) == 3
    for arch in found:
        check(space, arch)
        assert meta_cost(space, arch, shape).output_shape == (7,)
        assert arch["stage1"] in ("plain", "residual") and arch["width3"] == 128


def test_a_space_that_asks_other_questions_has_no_starts():
    assert starts(Space(model=choice(1, 2, name="stage1"))) == ()
