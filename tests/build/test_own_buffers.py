"""Buffers of one's own: what was learned in them is kept, and what they are built with stays each network's own."""

from pathlib import Path

import pytest
import torch
from torch import nn

from archsmith.build import Bank, build, carry_over, carry_over_network, inherit
from archsmith.space import Arch, Space, call, choice
from archsmith.testing.bank import BANK_LAWS, BankLaw


class Centred(nn.Module):
    """A layer that takes off a running mean of its own, and adds a table that depends on its size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(8, size)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("waves", torch.linspace(0, 1, size))
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
            self.seen += 1
        return x - self.mean + self.waves


class Spectral(nn.Module):
    """A convolution in groups whose weight is divided by its largest singular value."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.spectral_norm(nn.Conv1d(2, width, 3, groups=2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(x.view(len(x), 2, 4)).flatten(1)
        return out


width = choice(4, 8, 16, name="width")
SPACE = Space(model=call(nn.Sequential, call(Centred, width)))
SMALL, MIDDLE, LARGE = (Arch({"width": size}) for size in (4, 8, 16))
X = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))


def trained(arch: Arch) -> nn.Module:
    network = build(SPACE, arch, seed=1).train()
    network(X)
    return network.eval()


@pytest.mark.parametrize("law", BANK_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("block", [Centred, Spectral])
def test_the_laws_hold_for_buffers_of_ones_own(block: type, law: BankLaw) -> None:
    for pair in ((SMALL, LARGE), (LARGE, SMALL), (MIDDLE, LARGE)):
        law(Bank(Space(model=call(block, width)), survey=False), *pair, X)


def test_a_changed_buffer_is_cut_like_a_parameter_and_a_table_is_not() -> None:
    parent = trained(LARGE)
    child = inherit(SPACE, LARGE, parent, SMALL)
    assert torch.equal(child[0].mean, parent[0].mean[:4]) and child[0].mean.all()
    assert torch.equal(child[0].waves, torch.linspace(0, 1, 4)) and child[0].seen == 1
    larger = inherit(SPACE, SMALL, trained(SMALL), LARGE)
    assert torch.equal(larger[0].mean[:4], trained(SMALL)[0].mean) and larger[0].mean.shape == (16,)
    assert torch.equal(larger[0].waves, torch.linspace(0, 1, 16))


def test_what_is_lent_has_the_kept_buffers_as_copies() -> None:
    bank, parent = Bank(SPACE), trained(LARGE)
    assert bank.absorb(LARGE, parent) == []
    bank.eval()
    assert torch.equal(bank.lend(LARGE)(X), parent(X))
    lent = bank.lend(LARGE).train()
    lent(X)
    assert not torch.equal(lent.network[0].mean, parent[0].mean)
    assert torch.equal(bank.lend(LARGE).network[0].mean, parent[0].mean)


def test_a_buffer_that_returns_to_its_beginning_is_written_too() -> None:
    bank = Bank(SPACE)
    bank.absorb(SMALL, trained(SMALL))
    bank.absorb(SMALL, build(SPACE, SMALL, seed=2))
    assert not bank.extract(SMALL)[0].mean.any()


def test_kept_buffers_are_saved_loaded_and_carried_over(tmp_path: Path) -> None:
    bank, parent = Bank(SPACE), trained(LARGE)
    bank.absorb(LARGE, parent)
    bank.save(tmp_path)
    carried, left = carry_over(tmp_path, SPACE, seed=3)
    network, lost = carry_over_network(parent, LARGE, SPACE, SPACE)
    assert left == lost == []
    for each in (Bank.load(tmp_path, SPACE), carried, network):
        assert torch.equal(each.extract(SMALL)[0].mean, parent[0].mean[:4])
    smaller = Space(model=call(nn.Sequential, call(nn.Linear, 8, width)))
    assert any(
        line.startswith("model/0:mean: this space has nothing there") for line in carry_over(tmp_path, smaller)[1]
    )


def test_what_could_not_be_inherited_is_told() -> None:
    notes: list[str] = []
    old = {**trained(SMALL).state_dict(), "0.mean": torch.zeros(5), "1.weight": torch.zeros(2)}
    inherit(SPACE, SMALL, old, LARGE, note=notes.append)
    assert len(notes) == 1 and notes[0].startswith("2 of the inherited tensors") and "0.mean, 1.weight" in notes[0]
    inherit(SPACE, SMALL, trained(SMALL), LARGE, note=notes.append)
    assert len(notes) == 1
