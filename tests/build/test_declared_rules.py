"""A class says itself how its parameters are cut, and is heard wherever weights are shared."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from archsmith.build import Bank, Layout, build, carry_over, carry_over_network, inherit
from archsmith.errors import SpaceError, StoreError
from archsmith.space import Arch, Space, call, choice
from archsmith.testing.bank import BANK_LAWS, BankLaw

EACH, FEATURES = 4, 8


class Fused(nn.Module):
    """Attention whose queries, keys and values are made by one layer."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(FEATURES, 3 * heads * EACH), nn.Linear(heads * EACH, FEATURES)

    def __slices__(self, name: str, shape: tuple[int, ...]) -> Layout | None:
        return Layout((3, self.heads, EACH, *shape[1:])) if name.startswith("qkv") else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, self.heads, EACH).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Heir(Fused):
    """A class that takes its rule over."""


SPACE = Space(model=call(nn.Sequential, call(Fused, choice(2, 4, name="heads"))))
SMALL, LARGE = Arch({"heads": 2}), Arch({"heads": 4})
X = torch.randn(2, 5, FEATURES, generator=torch.Generator().manual_seed(0))


def split(network: nn.Module) -> torch.Tensor:
    """The rows of the fused layer: queries, keys and values, by heads."""
    weight: torch.Tensor = network.get_parameter("0.qkv.weight")
    return weight.detach().view(3, -1, EACH, FEATURES)


@pytest.mark.parametrize("law", BANK_LAWS, ids=lambda law: law.__name__)
def test_the_laws_hold_for_a_declared_rule(law: BankLaw) -> None:
    for pair in ((SMALL, LARGE), (LARGE, SMALL)):
        law(Bank(SPACE), *pair, X)


@pytest.mark.parametrize("kind", [Fused, Heir])
def test_queries_keys_and_values_of_fewer_heads_are_those_of_the_first_heads(kind: type) -> None:
    bank = Bank(Space(model=call(nn.Sequential, call(kind, choice(2, 4, name="heads")))))
    assert torch.equal(split(bank.extract(SMALL)), split(bank.extract(LARGE))[:, :2])


def test_a_bank_that_is_loaded_or_carried_over_needs_no_rules(tmp_path: Path) -> None:
    bank = Bank(SPACE)
    bank.save(tmp_path)
    expected = split(bank.extract(LARGE))[:, :2]
    assert torch.equal(split(Bank.load(tmp_path, SPACE).extract(SMALL)), expected)
    carried, left = carry_over(tmp_path, SPACE, seed=5)
    assert left == [] and torch.equal(split(carried.extract(SMALL)), expected)


def test_a_child_inherits_by_the_declared_rule() -> None:
    parent = build(SPACE, LARGE, seed=3)
    assert torch.equal(split(inherit(SPACE, LARGE, parent, SMALL)), split(parent)[:, :2])


def test_a_rule_that_is_passed_goes_before_the_declared_one() -> None:
    def front(module: nn.Module, name: str, shape: tuple[int, ...]) -> Layout:
        return Layout(shape)

    bank = Bank(SPACE, rules={Fused: front})
    rows = [bank.extract(arch).get_parameter("0.qkv.weight") for arch in (SMALL, LARGE)]
    assert torch.equal(rows[0], rows[1][: len(rows[0])])


class Theirs(nn.Linear):
    """A fused layer of a class that cannot be changed."""


def in_three(module: nn.Module, name: str, shape: tuple[int, ...]) -> Layout:
    return Layout((3, shape[0] // 3, *shape[1:]))


SIZE = choice(4, 8, name="size")
RULED = Space(model=call(nn.Sequential, call(Theirs, 8, SIZE * 3), call(nn.ReLU), call(nn.Linear, SIZE * 3, 2)))
NARROW, WIDE = Arch({"size": 4}), Arch({"size": 8})


def thirds(network: nn.Module) -> torch.Tensor:
    weight: torch.Tensor = network.get_parameter("0.weight")
    return weight.detach().view(3, -1, 8)


def test_a_rule_that_is_passed_holds_wherever_weights_are_taken_over(tmp_path: Path) -> None:
    bank, rules = Bank(RULED, rules={Theirs: in_three}), {Theirs: in_three}
    bank.save(tmp_path)
    expected, network = thirds(bank.extract(WIDE))[:, :4], bank.extract(WIDE)
    assert torch.equal(thirds(Bank.load(tmp_path, RULED, rules).extract(NARROW)), expected)
    carried, left = carry_over(tmp_path, RULED, seed=5, rules=rules)
    begun, lost = carry_over_network(network, WIDE, RULED, RULED, rules=rules)
    assert left == lost == []
    for heir in (carried.extract(NARROW), begun.extract(NARROW), inherit(RULED, WIDE, network, NARROW, rules=rules)):
        assert torch.equal(thirds(heir), expected)


def test_a_bank_that_was_made_with_rules_is_not_read_without_them(tmp_path: Path) -> None:
    Bank(RULED, rules={Theirs: in_three}).save(tmp_path)
    for read in (Bank.load, carry_over):
        with pytest.raises(StoreError, match=r"was made with slice rules for Theirs.*pass .*rules=\{Theirs: "):
            read(tmp_path, RULED)
    header = json.loads((tmp_path / "bank.json").read_text())
    del header["rules"]  # as one of an earlier version
    (tmp_path / "bank.json").write_text(json.dumps(header))
    Bank.load(tmp_path, RULED, {Theirs: in_three}).survey()
    with pytest.raises(SpaceError, match=r"0.weight \(made at model/0\) is \[24, 8\] in.*other slice rules"):
        Bank.load(tmp_path, RULED).survey()


class Wrong(nn.Module):
    """A layer whose rule forgets an axis."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.fused = nn.Linear(8, 3 * size, bias=False)

    def __slices__(self, name: str, shape: tuple[int, ...]) -> Layout:
        return Layout((3, shape[0] // 3))


def test_a_box_of_another_size_is_refused_in_words() -> None:
    space = Space(model=call(Wrong, choice(2, 4, name="size")))
    with pytest.raises(
        SpaceError, match=r"rule of Wrong reads its fused.weight of shape \[6, 8\] as a box of \[3, 2\]"
    ):
        Bank(space, survey=False).lend(Arch({"size": 2}))
