"""How a bank is trained: in bfloat16, with clipping, with an average of its weights, on several processes."""

import copy
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import distributed, nn

from archsmith.build import Bank
from archsmith.errors import UsageError
from archsmith.estimate import Machine, Settings, SharedEstimator, sandwich, train_bank
from archsmith.estimate.feed import make_feed
from archsmith.estimate.optimizer import make_optimizer
from archsmith.estimate.step import make_loss
from archsmith.space import Arch, Space, call, choice, largest
from archsmith.task import Task

MACHINE = Machine(threads=1)
RECIPE = Settings(lr=0.1, batch_size=32, augment="none", warmup=5)
WIDTH = choice(4, 8, name="width")
BODY = [
    call(nn.Conv2d, 1, WIDTH, choice(3, 5, name="kernel"), padding="same"),
    choice(relu=call(nn.ReLU), silu=call(nn.SiLU), name="act"),
    call(nn.AdaptiveAvgPool2d, 2),
    call(nn.Flatten),
    call(nn.Linear, WIDTH * 4, 4),
]
SPACE = Space(model=call(nn.Sequential, *BODY))
SMALL, LARGE = Arch({"width": 4, "kernel": 3, "act": "relu"}), Arch({"width": 8, "kernel": 5, "act": "relu"})


def trained(task: Task, settings: Settings = RECIPE, bank: Bank | None = None, **options: Any) -> Bank:
    bank = bank or Bank(SPACE)
    train_bank(bank, task, settings, **{"machine": MACHINE, "seed": 0, "epochs": 1, **options})
    return bank


def test_a_bank_learns_in_bfloat16_and_keeps_its_weights_in_float32(images: Task) -> None:
    machine = Machine(threads=1, precision="bfloat16")
    bank = trained(images, machine=machine, epochs=6, sampler=sandwich)
    assert all(p.dtype == torch.float32 for p in bank.parameters())
    assert SharedEstimator(images, bank, machine).score(LARGE)["accuracy"] > 0.8


def test_the_gradient_of_a_step_is_clipped_over_the_whole_bank(images: Task) -> None:
    settings = Settings(lr=1.0, momentum=0.0, weight_decay=0.0, batch_size=512, augment="none", warmup=0, clip=1e-3)
    before, after = Bank(SPACE), trained(images, settings, sampler=sandwich)
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    moved = torch.cat([(a - b).detach().flatten() for a, b in pairs]).norm()
    assert float(moved) == pytest.approx(1e-3, rel=0.01)


def test_a_bank_decays_what_a_network_of_its_own_would() -> None:
    grouped = call(nn.Conv2d, 4, 8, 3, groups=choice(2, 4, name="groups"))
    heads = call(nn.MultiheadAttention, 8, choice(2, 4, name="heads"))
    space = Space(model=call(nn.ModuleList, [grouped, heads, call(nn.LSTM, 8, WIDTH), call(nn.BatchNorm2d, WIDTH)]))
    bank = Bank(space)
    decayed = {id(p) for p in make_optimizer(bank, RECIPE).param_groups[0]["params"]}
    places = [place for place in bank.places(largest(space)) if place.learned]
    assert {place.names[0] for place in places if id(bank.shared[place.key]) in decayed} == {
        name for name, p in bank.extract(largest(space)).named_parameters() if p.ndim > 1
    }


def stepped(task: Task, archs: list[Arch]) -> tuple[Bank, dict[Arch, dict[str, torch.Tensor]]]:
    """How far a bank's numbers move in one plain step on these networks, and each network's own gradients."""
    settings = Settings(lr=1.0, momentum=0.0, weight_decay=0.0, batch_size=512, augment="none", warmup=0, clip=0.0)
    bank = Bank(SPACE)
    own = {}
    feed = make_feed(task, settings, MACHINE, 1.0, None)
    x, y = feed.take(feed.order(0, 0), torch.Generator())
    for arch in archs:
        network = bank.extract(arch).train()
        make_loss(network, task, settings, MACHINE, torch.Generator())(x, y).backward()  # type: ignore[no-untyped-call]
        own[arch] = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    moved = copy.deepcopy(bank)
    trained(task, settings, bank, sampler=lambda *_: archs)
    for target, after in zip(moved.parameters(), bank.parameters(), strict=True):
        target.data -= after.data
    return moved, own


def test_a_step_moves_each_number_by_the_gradients_of_the_networks_that_have_it(images: Task) -> None:
    moved, own = stepped(images, [SMALL, LARGE])
    small, expected = own[SMALL], own[LARGE]
    expected["0.weight"][:4, :, 1:4, 1:4] += small["0.weight"]
    expected["0.bias"][:4] += small["0.bias"]
    expected["4.weight"][:, :16] += small["4.weight"]
    expected["4.bias"] += small["4.bias"]
    for name, value in moved.extract(LARGE).named_parameters():
        torch.testing.assert_close(value.detach(), expected[name], rtol=1e-4, atol=1e-6)


