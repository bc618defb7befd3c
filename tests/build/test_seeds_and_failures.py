"""Building: what a seed fixes, what it leaves alone, and what is said when a block cannot be made."""

import pytest
import torch
from generated import Dense
from torch import nn

from archsmith.build import build, meta_cost, seeded
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, call, choice

SPACE = Space(model=call(nn.Sequential, call(Dense, choice(4, 8, name="width")), call(nn.Linear, 8, 2)))
ARCH = Arch({"width": 8})


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_the_seed_fixes_the_first_weights() -> None:
    assert torch.equal(weights(build(SPACE, ARCH, seed=3)), weights(build(SPACE, ARCH, seed=3)))
    assert not torch.equal(weights(build(SPACE, ARCH, seed=3)), weights(build(SPACE, ARCH, seed=4)))


def test_a_seeded_build_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    build(SPACE, ARCH, seed=3)
    with seeded(5):
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_block_that_cannot_be_made_is_named_with_its_path_and_arguments() -> None:
    space = Space(model=call(nn.Sequential, call(nn.ReLU), choice(call(nn.Conv2d, 3, 8, 3, groups=2), name="conv")))
    with pytest.raises(SpaceError, match=r"Conv2d\(3, 8, 3, groups=2\) at model/1/0 failed: ValueError: in_channels"):
        build(space, Arch({}), seed=0)


def test_a_model_that_is_no_module_is_refused() -> None:
    with pytest.raises(SpaceError, match="must be a torch module"):
        build(Space(model=call(dict, a=1)), Arch({}))
    with pytest.raises(SpaceError, match="no root 'model'"):
        build(Space(lr=choice(1, 2, name="lr")), Arch({"lr": 1}))


def test_a_network_that_cannot_take_the_input_is_refused_with_its_shape() -> None:
    with pytest.raises(SpaceError, match=r"input of shape \[1, 5\]"):
        meta_cost(SPACE, ARCH, (5,))
