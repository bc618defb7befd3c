"""A trained network cut to half its latency, against a half-width network trained from scratch for the same time.

A ResNet-like network is trained on Fashion-MNIST for S seconds. With S seconds more it is made elastic and cut to at
most half its measured latency: bank, search and fine-tuning together. A network of the same class with half of every
width is trained from scratch for S seconds, and for 2 S seconds, which is what the elastic one took together with the
training it began with. Printed as JSON lines: test accuracy, latency of one image on one thread, parameters and
multiply-adds.

    python benchmarks/elastic.py [--seconds 300] [--width 32] [--blocks 2] [--seeds 0] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import nn

import archsmith
from archsmith.build import cost, latency, seeded
from archsmith.estimate import Machine, Settings, evaluate, train
from archsmith.task import Split, Task

DATA = Path(__file__).parents[2] / "shared" / "data" / "fashion_mnist"
SHAPE = (1, 28, 28)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        stages, inputs = [], width
        for stage in range(3):
            outputs = width * 2**stage
            strides = [2 if stage else 1, *[1] * (blocks - 1)]
            stages.append(
                nn.Sequential(*(Block(inputs if not i else outputs, outputs, s) for i, s in enumerate(strides)))
            )
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.stem(x)).mean((2, 3)))


def row(name: str, seed: int, network: nn.Module, task: Task, test: Split, machine: Machine, seconds: float) -> None:
    spent, time = cost(network, SHAPE), latency(network, SHAPE, seconds=1.0).median_ms
    found = {"network": name, "seed": seed, "seconds": seconds, "params": spent.params, "macs": spent.macs}
    found |= {
        "latency_ms": round(time, 3),
        "test_accuracy": round(evaluate(network, task, test, machine)["accuracy"], 4),
    }
    print(json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("width", 32), ("blocks", 2), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    machine, recipe = Machine(threads=args.threads, single=args.threads), Settings()
    torch.set_num_threads(args.threads)
    task = archsmith.load_task(DATA)
    test = task.open_test()  # nothing below chooses by it

    def scratch(width: int, seed: int, seconds: float) -> nn.Module:
        with seeded(seed):
            network = ResNet(width, args.blocks)
        return train(network, task, recipe, machine=machine, seed=seed, seconds=seconds).network

    for seed in args.seeds:
        base = scratch(args.width, seed, args.seconds)
        row("given", seed, base, task, test, machine, args.seconds)
        found = archsmith.elastic(base, SHAPE, seed=seed)
        limit = latency(base, SHAPE, seconds=1.0).median_ms / 2
        small = archsmith.shrink(found, task, {"latency_ms": limit}, seconds=args.seconds, machine=machine, seed=seed)
        row("elastic, half the latency", seed, small.network, task, test, machine, args.seconds)
        print(json.dumps({"arch": dict(small.arch), "limit_ms": limit}), flush=True)
        for seconds in (args.seconds, 2 * args.seconds):
            row("half width", seed, scratch(args.width // 2, seed, seconds), task, test, machine, seconds)


if __name__ == "__main__":
    main()
