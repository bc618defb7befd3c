"""A person's own network made elastic: it stays what it was, and every smaller one of it runs on its own."""

import json
from functools import cache

import networks
import numpy as np
import pytest
import torch
from torch import nn

import archsmith
from archsmith.build import build, meta_cost
from archsmith.elasticity import Elastic
from archsmith.errors import SpaceError, UsageError
from archsmith.estimate import Settings
from archsmith.space import from_json, largest, sample, smallest, to_json
from archsmith.testing.bank import BANK_LAWS, BankLaw

IMAGE = (1, 8, 8)
EXAMPLES = {
    "Plain": IMAGE,
    "ResNet": IMAGE,
    "MobileNet": IMAGE,
    "DenseNet": IMAGE,
    "Table": (12,),
    "Transformer": IMAGE,
    "Encoder": (6, 16),
    "Stacked": (4, 6),
    "Masked": (6, 16),
    "Functional": (8,),
    "Recurrent": (4, 6),
    "Reused": torch.arange(14).view(2, 7) % 11,
    "Gated": IMAGE,
    "Pooled": IMAGE,
}


def trained(name: str) -> nn.Module:
    """The network with weights that are not as they begin: norms that scale and remember."""
    network: nn.Module = getattr(networks, name)()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point() and key != "weights":
                value.copy_(torch.rand(value.shape, generator=generator) * 0.5 - (0 if "var" in key else 0.2))
    return network.eval()


@cache
def made(name: str) -> tuple[nn.Module, Elastic]:
    network = trained(name)
    return network, archsmith.elastic(network, EXAMPLES[name])


