"""The printed network as people read it."""

import torch
from generated import Dense, Mix, Residual
from torch import nn

from archsmith.build import build, shipped_source, source
from archsmith.build.preprocess import PixelNormalize, Unstandardize
from archsmith.errors import SpaceError
from archsmith.space import Arch, Space, call, choice

import pytest  # isort: skip


def test_the_expression_is_printed_nested_and_broken_where_it_is_long() -> None:
    layers = [call(Residual, call(nn.Linear, 8, 8, bias=i % 2 == 0)) for i in range(3)]
    text = source(Space(model=call(nn.Sequential, *layers)), Arch({}))
    assert text.endswith(
        "    return nn.Sequential(\n"
        "        Residual(nn.Linear(8, 8, bias=True)),\n"
        "        Residual(nn.Linear(8, 8, bias=False)),\n"
        "        Residual(nn.Linear(8, 8, bias=True)),\n"
        "    )\n"
    )
    assert max(map(len, text.splitlines())) <= 100


def test_every_kind_of_argument_is_printed_so_that_it_reads_back() -> None:
    given = {"a": [1, (2,), ()], "b": {"x": None, "y y": True}, "c": 'it\'s "so"', "d": 1e-07, "e": nn.ReLU, "f": max}
    text = source(Space(model=call(_Keep, 1, "one", **given, **{"not a name": -0.5})), Arch({}))
    names: dict[str, type[_Keep]] = {}
    exec(text, names)
    kept = names["build"]()
    assert kept.args == (1, "one")
    assert kept.kwargs == {**given, "not a name": -0.5}


class _Keep(nn.Module):
    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()
        self.args, self.kwargs = args, kwargs


def test_preprocessing_is_printed_around_the_network() -> None:
    space = Space(model=call(Dense, choice(4, 6, name="width")))
    arch = Arch({"width": 6})
    before, after = PixelNormalize([127.5], [60.0]), nn.Sequential(nn.Flatten(), Unstandardize(3.0, 2.0))
    text = shipped_source(space, arch, before, after)
    names: dict[str, type[nn.Module]] = {}
    exec(text, names)
    network, again = nn.Sequential(before, build(space, arch, seed=0), after), names["build"]()
    again.load_state_dict(network.state_dict())
    x = 255 * torch.rand(2, 1, 3, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(x), network(x))
    assert "PixelNormalize(mean=[127.5], std=[60.0])" in text and "archsmith" not in text


def test_preprocessing_that_does_not_say_how_it_was_made_is_refused() -> None:
    with pytest.raises(SpaceError, match="extra_repr"):
        shipped_source(Space(model=call(nn.ReLU)), Arch({}), before=Mix(nn.ReLU()))
