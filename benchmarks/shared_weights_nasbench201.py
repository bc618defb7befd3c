"""What shared weights know about NAS-Bench-201: ranks and derived cells, judged by the table of finished trainings.

Banks of the cell space are trained on CIFAR-10 at a reduced size, by uniform and by fair sampling. Random cells are
scored on them with statistics of their own (recalibrated) and with the running statistics that all paths share, and
the scores are compared with the table's test accuracy after 200 epochs at the full size; beside them the counts of
parameters and multiply-adds, which cost nothing, and some of the cells trained on their own at the reduced size: what
can be known there at best. Then, with several seeds, what random search on the uniform bank, DARTS and GDAS choose,
with the table's accuracy of it. What was done is kept in the output folder, so that a run that was stopped goes on
where it was.

    python benchmarks/shared_weights_nasbench201.py --data DIR [--out DIR] [--images 6000] [--size 16] [--width 8]
        [--cells 1] [--epochs 30] [--search-epochs 8] [--scored 200] [--seeds 3] [--fair-seeds 1]
        [--alone 30] [--alone-epochs 8] [--methods darts,gdas]

``--data`` holds ``cifar10_train_jpeg.npz``: JPEG files one after the other as ``data``, with ``offsets`` and
``labels``.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr

from archsmith.build import RELAXATIONS, Bank, Gates, build, relaxable
from archsmith.estimate import (
    Machine,
    Settings,
    SharedEstimator,
    evaluate,
    fair,
    search_gates,
    train,
    train_bank,
    uniform,
)
from archsmith.estimate.feed import make_feed
from archsmith.space import Arch, Space, enumerate_archs, sample
from archsmith.spaces.cell import cell_model
from archsmith.tables import mean, nasbench201
from archsmith.tables.nasbench201 import cell_text
from archsmith.task import Task, load

MACHINE = Machine(threads=1)
RECIPE = Settings(lr=0.05, batch_size=128, augment="shift_flip", label_smoothing=0.0, weight_decay=3e-4, clip=5.0)
TABLE = nasbench201("cifar10")
TEST = mean(TABLE.column("test_cifar10"))[:, -1]
PATHS = {"uniform": 1, "fair": 5}  # networks in one step


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("shared_weights_nasbench201"))
    parser.add_argument("--methods", default="darts,gdas")
    numbers = {"images": 6000, "size": 16, "width": 8, "cells": 1, "epochs": 30, "search-epochs": 8, "scored": 200}
    numbers |= {"alone": 30, "alone-epochs": 8, "seeds": 3}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--fair-seeds", type=int, default=1)
    parser.add_argument("--gate-rate", type=float, default=3e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    task = make_task(args)
    space = Space(model=cell_model(task.spec, args.width, args.cells))
    rng = np.random.default_rng(0)
    cells = [sample(space, rng) for _ in range(args.scored)]

    def stage(name: str, run: Callable[[], dict[str, Any]]) -> None:
        if name not in results:
            began = time.process_time()
            results[name] = {**run(), "cpu_seconds": time.process_time() - began}
            kept.write_text(json.dumps(results, indent=1))
            print(name, {k: v for k, v in results[name].items() if not isinstance(v, list)}, flush=True)

    def bank(name: str, seed: int) -> None:
        stage(f"{name} {seed}", partial(ranks, space, task, name, seed, cells, args))

    stage("alone", partial(alone, space, task, cells[: args.alone], args))
    for name in PATHS:
        bank(name, 0)
    for seed in range(args.seeds):
        for method in args.methods.split(","):
            stage(f"{method} {seed}", partial(derived, space, task, method, seed, args))
    for seed in range(1, args.seeds):
        bank("uniform", seed)
    for seed in range(1, args.fair_seeds):
        bank("fair", seed)
    report(results, cells)


def make_task(args: argparse.Namespace) -> Task:
    """CIFAR-10 made smaller: the first images, halved as often as asked, a fifth of them for validation."""
    with np.load(args.data / "cifar10_train_jpeg.npz", allow_pickle=False) as file:
        data, offsets, labels = (file[name] for name in ("data", "offsets", "labels"))
    x = np.empty((args.images, args.size, args.size, 3), dtype=np.uint8)
    for i in range(args.images):
        with Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes())) as image:
            x[i] = np.asarray(image.resize((args.size, args.size), Image.Resampling.BOX))
    return load((x, labels[: args.images]), seed=0, valid_fraction=0.2, test_fraction=0.01)


def ranks(space: Space, task: Task, name: str, seed: int, cells: list[Arch], args: argparse.Namespace) -> Any:
    """Train a bank and score the cells on it, with statistics of their own and with those of all paths together."""
    folder = args.out / f"bank {name} {seed}"
    bank = Bank.load(folder, space) if folder.exists() else trained(space, task, name, seed, args)
    bank.save(folder)
    own = SharedEstimator(task, bank, MACHINE, samples=512)
    scores = [own.score(arch)["accuracy"] for arch in cells]
    share_statistics(bank, task, seed)
    bank.eval()
    shared = [evaluate(bank.lend(arch), task, task.valid, MACHINE)["accuracy"] for arch in cells]
    test = np.array([TEST[TABLE.row(arch)] for arch in cells])
    best = cells[int(np.argmax(scores))]
    return {
        "spearman": float(spearmanr(scores, test)[0]),
        "spearman_shared_statistics": float(spearmanr(shared, test)[0]),
        "spearman_of_the_better_half": better_half(scores, test),
        "mean_score": float(np.mean(scores)),
        "best_score": float(np.max(scores)),
        "chosen": cell_text(best),
        "test": float(TEST[TABLE.row(best)]),
        "scores": scores,
        "shared_statistics": shared,
    }


def trained(space: Space, task: Task, name: str, seed: int, args: argparse.Namespace) -> Bank:
    """Return a bank trained by a sampler.

    Both samplers pass as many images through networks. A fair step takes five networks, so its batches are halved, or
    there would be too few steps.
    """
    bank = Bank(space, seed)
    recipe = RECIPE if name == "uniform" else RECIPE.scaled(0.5)
    sampler = {"uniform": uniform, "fair": fair}[name]
    train_bank(
        bank,
        task,
        recipe,
        sampler=sampler,
        machine=MACHINE,
        seed=seed,
        epochs=args.epochs / PATHS[name],
        checkpoint=args.out / f"{name}{seed}",
        resume=args.out / f"{name}{seed}",
    )
    return bank


def alone(space: Space, task: Task, cells: list[Arch], args: argparse.Namespace) -> Any:
    """Train cells on their own at the reduced size: what ranks are worth there without sharing weights."""
    options = {"machine": MACHINE, "seed": 0, "epochs": args.alone_epochs}
    trained = [train(build(space, arch, seed=0), task, RECIPE, **options) for arch in cells]
    scores = [found.metrics["accuracy"] for found in trained]
    test = [TEST[TABLE.row(arch)] for arch in cells]
    best = cells[int(np.argmax(scores))]
    return {
        "spearman": float(spearmanr(scores, test)[0]),
        "mean_score": float(np.mean(scores)),
        "chosen": cell_text(best),
        "test": float(TEST[TABLE.row(best)]),
        "alone": scores,
    }


def share_statistics(bank: Bank, task: Task, seed: int, steps: int = 200) -> None:
    """Let the norms keep what random paths leave in them, one after the other, as where they belong to all paths."""
    feed = make_feed(task, RECIPE, MACHINE, 1.0, None)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    order = torch.cat([feed.order(epoch, seed)[: feed.steps * feed.batch] for epoch in range(1 + steps // feed.steps)])
    bank.train()
    for part in order.split(feed.batch)[:steps]:
        arch = sample(bank.space, rng)
        lent = bank.lend(arch)
        with torch.no_grad():
            lent(feed.take(part, generator)[0])
        bank.absorb(arch, dict(lent.network.named_buffers()))


def derived(space: Space, task: Task, method: str, seed: int, args: argparse.Namespace) -> Any:
    """Search the gates of the relaxed network, and look up what they prefer."""
    gates = Gates(relaxable(space).values(), RELAXATIONS[method], seed)
    recipe = RECIPE.scaled(0.5)
    options = {"machine": MACHINE, "seed": seed, "epochs": args.search_epochs, "gate_rate": args.gate_rate}
    found = search_gates(Bank(space, seed), gates, task, recipe, **options)
    arch = Arch(found.answers)
    shares = {key: logits.softmax(-1).tolist() for key, logits in gates.logits.items()}
    return {
        "chosen": cell_text(arch),
        "test": float(TEST[TABLE.row(arch)]),
        "train_loss": found.curve[-1]["train_loss"],
        "entropy": found.curve[-1]["entropy"],
        "shares": [shares],
    }


def better_half(scores: Any, test: Any) -> float:
    """Return the rank correlation among the cells that are better than the median: whom one has to choose from."""
    good = test >= np.median(test)
    return float(spearmanr(np.asarray(scores)[good], test[good])[0])


def report(results: dict[str, Any], cells: list[Arch]) -> None:
    rows = [TABLE.row(arch) for arch in cells]
    test = TEST[rows]
    print(f"\n{len(cells)} random cells: test accuracy {test.mean():.2f} on average, best {test.max():.2f}")
    print(f"all {len(list(enumerate_archs(TABLE.space)))} cells: best {TEST.max():.2f}\n")
    params = mean(TABLE.column("params"))[rows, -1]
    print(f"{'score':34} {'all':>7} {'better half':>12} {'with params':>12}   chosen of these cells, test accuracy")
    for name in ("params", "macs"):
        column = mean(TABLE.column(name))[rows, -1]
        rho = spearmanr(column, test)[0]
        size = spearmanr(column, params)[0]
        best = test[int(np.argmax(column))]
        print(f"{name:34} {rho:7.3f} {better_half(column, test):12.3f} {size:12.3f}   {best:.2f}")
    for name in PATHS:
        for kind in ("scores", "shared_statistics"):
            found = [np.array(r[kind]) for key, r in results.items() if key.split()[0] == name]
            whole = [spearmanr(s, test)[0] for s in found]
            half = [better_half(s, test) for s in found]
            chosen = ", ".join(f"{test[int(np.argmax(s))]:.2f}" for s in found)
            size = np.mean([spearmanr(s, params)[0] for s in found])
            label = f"{name}, {'recalibrated' if kind == 'scores' else 'shared statistics'}"
            print(f"{label:34} {np.mean(whole):7.3f} {np.mean(half):12.3f} {size:12.3f}   {chosen}   (of each seed: "
                  f"{', '.join(f'{w:.3f}' for w in whole)})")  # fmt: skip
    own = results["alone"]["alone"]
    few = test[: len(own)]
    print(f"{f'{len(own)} cells trained on their own':34} {spearmanr(own, few)[0]:7.3f} {better_half(own, few):12.3f}"
          f" {spearmanr(own, params[: len(own)])[0]:12.3f}   {few[int(np.argmax(own))]:.2f}")  # fmt: skip
    for key, r in results.items():  # the same cells, on the banks
        if "scores" in r:
            print(f"  the same on the bank {key:11} {spearmanr(r['scores'][: len(own)], few)[0]:7.3f}, "
                  f"with them {spearmanr(r['scores'][: len(own)], own)[0]:.3f}")  # fmt: skip
    print()
    for key, r in results.items():
        print(f"{key:12} {r['test']:6.2f}   {r['chosen']}   {r['cpu_seconds'] / 60:.1f} CPU minutes")
    print(f"{sum(r['cpu_seconds'] for r in results.values()) / 60:.1f} CPU minutes in all")


if __name__ == "__main__":
    main()
