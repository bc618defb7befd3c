"""The laws of the torch readings, over generated spaces of every node kind nested to depth four."""

from typing import Any

import torch
from generated import FEATURES, by_run, generated, resolve, target_of
from hypothesis import HealthCheck, given, settings
from torch import nn

from archsmith.build import build, build_with_paths, meta_cost, source, source_key
from archsmith.space import Arch, Space, call, choice, walk

SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def run_source(text: str) -> nn.Module:
    assert "archsmith" not in text
    names: dict[str, Any] = {"__name__": "standalone"}
    exec(compile(text, "standalone.py", "exec", dont_inherit=True), names)
    network = names["build"]()
    assert isinstance(network, nn.Module)
    return network


def batch(rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, FEATURES, generator=torch.Generator().manual_seed(rows))


@SLOW
@given(generated())
def test_a_built_network_holds_no_class_of_ours(pair: tuple[Space, Arch]) -> None:
    network = build(*pair, seed=0)
    for module in network.modules():
        assert type(module).__module__.partition(".")[0] in ("torch", "generated")
        for value in vars(module).values():
            assert not type(value).__module__.startswith("archsmith")


@SLOW
@given(generated())
def test_executing_the_source_gives_the_same_outputs_with_the_same_weights(pair: tuple[Space, Arch]) -> None:
    network = build(*pair, seed=1)
    again = run_source(source(*pair))
    assert list(again.state_dict()) == list(network.state_dict())
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(batch()), network(batch()))


@SLOW
@given(generated())
def test_the_source_is_the_same_every_time(pair: tuple[Space, Arch]) -> None:
    space, arch = pair
    again = Arch.from_json(arch.to_json())
    assert source(space, again) == source(space, arch)
    assert source_key(space, again) == source_key(space, arch)


@SLOW
@given(generated())
def test_every_module_made_by_a_call_has_a_path_that_leads_to_the_call(pair: tuple[Space, Arch]) -> None:
    space, arch = pair
    network, paths = build_with_paths(space, arch, seed=2)
    modules = dict(network.named_modules())
    assert len(set(paths.values())) == len(paths)
    for name, path in paths.items():
        target = target_of(resolve(space, path))
        assert target is by_run or type(modules[name]) is target
    made_here = {name for name, m in modules.items() if type(m).__module__ == "generated"}
    if not space.defined_by_run:
        assert made_here == set(paths)


@SLOW
@given(generated())
def test_the_cost_is_that_of_the_standalone_network(pair: tuple[Space, Arch]) -> None:
    space, arch = pair
    counted = meta_cost(space, arch, (FEATURES,), batch=2)
    network = run_source(source(space, arch))
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert counted.macs == 2 * sum(m.in_features * m.out_features for m in layers)
    assert counted.params == sum(p.numel() for p in network.parameters())
    assert counted.output_shape == (FEATURES,)
    assert counted.activation_bytes >= 2 * FEATURES * 4


def test_one_network_reached_by_different_answers_has_one_key() -> None:
    layer = call(nn.Linear, 8, 8)
    space = Space(model=call(nn.Sequential, choice(a=layer, b=call(nn.Linear, 8, 8), c=call(nn.ReLU), name="first")))
    keys = {label: source_key(space, Arch({"first": label})) for label in "abc"}
    assert keys["a"] == keys["b"] != keys["c"]


def test_a_training_setting_changes_the_key_and_not_the_source() -> None:
    space = Space(model=call(nn.Linear, 8, 8), lr=choice(0.1, 0.2, name="lr"))
    slow, fast = Arch({"lr": 0.1}), Arch({"lr": 0.2})
    assert source(space, slow) == source(space, fast)
    assert source_key(space, slow) != source_key(space, fast)


def test_a_node_used_twice_makes_two_modules() -> None:
    cell = call(nn.Linear, 8, 8)
    network, paths = build_with_paths(Space(model=call(nn.Sequential, cell, cell)), Arch({}), seed=0)
    assert network[0] is not network[1]
    assert not torch.equal(network[0].weight, network[1].weight)
    assert paths == {"": "model", "0": "model/0", "1": "model/1"}


def test_a_define_by_run_model_answers_only_what_it_asks() -> None:
    space = Space.from_function(by_run)
    arch = walk(space, lambda d: d.at(0.5) if d.kind in ("integer", "real") else next(d.answers()))
    network = build(space, arch, seed=3)
    again = run_source(source(space, arch))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(batch()), network(batch()))