def test_a_gradient_stays_where_it_was_when_its_tensor_grows() -> None:
    bank = Bank(SPACE, survey=False)
    bank.lend(SMALL)(torch.randn(3, 1, 9, 9, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    before = {key: p.grad.clone() for key, p in bank.shared.items() if p.grad is not None}
    bank.reserve(LARGE)
    after = {key: p.grad for key, p in bank.shared.items()}
    key = next(key for key in before if "weight" in key and before[key].ndim == 4)
    assert after[key].shape == (8, 1, 5, 5) and torch.equal(after[key][:4, :, 1:4, 1:4], before[key])
    assert all(torch.equal(after[k][after[k] != 0], value[value != 0]) for k, value in before.items())


def test_a_training_in_which_the_bank_grew_goes_on_exactly(images: Task, tmp_path: Path) -> None:
    settings = Settings(lr=0.1, batch_size=32, augment="none", warmup=5, ema=0.9)
    size = [SMALL, Arch({**LARGE, "kernel": 3}), LARGE]

    def run(bank: Bank, last: int = 1000, **options: Any) -> dict[str, torch.Tensor]:
        stops = iter([False] * last + [True] * 1000)
        trained(
            images,
            settings,
            bank,
            epochs=2,
            sampler=lambda space, rng, progress: [size[int(3 * progress)], SMALL],
            interrupted=lambda: next(stops),
            **options,
        )
        return bank.state_dict()

    def begun(seed: int = 0) -> Bank:
        return Bank(SPACE, seed, survey=False)

    whole = run(begun())
    for last, again in ((7, begun(5)), (11, Bank(SPACE, 5))):  # after one tensor grew, and after all did
        place = tmp_path / str(last)
        run(begun(), last, checkpoint=place)
        resumed = run(again, resume=place)
        assert resumed.keys() == whole.keys() and all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_an_average_follows_a_bank_that_grows_while_it_trains(images: Task) -> None:
    def run(first: list[Arch], decay: float) -> Bank:
        archs = iter([*first, *[LARGE] * 100])
        bank = Bank(SPACE, survey=False)
        bank.reserve(SMALL)
        settings = Settings(lr=0.1, batch_size=32, augment="none", warmup=5, ema=decay)
        return trained(images, settings, bank, epochs=6, sampler=lambda space, rng, progress: [next(archs)])

    grown, plain = run([SMALL] * 4, 0.9), run([SMALL] * 4, 0.0)
    assert grown.extract(LARGE)[0].weight.shape == (8, 1, 5, 5)
    pairs = list(zip(grown.parameters(), plain.parameters(), strict=True))
    assert all(a.shape == b.shape for a, b in pairs) and not all(torch.equal(a, b) for a, b in pairs)
    assert SharedEstimator(images, grown, MACHINE).score(LARGE)["accuracy"] > 0.8


def one_of_two(rank: int, folder: str, task: Task) -> None:
    """Train as one of two processes, and leave the weights in the folder."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    bank = trained(task, sampler=sandwich)
    save_file(bank.state_dict(), f"{folder}/{rank}.safetensors")
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_processes_train_one_bank_as_one_does_on_the_joined_batch(images: Task, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # the task and torch are there already
    workers = [context.Process(target=one_of_two, args=(rank, str(tmp_path), images)) for rank in range(2)]
    for worker in workers:
        worker.start()
    alone = trained(images, sampler=sandwich).state_dict()
    for worker in workers:
        worker.join(120)
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    for name, value in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-5)


def test_what_cannot_be_divided_or_timed_is_refused(images: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("is_initialized", True), ("get_world_size", 7), ("get_rank", 0)):
        monkeypatch.setattr(distributed, name, lambda value=value: value)
    with pytest.raises(UsageError, match="set batch_size to a multiple of 7"):
        trained(images)
    with pytest.raises(UsageError, match="only train a bank together for so many epochs"):
        trained(images, epochs=None, seconds=1.0)


def test_equal_paths_are_drawn_whatever_else_is_random(images: Task) -> None:
    drawn: dict[float, list[list[Arch]]] = {0.0: [], 0.2: []}
    for mixup, seen in drawn.items():

        def noted(space: Space, rng: Any, progress: float, seen: list[list[Arch]] = seen) -> Any:
            seen.append(list(sandwich(space, rng, progress)))
            return seen[-1]

        trained(images, Settings(batch_size=32, augment="none", mixup=mixup), sampler=noted)
    assert drawn[0.0] == drawn[0.2] and len({arch for archs in drawn[0.0] for arch in archs}) > 3
