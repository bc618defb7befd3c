"""One bank for several latency limits, beside a search of its own for each limit, at equal total time.

On Fashion-MNIST and the space ``mobile``. The limits are shares of the way through the latencies of random networks.

* A search for each limit has ``--seconds``: for the first half random networks within the limit are trained, each for
  a tenth of that half; the best is then trained from scratch for the second half.
* The bank has the time of all the searches together: for half of it the bank is trained; then, for each limit, random
  networks within it are scored on the bank, and the best is taken out and fine-tuned.

Both draw their networks in the same way, and the time in which latencies are measured counts for both. The test split
is opened once, at the end, for the final networks of both.

    python benchmarks/shared_weights_limits.py --data DIR [--seconds 120] [--seed 0] [--sampler uniform]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from archsmith.build import Bank, build, latency
from archsmith.estimate import Machine, Settings, SharedEstimator, evaluate, sandwich, train, train_bank, uniform
from archsmith.space import Arch, Space, sample
from archsmith.spaces.mobile import mobile
from archsmith.task import Task, load

MACHINE = Machine(threads=1)
RECIPE = Settings(batch_size=128)
GENTLE = Settings(lr=0.05, batch_size=128)  # for weights that have learned already
TRIALS = 10  # trainings of a search
BANK, SCORING = 0.5, 0.1  # of the bank's time; the rest is for fine-tuning


@dataclass(frozen=True)
class Final:
    """What one way found for one limit."""

    network: nn.Module
    latency_ms: float
    looked_at: int


def milliseconds(space: Space, arch: Arch, task: Task) -> float:
    return latency(build(space, arch, seed=0), task.spec.input_shape, seconds=0.1).median_ms


def within(space: Space, task: Task, limit: float, rng: np.random.Generator) -> Iterator[tuple[Arch, float]]:
    """Yield random networks within the limit, with their latency, without end."""
    while True:
        arch = sample(space, rng)
        found = milliseconds(space, arch, task)
        if found <= limit:
            yield arch, found


def searched(space: Space, task: Task, limit: float, seconds: float, seed: int) -> Final:
    """A search of its own: short trainings, the best of them again from scratch for the rest of the time."""
    began = time.monotonic()
    tried: list[tuple[float, Arch, float]] = []
    for arch, ms in within(space, task, limit, np.random.default_rng(seed)):
        network = build(space, arch, seed=seed)
        found = train(network, task, RECIPE, machine=MACHINE, seed=seed, seconds=0.5 * seconds / TRIALS)
        tried.append((found.metrics.get("accuracy", 0.0), arch, ms))
        if time.monotonic() - began > (0.5 - 0.5 / TRIALS) * seconds:
            break
    _, arch, ms = max(tried, key=lambda row: row[0])
    left = max(0.1 * seconds, seconds - (time.monotonic() - began))
    trained = train(build(space, arch, seed=seed), task, RECIPE, machine=MACHINE, seed=seed, seconds=left)
    return Final(trained.network, ms, len(tried))


def one_bank(
    space: Space, task: Task, limits: list[float], seconds: float, seed: int, sampler: Callable[..., list[Arch]]
) -> list[Final]:
    """One bank for all limits, in as much time as their searches take together."""
    bank, rng = Bank(space, seed), np.random.default_rng(seed)
    distil = sampler is sandwich
    train_bank(bank, task, RECIPE, machine=MACHINE, seed=seed, sampler=sampler, distil=distil, seconds=BANK * seconds)
    scores = SharedEstimator(task, bank, MACHINE, samples=512)
    finals = []
    for limit in limits:
        began, share = time.monotonic(), (1 - BANK) * seconds / len(limits)
        tried: list[tuple[float, Arch, float]] = []
        for arch, ms in within(space, task, limit, rng):
            tried.append((scores.score(arch)["accuracy"], arch, ms))
            if time.monotonic() - began > SCORING / (1 - BANK) * share:
                break
        _, arch, ms = max(tried, key=lambda row: row[0])
        left = max(0.1 * share, share - (time.monotonic() - began))
        network = bank.extract(arch)
        trained = train(network, task, GENTLE, machine=MACHINE, seed=seed, seconds=left)
        finals.append(Final(trained.network, ms, len(tried)))
    return finals


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sampler", choices=("uniform", "sandwich"), default="uniform")
    args = parser.parse_args()
    torch.set_num_threads(1)
    task = load(args.data, seed=0)
    space = Space(model=mobile(task.spec).roots["model"])
    rng = np.random.default_rng(100 + args.seed)
    known = [milliseconds(space, sample(space, rng), task) for _ in range(30)]
    limits = [float(np.quantile(known, share)) for share in (0.15, 0.4, 0.8)]

    began = time.monotonic()
    alone = [searched(space, task, limit, args.seconds, args.seed + i) for i, limit in enumerate(limits)]
    middle = time.monotonic()
    sampler = {"uniform": uniform, "sandwich": sandwich}[args.sampler]
    shared = one_bank(space, task, limits, len(limits) * args.seconds, args.seed, sampler)
    end = time.monotonic()

    test = task.open_test()
    print(
        f"{len(limits)} limits, {args.seconds:g} s each, seed {args.seed}, one thread; bank trained with {args.sampler}"
    )
    print(f"searches {middle - began:.0f} s, bank {end - middle:.0f} s")
    for limit, own, lent in zip(limits, alone, shared, strict=True):
        cells = [
            f"{name} {100 * evaluate(f.network, task, test, MACHINE)['accuracy']:.2f} % "
            f"({f.latency_ms:.2f} ms, of {f.looked_at})"
            for name, f in (("search", own), ("bank", lent))
        ]
        print(f"at most {limit:6.2f} ms   " + "   ".join(cells))


if __name__ == "__main__":
    main()
