"""The laws of shared weights, over generated spaces and over every kind of layer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from generated import FEATURES, Dense, Mix, by_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from archsmith.build import Bank, Layout, carry_over, recalibrate
from archsmith.errors import SpaceError, StoreError
from archsmith.space import Arch, Space, call, choice, enumerate_archs, largest, switch
from archsmith.testing.bank import BANK_LAWS, BankLaw
from archsmith.testing.spaces import archs, spaces

SLOW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def pairs(draw: Any) -> tuple[Space, Arch, Arch]:
    space = draw(spaces(leaf=Dense, block=Mix, programs=(by_run,)))
    return space, draw(archs(space)), draw(archs(space))


@pytest.mark.parametrize("law", BANK_LAWS, ids=lambda law: law.__name__)
@SLOW
@given(pairs())
def test_the_laws_hold_for_generated_spaces(law: BankLaw, drawn: tuple[Space, Arch, Arch]) -> None:
    space, arch, other = drawn
    law(Bank(space, survey=False), arch, other, torch.randn(3, FEATURES, generator=torch.Generator().manual_seed(0)))


class Attention(nn.Module):
    """Self-attention with as many heads as asked, each of four features."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.widen, self.attend = nn.Linear(8, 4 * heads), nn.MultiheadAttention(4 * heads, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.widen(x)
        out: torch.Tensor = self.attend(x, x, x, need_weights=False)[0]
        return out


