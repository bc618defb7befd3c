"""What borrowing costs: a training step on a bank beside the same step of the extracted network, in turns in one run.

Each round draws an architecture, and both take the same batch, loss, clipping and optimiser. Printed are the medians
of both steps, the median of their ratios (at most 1.15 is wanted), the ratio of what both allocate at most during a
step, and what building the network takes. Each space is measured with a bank that holds the drawn networks and nothing
else, and with one that holds the whole space; then a chain of convolutions whose layers get more and wider options
that the step does not use: a step must not slow down as the space grows. Times are processor time of pinned threads.

    python benchmarks/shared_weights.py [--rounds 16] [--threads 1] [--cells 5] [--warm 200]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from archsmith.build import Bank
from archsmith.estimate import Settings
from archsmith.estimate.optimizer import follow, make_optimizer
from archsmith.estimate.step import apply_gradients
from archsmith.space import Arch, Space, call, choice, sample
from archsmith.spaces.cell import cell_model
from archsmith.spaces.mobile import mobile
from archsmith.spec import Spec

CIFAR = Spec("image", "classification", (3, 32, 32), 10, 50_000)
FASHION = Spec("image", "classification", (1, 28, 28), 10, 60_000)
SETTINGS = Settings()
Step = Callable[[Callable[[Tensor], Tensor]], None]


@dataclass(frozen=True)
class Round:
    """Processor seconds of a step on the bank and alone, of lending for the first time and again, and bytes."""

    shared: float
    own: float
    first: float
    again: float
    shared_bytes: int
    own_bytes: int


def stepper(owner: nn.Module, x: Tensor, y: Tensor) -> Step:
    optimizer = make_optimizer(owner, SETTINGS)
    follow(optimizer, owner.named_parameters())
    parameters = list(owner.parameters())

    def step(network: Callable[[Tensor], Tensor]) -> None:
        nn.functional.cross_entropy(network(x), y).backward()
        apply_gradients(parameters, SETTINGS, optimizer)

    return step


def seconds(run: Callable[[], object]) -> float:
    """Return how long it takes in processor time, which other work on the machine hardly changes."""
    began = time.process_time()
    run()
    return time.process_time() - began


def peak(run: Callable[[], object]) -> int:
    """Return how many bytes more than before are allocated at most while it runs."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    return int(np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).max(initial=0))


def measure(bank: Bank, archs: list[Arch], spec: Spec, batch: int) -> list[Round]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, *spec.input_shape, generator=generator)
    y = torch.randint(0, spec.outputs, (batch,), generator=generator)
    shared = stepper(bank.train(), x, y)
    rounds = []
    for arch in archs:
        first, again = (seconds(lambda arch=arch: bank.lend(arch)) for _ in range(2))
        alone = bank.extract(arch).train()
        own = stepper(alone, x, y)
        on_bank, by_itself = (lambda arch=arch: shared(lambda x: bank(x, arch))), (lambda: own(alone))  # noqa: B023
        sizes = peak(on_bank), peak(by_itself)  # which also warms both up
        rounds.append(Round(seconds(on_bank), seconds(by_itself), first, again, *sizes))
    return rounds


def show(name: str, bank: Bank, rounds: list[Round]) -> None:
    def middle(value: Callable[[Round], float]) -> float:
        return statistics.median(map(value, rounds))

    size = sum(p.numel() for p in bank.parameters())
    print(
        f"{name:34} bank {1e3 * middle(lambda r: r.shared):7.1f} ms   alone {1e3 * middle(lambda r: r.own):7.1f} ms   "
        f"ratio {middle(lambda r: r.shared / r.own):.3f}   memory {middle(lambda r: r.shared_bytes / r.own_bytes):.3f}"
        f"   lending {1e3 * middle(lambda r: r.first):5.1f} ms, again {1e3 * middle(lambda r: r.again):4.1f} ms   "
        f"{size / 1e6:6.2f} M in {len(bank.shared)} tensors",
        flush=True,
    )


def compare(name: str, space: Space, spec: Spec, batch: int, args: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    archs = [sample(space, rng) for _ in range(args.rounds)]
    few, whole = Bank(space, survey=False), Bank(space)
    for arch in archs:
        few.reserve(arch)
    for _ in range(args.warm):  # as after so many steps of a training
        whole.lend(sample(space, rng))
    show(f"{name}, {args.rounds} networks", few, measure(few, archs, spec, batch))
    show(f"{name}, whole space", whole, measure(whole, archs, spec, batch))


def chain(options: int, widest: int, layers: int = 6) -> tuple[Space, Arch]:
    """Return convolutions of 16 channels, each with so many options beside it, and a width that could be larger."""
    width = choice(16, widest, name="width") if widest > 16 else 16
    parts = [call(nn.Conv2d, 3, width, 3, padding=1), call(nn.BatchNorm2d, width), call(nn.ReLU)]
    names = []
    for i in range(layers):
        every = {f"o{k}": call(nn.Conv2d, width, width, 3, padding=1) for k in range(options)}
        names += [f"layer{i}"] if options > 1 else []
        parts.append(choice(**every, name=f"layer{i}") if options > 1 else every["o0"])
        parts += [call(nn.BatchNorm2d, width), call(nn.ReLU)]
    head = [call(nn.AdaptiveAvgPool2d, 1), call(nn.Flatten), call(nn.Linear, width, CIFAR.outputs)]
    space = Space(model=call(nn.Sequential, *parts, *head))
    return space, Arch({**({"width": 16} if widest > 16 else {}), **dict.fromkeys(names, "o0")})


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("rounds", 16), ("threads", 1), ("cells", 5), ("warm", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    compare("mobile 28x28, batch 128", mobile(FASHION), FASHION, 128, args)
    compare(f"cell x{args.cells} 32x32, batch 64", Space(model=cell_model(CIFAR, 16, args.cells)), CIFAR, 64, args)
    for options, widest in ((1, 16), (4, 16), (40, 16), (1, 32), (1, 64), (1, 128), (1, 256)):
        space, arch = chain(options, widest)
        bank = Bank(space)
        show(f"chain, {options} options, width 16 of {widest}", bank, measure(bank, [arch] * args.rounds, CIFAR, 64))


if __name__ == "__main__":
    main()
