"""Options of a bank: learned kernel transforms, and channels in the order of their weights."""

from pathlib import Path

import pytest
import torch
from torch import nn

from archsmith.build import Bank, sort_channels
from archsmith.space import Arch, Space, call, choice, enumerate_archs, switch
from archsmith.testing.bank import BANK_LAWS, BankLaw, a_gradient_reaches_its_slices_only

kernel, width = choice(1, 3, 5, 7, name="kernel"), choice(4, 8, name="width")
CONV = Space(model=call(nn.Conv2d, 3, width, kernel, padding=switch(kernel, {1: 0, 3: 1, 5: 2, 7: 3})))
X = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))


def small_and_large() -> tuple[Arch, Arch]:
    return Arch({"width": 4, "kernel": 3}), Arch({"width": 8, "kernel": 7})


def disturbed(bank: Bank) -> Bank:
    noise = torch.Generator().manual_seed(1)
    for name, parameter in bank.shared.items():
        if name.endswith((" 5", " 3", " 1")):
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=noise)
    return bank


def test_transforms_begin_as_the_exact_centre_and_are_learned() -> None:
    bank, plain = Bank(CONV, kernel_transforms=True), Bank(CONV)
    for arch in enumerate_archs(CONV):
        assert torch.equal(bank.lend(arch)(X), plain.lend(arch)(X))
    names = {name.rpartition(" ")[2]: p.shape for name, p in bank.shared.items() if "Conv2d " in name}
    assert names == {"5": (625,), "3": (81,), "1": (1,)}
    bank.lend(small_and_large()[0])(X).square().sum().backward()
    moved = [name for name, p in bank.shared.items() if p.grad is not None and p.grad.any()]
    assert sum(name.endswith((" 5", " 3")) for name in moved) == 2 and not any(name.endswith(" 1") for name in moved)


@pytest.mark.parametrize(
    "law", [law for law in BANK_LAWS if law is not a_gradient_reaches_its_slices_only], ids=lambda law: law.__name__
)
def test_a_bank_with_transforms_keeps_the_laws(law: BankLaw) -> None:
    small, large = small_and_large()
    for pair in ((small, large), (large, small)):
        law(Bank(CONV, kernel_transforms=True), *pair, X)


def test_what_learned_transforms_make_can_be_written_and_read_again(tmp_path: Path) -> None:
    small, large = small_and_large()
    bank = disturbed(Bank(CONV, kernel_transforms=True))
    assert torch.equal(bank.lend(small)(X), bank.extract(small)(X))
    network, before = bank.extract(small), bank.extract(large).weight
    network.weight.data.uniform_(-1, 1, generator=torch.Generator().manual_seed(2))
    assert bank.absorb(small, network) == []
    torch.testing.assert_close(bank.extract(small).weight, network.weight, rtol=1e-4, atol=1e-4)
    ring = torch.ones(7, 7, dtype=torch.bool)
    ring[1:6, 1:6] = False
    assert torch.equal(bank.extract(large).weight[..., ring], before[..., ring])
    bank.save(tmp_path)
    assert torch.equal(Bank.load(tmp_path, CONV).extract(small).weight, bank.extract(small).weight)


def network() -> Space:
    inner, stream = choice(6, 12, name="inner"), choice(4, 8, name="stream")
    block = [call(nn.Conv2d, stream, inner, 1), call(nn.BatchNorm2d, inner), call(nn.ReLU)]
    block += [call(nn.Conv2d, inner, inner, 3, padding=1, groups=inner), call(nn.Conv2d, inner, stream, 1)]
    other = call(nn.Conv2d, stream, stream, choice(1, 3, name="size"), padding="same")
    parts = [call(nn.Conv2d, 3, stream, 3), choice(block=call(nn.Sequential, *block), plain=other, name="kind")]
    parts += [call(nn.AdaptiveAvgPool2d, 2), call(nn.Flatten), call(nn.Linear, stream * 4, 5)]
    return Space(model=call(nn.Sequential, *parts))


def inner_weights(bank: Bank, inner: int) -> torch.Tensor:
    """The L1 norm of each inner channel's weights in the three layers that have it."""
    block = bank.extract(Arch({"stream": 8, "kind": "block", "inner": inner}))[1]
    norms = sum(block[i].weight.abs().flatten(1).sum(1) for i in (0, 3))
    return (norms + block[4].weight.abs().sum((0, 2, 3))).detach()


def test_sorting_channels_keeps_the_widest_networks_and_gives_the_others_the_largest_weights() -> None:
    bank = Bank(network())
    for parameter in bank.parameters():
        parameter.data *= 1 + torch.rand(parameter.shape, generator=torch.Generator().manual_seed(3))
    wide = [Arch({"stream": 8, "kind": "block", "inner": 12}), Arch({"stream": 8, "kind": "plain", "size": 3})]
    before = [bank.eval().lend(arch)(X) for arch in wide]
    weights = inner_weights(bank, 6).sum()
    assert sort_channels(bank, X) == {"stream": "", "inner": "", "size": "it sizes kernels, not channels"}
    for arch, out in zip(wide, before, strict=True):
        torch.testing.assert_close(bank.lend(arch)(X), out, rtol=1e-4, atol=1e-5)
    assert inner_weights(bank, 6).sum() > weights
    assert torch.equal(inner_weights(bank, 12).argsort(descending=True, stable=True), torch.arange(12))


def test_an_order_that_would_change_a_network_is_taken_back() -> None:
    space = Space(
        model=call(nn.Sequential, call(nn.Conv2d, 3, width, 3), call(nn.GroupNorm, 2, width), call(nn.Flatten))
    )
    bank = Bank(space)
    before = {name: value.clone() for name, value in bank.state_dict().items()}
    assert sort_channels(bank, X) == {"width": "the networks would compute something else"}
    assert all(torch.equal(before[name], value) for name, value in bank.state_dict().items())


class Scaled(nn.Module):
    """Channels that only vectors know of."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.mean((2, 3)).sum(1, keepdim=True) * self.scale).sum(1)


def test_channels_that_only_vectors_know_are_sorted_by_these() -> None:
    bank = Bank(Space(model=call(Scaled, width)))
    assert sort_channels(bank, X) == {"width": ""}
    scale = bank.extract(Arch({"width": 8})).scale.detach()
    assert torch.equal(scale, scale.sort(descending=True).values)


def test_an_order_is_taken_back_however_small_the_results_are() -> None:
    parts = [call(nn.Conv2d, 3, width, 3), call(nn.Conv2d, width, width, 1, groups=2), call(nn.Flatten)]
    bank = Bank(Space(model=call(nn.Sequential, *parts)))
    for parameter in bank.parameters():
        parameter.data *= 1e-5
    assert sort_channels(bank, X)["width"] != ""