def inputs(name: str) -> torch.Tensor:
    example = EXAMPLES[name]
    if isinstance(example, torch.Tensor):
        return example
    return torch.randn(3, *example, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_largest_network_computes_what_the_given_one_does(name: str) -> None:
    network, found = made(name)
    x = inputs(name)
    with torch.no_grad():
        torch.testing.assert_close(found.bank.eval().lend(found.arch)(x), network(x), rtol=1e-5, atol=1e-6)
    assert found.arch == largest(found.space)
    alone = found.bank.extract(found.arch)
    assert [*alone.state_dict()] and {*alone.state_dict()} == {*network.state_dict()}
    assert type(alone) is type(network)


@pytest.mark.parametrize("name", EXAMPLES)
def test_any_smaller_network_runs_and_its_text_computes_the_same(name: str) -> None:
    _, found = made(name)
    rng, x = np.random.default_rng(0), inputs(name)
    read_again = from_json(json.loads(json.dumps(to_json(found.space))), allow=("torch", "networks", "archsmith"))
    for arch in [smallest(found.space), sample(found.space, rng)]:
        network = found.bank.eval().extract(arch).eval()
        text = archsmith.source(found.space, arch)
        assert archsmith.source(read_again, arch) == text
        names: dict[str, object] = {}
        exec(text, names)
        printed = names["build"]().eval()  # type: ignore[operator]
        printed.load_state_dict(network.state_dict())
        with torch.no_grad():
            assert torch.equal(printed(x), network(x))
            assert torch.equal(found.bank.lend(arch)(x), network(x))


@pytest.mark.parametrize("name", ["ResNet", "MobileNet", "DenseNet"])
@pytest.mark.parametrize("law", BANK_LAWS, ids=lambda law: law.__name__)
def test_the_laws_of_banks_hold(name: str, law: BankLaw) -> None:
    _, found = made(name)
    law(found.bank, smallest(found.space), sample(found.space, np.random.default_rng(1)), inputs(name))


def test_every_kind_of_decision_is_found() -> None:
    decisions = {
        name: {k: d.options for k, d in found.space.decisions.items()} for name in EXAMPLES for found in [made(name)[1]]
    }
    assert decisions["Plain"] == {
        "conv1.width": (4, 8, 12, 16),
        "conv1.kernel": (3, 5),
        "conv2.width": (8, 16, 24, 32),
        "fc1.width": (6, 12, 18, 24),
    }
    # One width for a stage of residual blocks, one for the inside of each block, and blocks that can go.
    assert [k for k in decisions["ResNet"] if "0.width" in k or "depth" in k] == [
        "stem.0.width",
        "layers.0.0-2.depth",
        "layers.1.0.downsample.0.width",
        "layers.1.1-2.depth",
    ]
    assert decisions["MobileNet"]["features.2.layers.3.kernel"] == (3, 5)
    assert decisions["MobileNet"]["features.0.width"] == (1, 2, 3, 4)  # groups of two channels
    assert "blocks.0.mlp.0.width" in decisions["Transformer"] and "blocks.0-1.depth" in decisions["Transformer"]
    assert "encoder.0.width" in decisions["Encoder"]
    assert decisions["Stacked"] == {f"encoder.layers.{i}.width": (8, 16, 24, 32) for i in range(2)}
    assert decisions["Masked"].keys() == decisions["Functional"].keys() == {"hidden.width"}
    assert decisions["Pooled"].keys() == {"conv.width"}
    assert {"again.0.width", "first.0.width"} & {*decisions["Reused"]}
    assert {"block1.width", "block1-block2.depth"} & {*decisions["Table"]}


def test_what_cannot_vary_is_listed_with_the_reason() -> None:
    reasons = {name: {f.path: f.reason for f in found.fixed} for name in EXAMPLES for found in [made(name)[1]]}
    assert reasons["Plain"]["fc2"] == "it is the network's output"
    assert "only the last part can vary" in reasons["DenseNet"]["stem"]
    assert "size is that of its heads" in reasons["Encoder"]["encoder.0.self_attn"]
    assert "size is that of its heads" in reasons["Stacked"]["encoder.layers.1.self_attn"]
    assert "no rule for how a TransformerEncoder treats" in reasons["Masked"]["encoder"]
    assert "no rule for how a LSTM" in reasons["Recurrent"]["lstm"]
    assert "goes into lstm" in reasons["Recurrent"]["before"]
    assert "written as the number" in reasons["Gated"]["down"] and "networks.py:" in reasons["Gated"]["down"]
    assert "written as the number" in reasons["Transformer"]["blocks.0.attention.qkv"]


def test_a_parameter_used_by_a_function_is_listed_with_the_reason() -> None:
    listed = {str(fixed) for fixed in made("Functional")[1].fixed}
    for axis in ("axis 0 of w", "axis 0 of b"):
        start = f"the network: {axis} is fixed, because it goes through linear (networks.py:"
        assert any(text.startswith(start) for text in listed), listed
    # What is shared with a layer's outputs is said once, with that layer.
    assert not [fixed for fixed in made("Gated")[1].fixed if "scale" in fixed.what]
    assert not archsmith.elastic(networks.Functional(), (8,), width=()).fixed


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_width_varies_or_is_listed_with_the_reason(name: str) -> None:
    _, found = made(name)
    least = {k: v if k.endswith(".depth") else min(found.space.decisions[k].options) for k, v in found.arch.items()}
    with torch.device("meta"):
        full, small = (dict(build(found.space, archsmith.Arch(a)).named_modules()) for a in (found.arch, least))
    listed = {fixed.path for fixed in found.fixed if fixed.reason}
    for path, layer in full.items():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            varies = small[path].weight.shape[0] < layer.weight.shape[0]  # type: ignore[union-attr,operator]
            assert varies != any(f"{path}.".startswith(f"{one}.") for one in listed), path


def test_without_order_the_network_is_the_same_to_the_last_bit() -> None:
    network, x = trained("ResNet"), inputs("ResNet")
    found = archsmith.elastic(network, IMAGE, order=False)
    with torch.no_grad():
        assert torch.equal(found.bank.eval().lend(found.arch)(x), network(x))


def test_what_is_not_wished_does_not_vary() -> None:
    found = archsmith.elastic(trained("Plain"), IMAGE, width=(), kernel=())
    assert not found.space.decisions and found.fixed == ()
    assert len(build(found.space, found.arch).state_dict()) == 8


def test_a_network_that_looks_at_numbers_is_refused_with_the_place() -> None:
    with pytest.raises(SpaceError, match=r"branches on the numbers in a tensor .*networks\.py:\d+.*leaves="):
        archsmith.elastic(networks.Branching(), (4,))
    with pytest.raises(UsageError, match="width holds 2"):
        archsmith.elastic(networks.Plain(), IMAGE, width=(2,))


def test_channels_that_matter_come_first() -> None:
    network = trained("Plain")
    with torch.no_grad():
        network.conv2.weight[:, :12] = 0.0  # only the last four channels of the first layer are ever read
    found = archsmith.elastic(network, IMAGE, width=(0.25, 1.0), kernel=())
    arch = archsmith.Arch({**found.arch, "conv1.width": 4})
    x = inputs("Plain")
    with torch.no_grad():
        torch.testing.assert_close(found.bank.eval().lend(arch)(x), network(x), rtol=1e-5, atol=1e-6)


def test_a_smaller_network_fits_its_limit_and_keeps_what_was_learned() -> None:
    torch.manual_seed(0)
    task = archsmith.load_task("digits")
    network = networks.Plain()
    network.fc2 = nn.Linear(24, 10)
    found = archsmith.elastic(network, IMAGE)
    limit = meta_cost(found.space, found.arch, IMAGE).params // 2
    recipe = Settings(lr=0.1, batch_size=64, augment="none")
    small = archsmith.shrink(found, task, {"params": limit}, epochs=2, trials=4, settings=recipe)
    assert sum(p.numel() for p in small.network.parameters()) == small.after["params"] <= limit
    assert small.after["accuracy"] > 0.7 > small.before["accuracy"]
    assert "accuracy" in str(small)
    with pytest.raises(archsmith.errors.LimitError, match="Even the smallest"):
        archsmith.shrink(found, task, {"params": 10}, epochs=1)


def test_what_only_a_smaller_network_shows_is_fixed_with_the_reason() -> None:
    found = archsmith.elastic(networks.Stubborn(), (8,))
    shown = {f.path: f.reason for f in found.fixed if "does not run" in f.reason}
    assert shown.keys() == {"a", "blocks.0"} and "16 at a time" in shown["a"]
    assert [*found.space.decisions] == ["b.width", "blocks.0.up.width", "blocks.1.up.width"]


def _pair(a: torch.Tensor, b: torch.Tensor) -> object:
    return a, [b, None]


def _named(a: torch.Tensor, b: torch.Tensor) -> object:
    return {"a": a, "b": b}


@pytest.mark.parametrize("hold", [_pair, _named])
def test_a_network_may_return_several_tensors(hold: object) -> None:
    network = networks.Heads(hold).eval()
    found = archsmith.elastic(network, (8,))
    assert [*found.space.decisions] == ["body.width"]
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        small, full = (found.bank.extract(arch).eval() for arch in (smallest(found.space), found.arch))
        torch.testing.assert_close(full(x), network(x), rtol=1e-5, atol=1e-6)
        assert type(small(x)) is type(network(x))
    # A task has one loss of one output.
    images = archsmith.elastic(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), networks.Heads(hold)), IMAGE)
    with pytest.raises(SpaceError, match=r"must return one tensor; it returns a (tuple|dict)"):
        archsmith.shrink(images, archsmith.load_task("digits"), {"params": 500}, epochs=1)


