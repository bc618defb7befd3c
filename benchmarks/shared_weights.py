"""What borrowing costs: a training step on a bank beside the same step of the extracted network, in turns in one run.

Both take the same batch, loss, clipping and optimiser. For each space the median step of the bank, that of the network
on its own, their ratio, and what building and cutting alone take; then the same with options added that the step does
not use, since a step must not slow down as the space grows.

    python benchmarks/shared_weights.py [--rounds 40] [--batch 64] [--width 16] [--cells 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from archsmith.build import Bank
from archsmith.estimate import Machine, Settings
from archsmith.estimate.optimizer import follow, make_optimizer
from archsmith.estimate.step import apply_gradients
from archsmith.space import Arch, Space, call, choice, sample
from archsmith.spaces.cell import cell_model
from archsmith.spec import Spec

SPEC = Spec("image", "classification", (3, 32, 32), 10, 50_000)
SETTINGS = Settings()


def stepper(network: Callable[[torch.Tensor], torch.Tensor], owner: nn.Module) -> Callable[..., float]:
    optimizer = make_optimizer(owner, SETTINGS)
    follow(optimizer, owner.parameters())
    parameters = list(owner.parameters())

    def step(x: torch.Tensor, y: torch.Tensor) -> float:
        began = time.perf_counter()
        nn.functional.cross_entropy(network(x), y).backward()
        apply_gradients(parameters, SETTINGS, optimizer)
        return time.perf_counter() - began

    return step


def compare(name: str, space: Space, archs: list[Arch], args: argparse.Namespace) -> None:
    """Print one line: medians over the architectures, each measured in turns with its standalone network."""
    bank = Bank(space).train()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(args.batch, *SPEC.input_shape, generator=generator)
    y = torch.randint(0, SPEC.outputs, (args.batch,), generator=generator)
    shared, own, lending = [], [], []
    for arch in archs:
        alone = bank.extract(arch).train()
        pair = stepper(lambda x, arch=arch: bank(x, arch), bank), stepper(alone, alone)
        for one in pair:
            one(x, y)
        for _ in range(max(1, args.rounds // len(archs))):
            shared.append(pair[0](x, y))
            own.append(pair[1](x, y))
            began = time.perf_counter()
            bank.lend(arch)
            lending.append(time.perf_counter() - began)
    ratios = [a / b for a, b in zip(shared, own, strict=True)]
    size = sum(p.numel() for p in bank.parameters())
    print(
        f"{name:28} bank {1e3 * statistics.median(shared):8.1f} ms   alone {1e3 * statistics.median(own):8.1f} ms   "
        f"ratio {statistics.median(ratios):.3f}   lending {1e3 * statistics.median(lending):5.1f} ms   "
        f"{size / 1e6:.2f} M shared parameters"
    )


def widths(*options: int) -> Space:
    """A chain of three convolutions with one width, and as many options for it as given."""
    width = choice(*options, name="width")
    layers = [call(nn.Conv2d, 3, width, 3, padding=1), call(nn.BatchNorm2d, width), call(nn.ReLU)]
    for _ in range(2):
        layers += [call(nn.Conv2d, width, width, 3, padding=1), call(nn.BatchNorm2d, width), call(nn.ReLU)]
    head = [call(nn.AdaptiveAvgPool2d, 1), call(nn.Flatten), call(nn.Linear, width, SPEC.outputs)]
    return Space(model=call(nn.Sequential, *layers, *head))


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("rounds", 40), ("batch", 64), ("width", 16), ("cells", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(Machine().threads)
    cells = Space(model=cell_model(SPEC, args.width, args.cells))
    rng = np.random.default_rng(0)
    compare("cells, random paths", cells, [sample(cells, rng) for _ in range(4)], args)
    for top in (1, 2, 4):
        space = widths(args.width, *(args.width * 2**i for i in range(1, top)))
        compare(f"width {args.width} of {top}", space, [Arch({"width": args.width} if top > 1 else {})], args)


if __name__ == "__main__":
    main()
