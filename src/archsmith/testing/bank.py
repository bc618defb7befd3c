"""The laws of shared weights, as functions of a bank, two architectures and an input.

They hold for every space that can be shared, so any space, and any slice rule, can be held to them.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from archsmith.build.bank import Bank
from archsmith.build.module import seeded
from archsmith.space import Arch

__all__ = [
    "BANK_LAWS",
    "BankLaw",
    "a_gradient_reaches_its_slices_only",
    "a_saved_bank_is_the_same_bank",
    "absorbed_is_extracted_again",
    "lent_equals_extracted",
    "making_room_changes_no_number",
]

BankLaw = Callable[[Bank, Arch, Arch, Tensor], None]


def lent_equals_extracted(bank: Bank, arch: Arch, other: Arch, x: Tensor) -> None:
    """A lent network computes what the extracted one does, to the last bit, in training and in evaluation."""
    for mode in (True, False):
        bank.train(mode)
        bank.lend(other)(x)
        for _ in range(2):
            assert torch.equal(_run(bank.lend(arch), x), _run(bank.extract(arch).train(mode), x))


def a_gradient_reaches_its_slices_only(bank: Bank, arch: Arch, other: Arch, x: Tensor) -> None:
    """Backward through a lent network leaves the standalone network's gradients in its slices, and none elsewhere."""
    bank.reserve(other)
    bank.zero_grad()
    own = bank.extract(arch).train()
    bank.train()
    for network in (bank.lend(arch), own):
        _run(network, x.clone().requires_grad_()).square().sum().backward()  # type: ignore[no-untyped-call]
    gradients = copy.deepcopy(bank)
    for target, source in zip(gradients.parameters(), bank.parameters(), strict=True):
        target.data = torch.zeros_like(source) if source.grad is None else source.grad.clone()
    found = dict(gradients.extract(arch).named_parameters())
    for name, parameter in own.named_parameters():
        assert torch.equal(found[name], torch.zeros_like(parameter) if parameter.grad is None else parameter.grad), name
    for (name, inside), source in zip(_marked(bank, arch).items(), bank.parameters(), strict=True):
        assert source.grad is None or not source.grad[~inside].any(), name
    bank.zero_grad()


def absorbed_is_extracted_again(bank: Bank, arch: Arch, other: Arch, x: Tensor) -> None:
    """What a network brings back is what the next one is given, running statistics included."""
    bank.reserve(other)
    network = bank.extract(arch)
    generator = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    assert bank.absorb(arch, network) == []
    again = bank.extract(arch).state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(again[name], value), name


def making_room_changes_no_number(bank: Bank, arch: Arch, other: Arch, x: Tensor) -> None:
    """The weights of one architecture stay what they are when another is met for the first time."""
    fresh = Bank(bank.space, bank.seed, bank.rules, survey=False)
    before = fresh.extract(arch).state_dict()
    fresh.reserve(other)
    after = fresh.extract(arch).state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def a_saved_bank_is_the_same_bank(bank: Bank, arch: Arch, other: Arch, x: Tensor) -> None:
    """A bank read from a file lends the same networks, and grows in the same way."""
    bank = Bank(bank.space, bank.seed, bank.rules, survey=False)
    bank.reserve(arch)
    with tempfile.TemporaryDirectory() as folder:
        bank.save(Path(folder))
        again = Bank.load(Path(folder), bank.space, bank.rules)
    for each in (arch, other):
        pair = zip(bank.extract(each).state_dict().values(), again.extract(each).state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pair)


def _run(network: nn.Module, x: Tensor) -> Tensor:
    with seeded(0):
        result: Tensor = network(x)
    return result


def _marked(bank: Bank, arch: Arch) -> dict[str, Tensor]:
    """Return for each of the bank's parameters which of its numbers are the architecture's."""
    marked = copy.deepcopy(bank)
    state = {name: torch.full_like(value, math.nan) for name, value in marked.extract(arch).named_parameters()}
    marked.absorb(arch, state)
    return {name: value.detach().isnan() for name, value in marked.named_parameters()}


BANK_LAWS: Sequence[BankLaw] = (
    lent_equals_extracted,
    a_gradient_reaches_its_slices_only,
    absorbed_is_extracted_again,
    making_room_changes_no_number,
    a_saved_bank_is_the_same_bank,
)