class Last(nn.Module):
    """A recurrent network's last output."""

    def __init__(self, kind: type[nn.RNNBase], hidden: int, **kwargs: Any) -> None:
        super().__init__()
        self.cells = kind(8, hidden, batch_first=True, **kwargs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.cells(x)[0][:, -1]
        return out


class Codes(nn.Module):
    """An embedding of the signs of the input."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(2, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.embed((x > 0).long())
        return out


class Tables(nn.Module):
    """A parameter of its own, a tied one, a table that is not learned, and numbers that no registry knows."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(size))
        self.first, self.second = nn.Linear(8, size, bias=False), nn.Linear(8, size, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("waves", torch.arange(size).sin(), persistent=False)
        self.plain = torch.arange(size).cos()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * self.first(x) * self.second(x) + self.waves + self.plain


class Peeks(nn.Module):
    """A block that looks at numbers while it is made."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(8, size)
        self.gain = float(self.linear.weight.abs().max()) ** 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(x) * self.gain
        return out


class Fused(nn.Module):
    """Three projections in one layer."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 3 * size)


class Rewired(nn.Module):
    """A block that changes the modules it is given: it ties two, takes one out of the third, and keeps a list."""

    def __init__(self, first: nn.Linear, second: nn.Linear, third: nn.Sequential, tied: bool) -> None:
        super().__init__()
        self.first, self.second, self.third = first, second, third
        if tied:
            second.weight = first.weight
            third[1] = nn.Identity()
        third.extra = nn.Linear(8, 8)
        self.order = [first, second]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.order:
            x = layer(x)
        out: torch.Tensor = self.third.extra(self.third(x))
        return out


width, kernel, groups = choice(4, 8, 16, name="width"), choice(1, 3, 5, name="kernel"), choice(2, 4, name="groups")
padding = switch(kernel, {1: 0, 3: 1, 5: 2})
IMAGE, SEQUENCE, VECTOR = (2, 8, 6, 6), (2, 5, 8), (4, 8)
LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "conv": (call(nn.Conv2d, 8, width, kernel, padding=padding), IMAGE),
    "conv1d": (call(nn.Conv1d, 5, width, kernel), (2, 5, 8)),
    "grouped, wider": (
        call(nn.Sequential, call(nn.Conv2d, 8, width, 1), call(nn.Conv2d, width, width, 3, groups=4)),
        IMAGE,
    ),
    "grouped, more": (call(nn.Conv2d, 8, 16, kernel, groups=groups), IMAGE),
    "depthwise": (
        call(nn.Sequential, call(nn.Conv2d, 8, width, 1), call(nn.Conv2d, width, width, kernel, groups=width)),
        IMAGE,
    ),
    "grouped or not": (call(nn.Conv2d, 8, 16, 3, groups=choice(1, 2, name="groups")), IMAGE),
    "transposed": (call(nn.ConvTranspose2d, 8, width, kernel, groups=2), IMAGE),
    "linear": (call(nn.Sequential, call(nn.Linear, 8, width), call(nn.Linear, width, width)), VECTOR),
    "batch norm": (call(nn.Sequential, call(nn.Conv2d, 8, width, 3), call(nn.BatchNorm2d, width)), IMAGE),
    "other norms": (
        call(nn.Sequential, call(nn.Conv2d, 8, width, 3), call(nn.GroupNorm, 2, width), call(nn.InstanceNorm2d, width)),
        IMAGE,
    ),
    "layer norm": (call(nn.Sequential, call(nn.Linear, 8, width), call(nn.LayerNorm, width)), VECTOR),
    "dropout": (call(nn.Sequential, call(nn.Linear, 8, width), call(nn.Dropout, 0.5)), VECTOR),
    "embedding": (call(Codes, width), VECTOR),
    "attention": (call(Attention, groups), SEQUENCE),
    "lstm": (call(Last, nn.LSTM, width, num_layers=2, bidirectional=True), SEQUENCE),
    "projected lstm": (call(Last, nn.LSTM, width, proj_size=3), SEQUENCE),
    "gru": (call(Last, nn.GRU, width), SEQUENCE),
    "one's own": (call(Tables, width), VECTOR),
    "looks at numbers": (call(Peeks, width), VECTOR),
    "rewired": (
        call(
            Rewired,
            call(nn.Linear, 8, 8),
            call(nn.Linear, 8, 8),
            call(nn.Sequential, call(nn.Linear, 8, 8), call(nn.BatchNorm1d, 8)),
            choice(False, True, name="tied"),
        ),
        VECTOR,
    ),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("law", BANK_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("layer", LAYERS)
def test_the_laws_hold_for_every_kind_of_layer(layer: str, law: BankLaw) -> None:
    expression, shape = LAYERS[layer]
    space = Space(model=expression)
    bank, every = Bank(space), list(enumerate_archs(space))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for arch, other in [(every[0], every[-1]), (every[-1], every[0]), (every[len(every) // 2], every[-1])]:
        law(bank, arch, other, x)


def size(bank: Bank) -> int:
    return sum(p.numel() for p in bank.parameters())


def alone(space: Space, arch: Arch) -> int:
    bank = Bank(space, survey=False)
    bank.reserve(arch)
    return size(bank)


@pytest.mark.parametrize("layer", [name for name in LAYERS if name not in ("grouped or not", "rewired")])
def test_a_bank_is_as_large_as_the_union_of_its_networks(layer: str) -> None:
    space = Space(model=LAYERS[layer][0])
    every = list(enumerate_archs(space))
    if layer == "grouped, more":  # more groups are smaller ones: neither network holds the other
        assert size(Bank(space)) < sum(alone(space, arch) for arch in every)
    else:
        assert size(Bank(space)) == alone(space, largest(space)) == max(alone(space, arch) for arch in every)


def test_options_of_a_choice_of_modules_share_nothing_and_add_up() -> None:
    options = [call(nn.Linear, 8, 8), call(nn.Linear, 8, 8, bias=False), call(nn.ReLU)]
    space = Space(model=call(nn.Sequential, choice(*options, name="a"), choice(*options, name="b")))
    assert size(Bank(space)) == 2 * (8 * 8 + 8 + 8 * 8)


def test_a_survey_leaves_nothing_to_grow() -> None:
    for expression, _ in LAYERS.values():
        space = Space(model=expression)
        bank = Bank(space)
        before = bank.growth
        for arch in enumerate_archs(space):
            bank.reserve(arch)
        assert bank.growth == before


def test_a_small_kernel_is_the_exact_centre_of_a_large_one() -> None:
    space = Space(model=call(nn.Conv2d, 2, 3, choice(3, 5, 7, name="kernel")))
    bank = Bank(space)
    small, middle, large = (bank.extract(Arch({"kernel": k})).weight for k in (3, 5, 7))
    assert torch.equal(middle, large[:, :, 1:6, 1:6]) and torch.equal(small, large[:, :, 2:5, 2:5])


def test_fewer_heads_are_the_first_heads() -> None:
    space = Space(model=call(Attention, groups))
    bank = Bank(space)
    few, many = (bank.extract(Arch({"groups": n})).attend.in_proj_weight for n in (2, 4))
    assert torch.equal(few.view(3, 2, 4, 8), many.view(3, 4, 4, 16)[:, :2, :, :8])


def test_a_rule_of_ones_own_says_how_a_fused_layer_is_cut() -> None:
    def fused(module: nn.Module, name: str, shape: tuple[int, ...]) -> Any:
        return Layout((3, shape[0] // 3, *shape[1:])) if name.startswith("qkv") else None

    space = Space(model=call(Fused, choice(2, 4, name="size")))
    bank = Bank(space, rules={Fused: fused})
    small, large = (bank.extract(Arch({"size": n})).qkv.weight for n in (2, 4))
    assert torch.equal(small.view(3, 2, 8), large.view(3, 4, 8)[:, :2])


def test_kernels_without_a_common_middle_are_refused_with_their_path() -> None:
    space = Space(model=call(nn.Sequential, call(nn.Conv2d, 2, 3, choice(2, 3, name="kernel"))))
    with pytest.raises(SpaceError, match=r"0.weight \(made at model/0\) cannot be shared. A kernel of 2"):
        Bank(space)


class Ranks(nn.Module):
    """A parameter with as many axes as asked."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros((2,) * axes))


def test_tensors_of_which_neither_is_part_of_the_other_are_refused_with_their_path() -> None:
    space = Space(model=call(nn.Sequential, call(Ranks, choice(1, 2, name="axes"))))
    with pytest.raises(
        SpaceError, match=r"0.table \(made at model/0\) is \[2\] in one network and \[2, 2\] in another"
    ):
        Bank(space)


def test_an_optimiser_step_is_seen_by_what_was_lent_before() -> None:
    space = Space(model=call(nn.Linear, 8, width))
    bank, x = Bank(space), torch.ones(1, 8)
    lent = bank.lend(Arch({"width": 4}))
    before = lent(x)
    before.sum().backward()
    torch.optim.SGD(bank.parameters(), 0.1).step()
    assert not torch.equal(lent(x), before)
    assert torch.equal(lent(x), bank.extract(Arch({"width": 4}))(x))


def test_networks_that_are_lent_at_once_share_weights_and_nothing_else() -> None:
    space = Space(model=call(nn.Sequential, call(nn.Linear, 8, width), call(nn.BatchNorm1d, width)))
    bank, arch = Bank(space), Arch({"width": 4})
    first, second = bank.lend(arch), bank.lend(arch)
    first.network[1].eval()
    first.network[1].running_mean += 1.0
    first.network[0].register_forward_hook(lambda *_: pytest.fail("this hook is the other network's"))
    second(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
    assert second.network[1].training and not torch.equal(*(n.network[1].running_mean for n in (first, second)))


def test_a_constructor_is_run_once_for_the_same_arguments() -> None:
    made = []

    class Noted(nn.Linear):
        def __init__(self, size: int) -> None:
            made.append(size)
            super().__init__(8, size)

    space = Space(model=call(nn.Sequential, call(Noted, width)))
    bank = Bank(space)
    for size in (4, 8, 16, 4, 8, 16):
        bank.lend(Arch({"width": size}))
    before = len(made)
    for size in (4, 8, 16, 4, 8, 16):
        bank.lend(Arch({"width": size}))
    assert len(made) == before


def test_what_cannot_be_carried_over_is_listed() -> None:
    space = Space(model=call(nn.Sequential, call(nn.Linear, 8, width), call(nn.Linear, width, 3)))
    bank, old = Bank(space), nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 7), nn.Linear(7, 1))
    left = bank.absorb(Arch({"width": 4}), old)
    assert left == ["1.weight", "1.bias", "2.weight", "2.bias"]
    assert torch.equal(bank.extract(Arch({"width": 4}))[0].weight, old[0].weight)


def test_recalibrated_statistics_are_the_means_over_the_batches_and_repeat_exactly() -> None:
    space = Space(model=call(nn.Sequential, call(nn.Dropout, 0.5), call(nn.BatchNorm1d, 8)))
    bank = Bank(space).eval()
    batches = list(torch.randn(4, 10, 8, generator=torch.Generator().manual_seed(0)))
    first, second = bank.lend(Arch({})), bank.lend(Arch({}))
    for lent in (first, second):
        recalibrate(lent, batches)
    norm = first.network[1]
    assert torch.equal(norm.running_mean, second.network[1].running_mean)
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0))
    assert not any(module.training for module in first.modules()) and norm.momentum == 0.1
    assert torch.equal(bank.lend(Arch({})).network[1].running_mean, torch.zeros(8))


def test_a_folder_without_a_bank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no usable bank"):
        Bank.load(tmp_path, Space(model=call(nn.Linear, 8, 8)))


def test_the_folder_of_a_bank_may_be_a_string(tmp_path: Path) -> None:
    space, folder = Space(model=call(nn.Linear, 8, 8)), str(tmp_path / "bank")
    bank = Bank(space)
    bank.save(folder)
    for again in (Bank.load(folder, space), carry_over(folder, space)[0]):
        assert torch.equal(again.extract(Arch({})).weight, bank.extract(Arch({})).weight)


def test_a_bank_that_was_made_another_type_grows_in_that_type() -> None:
    bank = Bank(Space(model=call(nn.Sequential, call(nn.Linear, 8, width), call(nn.Linear, width, 3))), survey=False)
    bank.reserve(Arch({"width": 4}))
    x = torch.randn(2, 8, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    bank.double()(x, Arch({"width": 4})).sum().backward()
    bank.reserve(Arch({"width": 8}))
    assert bank(x, Arch({"width": 8})).dtype == torch.double
    assert all(p.grad is not None and p.dtype == p.grad.dtype == torch.double for p in bank.parameters())


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("[]", "must hold an object, and holds list"),
        ("3", "must hold an object, and holds int"),
        ("null", "must hold an object"),
        ("{}", "lacks seed and frozen"),
        ('{"format": 7, "seed": 0, "frozen": []}', "format 7"),
        ('{"format": 1, "seed": "0", "frozen": []}', "seed in bank.json must be a whole number, and is '0'"),
        ('{"format": 1, "seed": 0, "frozen": 1}', "must be a list of names, and is 1"),
        ('{"format": 1, "seed": 0, "frozen": [[]]}', "must be a list of names"),
        ('{"format": 1, "seed": 0, "frozen": [], "kernel_transforms": 2}', "must be true or false, and is 2"),
        (
            '{"format": 1, "seed": 0, "frozen": [], "rules": "A"}',
            "'rules' in bank.json must be a list of names, and is",
        ),
        ("[" * 100_000, "no usable bank"),
        ("{", "no usable bank"),
    ],
)
def test_a_header_of_another_shape_is_refused_in_words(header: str, words: str, tmp_path: Path) -> None:
    space = Space(model=call(nn.Linear, 8, 8))
    Bank(space).save(tmp_path)
    Bank.load(tmp_path, space)
    (tmp_path / "bank.json").write_text(header, encoding="utf-8")
    with pytest.raises(StoreError, match="no usable bank") as error:
        Bank.load(tmp_path, space)
    assert words in str(error.value)


def test_a_bank_trains_as_any_module_does() -> None:
    space = Space(model=call(nn.Sequential, call(nn.Linear, 8, width), call(nn.ReLU), call(nn.Linear, width, 1)))
    bank = Bank(space)
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(bank.parameters(), 0.05, momentum=0.9)
    losses = []
    for step in range(60):
        arch = Arch({"width": (4, 8, 16)[step % 3]})
        with torch.autocast("cpu", torch.bfloat16):
            out = bank(x, arch)
        loss = (out.float().squeeze() - x[:, 0]).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(bank.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert max(losses[-3:]) < 0.3 * min(losses[:3])
