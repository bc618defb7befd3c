"""The cost of a training step beside the same step in a hand-written PyTorch loop, measured in turns in one run.

Both train the same network on the same samples with the same batch size, precision, memory format, shifts, label
smoothing, clipping and optimiser. Prints the medians and their ratio, which must be at most 1.05.

    python benchmarks/training_step.py [--rounds 60] [--width 32]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsmith.build.module import seeded
from archsmith.estimate import Machine, Settings, measure_machine
from archsmith.estimate.feed import make_feed
from archsmith.estimate.machine import place_network, using_threads
from archsmith.estimate.optimizer import make_optimizer, set_rate
from archsmith.estimate.step import make_step
from archsmith.task import Task, load


def make_network(width: int) -> nn.Module:
    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    with seeded(0):
        return nn.Sequential(
            *block(1, width, 1),
            *block(width, width, 2),
            *block(width, 2 * width, 2),
            *block(2 * width, 2 * width, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, 10),
        )


def make_task() -> Task:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (6000, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return load((x, torch.arange(6000) % 10), seed=0)


def ours(task: Task, settings: Settings, machine: Machine, width: int) -> Callable[[Tensor], None]:
    network = place_network(make_network(width), machine).train()
    feed = make_feed(task, settings, machine, 1.0, None)
    generator = torch.Generator().manual_seed(0)
    optimizer = make_optimizer(network, settings)
    step = make_step(network, task, settings, machine, optimizer, generator)

    def one(indices: Tensor) -> None:
        set_rate(optimizer, 0.01)
        step(*feed.take(indices, generator)).item()

    return one


def by_hand(task: Task, settings: Settings, machine: Machine, width: int) -> Callable[[Tensor], None]:
    """What a person who knows PyTorch well writes in an afternoon."""
    memory = torch.channels_last if machine.channels_last else torch.contiguous_format
    network = make_network(width).to(memory_format=memory).train()
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 5e-4}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True, fused=True)
    mean, std = task.preprocess.mean, task.preprocess.std
    images = (task.train.x / 255.0 - mean) / std
    images = functional.pad(images, (2, 2, 2, 2), mode="reflect")
    labels = task.train.y

    def one(indices: Tensor) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.01
        dy, dx = torch.randint(0, 5, (2, len(indices), 1))
        rows, columns = torch.arange(28) + dy, torch.arange(28) + dx
        x = images[indices[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        x, y = x.contiguous(memory_format=memory), labels[indices]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=machine.precision == "bfloat16"):
            outputs = network(x)
        loss = functional.cross_entropy(outputs.float(), y, label_smoothing=settings.label_smoothing)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--width", type=int, default=32)
    options = parser.parse_args()
    task, settings = make_task(), Settings(augment="shift")
    machine = measure_machine(task, lambda: make_network(options.width), settings).alone()
    contestants = {
        "ours": ours(task, settings, machine, options.width),
        "by hand": by_hand(task, settings, machine, options.width),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    with using_threads(machine.threads):
        for turn in range(options.rounds + 3):
            indices = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(turn))[:128]
            # Whoever goes second finds warmer caches, so they take turns at that too.
            for name in sorted(contestants, reverse=bool(turn % 2)):
                began = time.perf_counter()
                contestants[name](indices)
                if turn >= 3:
                    times[name].append(time.perf_counter() - began)
    for name, values in times.items():
        print(f"{name:8} median {1000 * statistics.median(values):8.2f} ms   least {1000 * min(values):8.2f} ms")
    ratio = statistics.median(a / b for a, b in zip(times["ours"], times["by hand"], strict=True))
    print(f"ratio of a step, median over {options.rounds} turns: {ratio:.3f} (at most 1.05 wanted)")
    print(f"machine: {machine.precision}, channels last {machine.channels_last}, {machine.threads} threads")


if __name__ == "__main__":
    main()