def _number(a: torch.Tensor, b: torch.Tensor) -> object:
    return a, 3


def _nothing(a: torch.Tensor, b: torch.Tensor) -> object:
    return None


@pytest.mark.parametrize(
    ("hold", "told"),
    [(_number, "returns a int, 3; it must return a tensor, or tuples"), (_nothing, "The network returns no tensor")],
)
def test_a_network_that_returns_what_are_no_tensors_is_refused(hold: object, told: str) -> None:
    with pytest.raises(SpaceError, match=told):
        archsmith.elastic(networks.Heads(hold), (8,))


@pytest.mark.parametrize(
    ("argument", "value", "told"),
    [
        ("width", "half", "width is 'half'; it must hold shares, such as .0.25, 0.5, 1.0., each a share"),
        ("width", None, "width is None; it must hold shares"),
        ("width", ("a",), "width holds 'a'; each must be a share of the full width, above 0 and at most 1"),
        ("width", (True,), "width holds True"),
        ("width", 0, "width holds 0; each must be"),
        ("kernel", (-3,), "kernel holds -3; each must be a size of a kernel, a whole number above 0"),
        ("kernel", ("a",), "kernel holds 'a'; each must be"),
        ("kernel", (3.5,), "kernel holds 3.5; each must be"),
        ("kernel", "3", "kernel is '3'; it must hold sizes of kernels, such as .3, 5."),
        ("depth", "x", "depth is 'x'; it must be True or False"),
        ("order", 2, "order is 2; it must be True or False"),
        ("example", "image", "example is 'image'; it must be an input of the network with its batch, a tensor, or the"),
        ("example", (1, 0, 8), r"example is \(1, 0, 8\); it must be"),
        ("example", (1, 8.0, 8), r"example is \(1, 8.0, 8\); it must be"),
        ("model", networks.Plain, "model is <class 'networks.Plain'>; it must be an nn.Module"),
    ],
)
def test_an_argument_that_cannot_be_is_refused_with_its_name_and_value(argument: str, value: object, told: str) -> None:
    given = {"model": networks.Plain(), "example": IMAGE, argument: value}
    with pytest.raises(UsageError, match=told):
        archsmith.elastic(**given)  # type: ignore[arg-type]


def test_every_parameter_of_what_is_made_trains() -> None:
    frozen = networks.Plain().requires_grad_(False)
    found = archsmith.elastic(frozen, IMAGE)
    assert all(p.requires_grad for p in found.bank.extract(found.arch).parameters())
    assert not any(p.requires_grad for p in frozen.parameters())


def test_a_plain_number_is_a_sequence_of_one() -> None:
    found = archsmith.elastic(networks.Plain(), IMAGE, width=0.5, kernel=3)
    assert found.space.decisions["conv1.width"].options == (8, 16)
    assert found.space.decisions["conv1.kernel"].options == (3, 5)
    rows = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    assert [*archsmith.elastic(rows, 8, width=np.array([0.5])).space.decisions] == ["0.width"]
