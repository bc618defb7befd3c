"""A made-up run folder that looks like a real one, written as the pipeline and the store write theirs."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from archsmith.store import SQLiteStore
from archsmith.trial import Event

SOURCE = '''"""A network found by search. It needs torch and nothing else."""

import torch
from torch import nn


class ConvNormAct(nn.Sequential):
    """Convolution, batch normalisation, activation."""

    def __init__(self, cin, cout, kernel, stride=1, groups=1):
        super().__init__(
            nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(cout),
            nn.SiLU(),  # smooth, and cheap on this machine
        )


def build() -> nn.Module:
    block_0 = InvertedBottleneck(16, 32, expand=4, kernel=5, stride=2)
    stages = [block_0, InvertedBottleneck(32, 32, expand=4, kernel=3), InvertedBottleneck(32, 64, expand=2, kernel=3)]
    return nn.Sequential(
        PixelNormalize(mean=(0.286,), std=(0.353,)),
        nn.Sequential(ConvNormAct(1, 16, 3), nn.Sequential(*stages), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(64, 10),
    )
'''
TREE: list[Any] = [
    "Sequential",
    70_122,
    [
        ["PixelNormalize", 0, []],
        [
            "Sequential",
            70_122,
            [
                ["ConvNormAct", 176, [["Conv2d 1→16 3\u00d73", 144, []], ["BatchNorm2d 16", 32, []], ["SiLU", 0, []]]],
                [
                    "Stage",
                    21_000,
                    [
                        [
                            "InvertedBottleneck",
                            7_000,
                            [
                                [
                                    "ConvNormAct",
                                    2_048,
                                    [
                                        ["Conv2d 16→64 1\u00d71", 1_024, []],
                                        ["BatchNorm2d 64", 128, []],
                                        ["SiLU", 0, []],
                                    ],
                                ],
                                [
                                    "ConvNormAct",
                                    1_728,
                                    [
                                        ["Conv2d 64→64 5\u00d75 stride 2 depthwise", 1_600, []],
                                        ["BatchNorm2d 64", 128, []],
                                        ["SiLU", 0, []],
                                    ],
                                ],
                                [
                                    "SqueezeExcite",
                                    2_128,
                                    [["Conv2d 64→16 1\u00d71", 1_040, []], ["Conv2d 16→64 1\u00d71", 1_088, []]],
                                ],
                                ["Conv2d 64→32 1\u00d71", 2_048, []],
                                ["BatchNorm2d 32", 64, []],
                            ],
                        ],
                        *[["Residual", 7_000, [["ConvNormAct", 6_936, []], ["BatchNorm2d 32", 64, []]]]] * 2,
                    ],
                ],
                ["Stage", 48_296, [["InvertedBottleneck", 24_148, []], ["InvertedBottleneck", 24_148, []]]],
                ["AdaptiveAvgPool2d", 0, []],
                ["Flatten", 0, []],
                ["Dropout 0.1", 0, []],
                ["Linear 64→10", 650, []],
            ],
        ],
    ],
]


def arch(rng: np.random.Generator) -> dict[str, Any]:
    depth = int(rng.integers(1, 4))
    answers: dict[str, Any] = {
        "width": int(rng.choice([16, 24, 32])),
        "depth": depth,
        "act": str(rng.choice(["relu", "silu", "hardswish"])),
    }
    for i in range(depth):
        answers[f"stage{i}.kind"] = str(rng.choice(["mbconv", "conv", "skip"]))
        if answers[f"stage{i}.kind"] != "skip":
            answers[f"stage{i}.kernel"] = int(rng.choice([3, 5, 7]))
    return answers | {
        "lr": float(10 ** rng.uniform(-4, -1)),
        "augment": str(rng.choice(["none", "shift", "shift_flip"])),
    }


def quality(answers: dict[str, Any]) -> float:
    """The accuracy after unlimited training: the learning rate matters most, the activation hardly."""
    value = 0.925 - 0.02 * (math.log10(answers["lr"]) + 2.2) ** 2
    value += {16: -0.012, 24: 0.0, 32: 0.006}[answers["width"]] + {"none": -0.015}.get(answers["augment"], 0.0)
    kinds = [answers[f"stage{i}.kind"] for i in range(answers["depth"])]
    return value + sum({"mbconv": 0.007, "conv": 0.003, "skip": -0.006}[k] for k in kinds)


def costs(answers: dict[str, Any]) -> dict[str, float]:
    kinds = [answers[f"stage{i}.kind"] for i in range(answers["depth"])]
    kernels = [answers.get(f"stage{i}.kernel", 0) for i in range(answers["depth"])]
    params = answers["width"] * (40 + sum({"mbconv": 330, "conv": 900, "skip": 5}[k] for k in kinds))
    params += sum(answers["width"] * k * k * 4 for k in kernels)
    return {
        "params": float(params),
        "macs": params * 210.0,
        "activation_bytes": params * 9.0,
        "latency_ms": round(0.35 + params / 21_000 + 0.13 * len(kinds), 4),
    }


def write_folder(
    folder: Path, *, trials: int = 90, seed: int = 0, name: str = "fashion-mnist-7f3a", **changes: Any
) -> Path:
    """Write a finished run; ``changes`` replace top-level entries of the result, None removes one."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    events: list[dict[str, Any]] = []
    clock = 1_930_000_000.0
    done: list[tuple[int, dict[str, Any], dict[str, float], int]] = []

    def log(kind: str, trial: int, data: dict[str, Any], time: float) -> None:
        events.append({"kind": kind, "trial": trial, "data": data, "time": time})

    for number in range(trials):
        promote = [d for d in done if d[3] < 9 and d[0] > number - 24]
        resume, epochs = None, 1
        if promote and number % 4 == 3:
            parent = max(promote, key=lambda d: d[2]["accuracy"])
            done.remove(parent)
            answers, resume, epochs = parent[1], parent[0], parent[3] * 3
        elif done and number % 3:
            parent = max((done[int(i)] for i in rng.integers(len(done), size=3)), key=lambda d: d[2]["accuracy"])
            answers, other = dict(parent[1]), arch(rng)
            changed = str(rng.choice(["width", "act", "augment", "lr", "all"]))
            answers = other if changed == "all" else answers | {changed: other[changed]}
        else:
            answers = arch(rng)
        proposal = {"arch": answers, "fidelity": {"epochs": epochs}, "resume": resume}
        known = costs(answers)
        log("asked", number, {"proposal": proposal, "ask": number, "source_key": "", "metrics": known}, clock)
        if known["latency_ms"] > 5.0:
            log(
                "finished",
                number,
                {
                    "state": "infeasible",
                    "metrics": known,
                    "seconds": 0.01,
                    "reason": f"latency_ms {known['latency_ms']:.2f} is over the limit 5",
                },
                clock + 0.01,
            )
            continue
        seconds = 3.0 * epochs + known["params"] / 40_000 * epochs
        state, reason = "complete", ""
        if number % 17 == 11:
            state, reason = "failed", f"RuntimeError: Given input size ({number}x1x1). Output size is too small"
        elif number % 23 == 13:
            state, reason = "stopped", "the loss diverged in epoch 1"
        first = 0 if resume is None else epochs // 3
        rows = []
        for epoch in range(first + 1, epochs + 1):
            reached = quality(answers) - 0.095 * epoch**-0.8 + rng.normal(0, 0.003)
            reached = reached if state != "stopped" else 0.78 - 0.02 * epoch
            rows.append(
                {
                    "epoch": epoch,
                    "seconds": round(3.0 * epoch, 3),
                    "train_loss": 1.2 / epoch,
                    "accuracy": reached,
                    "log_loss": 1.4 - reached,
                }
            )
        place = folder / "trials" / str(number)
        place.mkdir(parents=True)
        (place / "arch.json").write_text(json.dumps(answers))
        with (place / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows[: 1 if state == "failed" else None])
        metrics = known | (
            {"accuracy": rows[-1]["accuracy"], "log_loss": rows[-1]["log_loss"]} if state == "complete" else {}
        )
        if number % 19 == 7 and state == "complete":
            state, seconds = "cached", 0.0
        log(
            "finished",
            number,
            {"state": state, "metrics": metrics, "seconds": seconds, "reason": reason},
            clock + seconds,
        )
        if state == "complete":
            done.append((number, answers, metrics, epochs))
        clock += seconds + 0.05
    store = SQLiteStore(folder / "store.sqlite")
    store.append_many("study", [Event("note", None, {"study": {"seed": seed}}, clock), *(Event(**e) for e in events)])
    store.close()
    result = _result(name, events, done) | changes
    result = {k: v for k, v in result.items() if v is not None}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "env.json").write_text(
        json.dumps(
            {
                "command": "archsmith search fashion_mnist --budget 15m --max-latency 5ms",
                "python": "3.11.9",
                "platform": "Linux x86_64",
                "packages": {"torch": "2.13.0", "numpy": "2.4.6", "archsmith": "0.1.0"},
                "wandb_api_key": "hunter2",
            }
        )
    )
    (folder / "run.toml").write_text(
        'source = "fashion_mnist"\nbudget = "15m"\nseed = 0\n\n[limits]\nlatency_ms = 5.0\n'
    )
    return folder


def _result(
    name: str, events: list[dict[str, Any]], done: list[tuple[int, dict[str, Any], dict[str, float], int]]
) -> Any:
    tops = sorted(done, key=lambda d: -d[2]["accuracy"])[:4]
    ended = [e["data"]["state"] for e in events if e["kind"] == "finished"]
    best = tops[0] if tops else (0, {"width": 16}, {"accuracy": 0.9, "params": 70_122.0, "latency_ms": 2.9}, 9)
    curve = [[e, 11.0 * e, 1.1 / e, 0.9325 - 0.13 * e**-0.9 - 0.004 * math.cos(3 * e) / e] for e in range(1, 31)]
    final = {"accuracy": 0.9312, "log_loss": 0.241, "balanced_accuracy": 0.9312}
    sizes = {k: v for k, v in best[2].items() if k not in ("accuracy", "log_loss")}

    def rival(label: str, kind: str, valid: float, test: float, params: float, latency: float, note: str = "") -> Any:
        return {
            "name": label,
            "kind": kind,
            "metrics": {"accuracy": valid, "params": params, "latency_ms": latency},
            "test": {"accuracy": test},
            "seconds": 84.0,
            "note": note,
        }

    return {
        "schema_version": 1,
        "name": name,
        "status": "finished",
        "verdict": "A network of 70 thousand parameters reaches 92.9 % on the test data at 2.9 ms a picture, inside "
        "the limit of 5 ms. It is better than every human design trained beside it and than "
        "the best of three random architectures.",
        "task": {
            "name": "fashion_mnist",
            "kind": "image",
            "goal": "classification",
            "labels": [f"class {i}" for i in range(10)],
            "columns": [],
            "split_hash": "sha256:5f1d0c7a92be",
            "sizes": {"train": 54000, "valid": 6000, "test": 10000},
            "notes": ["The official test files were kept as the test split."],
            "baseline_accuracy": 0.1,
        },
        "budget_s": 900,
        "phases": [
            {"name": "check the data", "planned_s": 10, "spent_s": 4.2, "note": ""},
            {
                "name": "measure the machine",
                "planned_s": 20,
                "spent_s": 17.8,
                "note": "two trials side by side with one thread each",
            },
            {"name": "search", "planned_s": 440, "spent_s": 441.0, "note": ""},
            {
                "name": "finalists",
                "planned_s": 240,
                "spent_s": 236.1,
                "note": "four finalists, three seeds for the winner",
            },
            {"name": "comparisons", "planned_s": 160, "spent_s": 168.4, "note": ""},
            {"name": "export and report", "planned_s": 30, "spent_s": 12.6, "note": ""},
        ],
        "machine": {
            "device": "cpu",
            "precision": "bfloat16",
            "channels_last": True,
            "threads": 1,
            "slots": 2,
            "notes": ["bfloat16 was 1.4 times faster"],
            "cpu": "2 cores of a server processor",
        },
        "objectives": [{"metric": "accuracy", "direction": "max"}, {"metric": "latency_ms", "direction": "min"}],
        "limits": {"latency_ms": 5.0},
        "seed": 0,
        "space": {"name": "mobile", "decisions": 31, "size": "4.1e17"},
        "strategy": "SuccessiveHalving(RegularizedEvolution(population=64, sample=16), fidelity='epochs')",
        "counts": {
            "asked": len([e for e in events if e["kind"] == "asked"]),
            **{s: ended.count(s) for s in set(ended)},
        },
        "best": {
            "trial": best[0],
            "arch": best[1],
            "origin": "trained from scratch",
            "metrics": {**sizes, **final, "onnx_latency_ms": 1.61, "bytes": 291_004},
            "test": {"accuracy": 0.9287, "balanced_accuracy": 0.9287, "log_loss": 0.249},
            "seeds": [{"seed": s, "metrics": {"accuracy": 0.9312 - 0.001 * s}} for s in range(3)],
            "curve": curve,
            "source": SOURCE,
            "tree": TREE,
        },
        "finalists": [
            {
                "trial": d[0],
                "metrics": d[2],
                "seeds": [{"seed": s, "metrics": {}} for s in range(3 if i == 0 else 2)],
                "mean": 0.9305 - 0.0024 * i,
                "deviation": 0.0011 + 0.0002 * i,
            }
            for i, d in enumerate(tops)
        ],
        "comparisons": [
            rival(
                "the winner, trained equally long", "winner", 0.9281, 0.9246, best[2]["params"], best[2]["latency_ms"]
            ),
            rival("ResNet-20", "human", 0.9268, 0.9231, 272_474, 4.4),
            rival("MobileNetV2", "human", 0.9201, 0.9166, 81_230, 3.3),
            rival("plain CNN", "human", 0.9266, 0.9195, 70_010, 2.2),
            rival("random 1", "random", 0.9144, 0.9102, 44_120, 2.5),
            rival("random 2", "random", 0.9239, 0.9188, 98_400, 4.1),
            rival("random 3", "random", 0.9052, 0.9031, 21_000, 1.6, "underfitted"),
        ],
        "missing_comparisons": ["random 4"],
        "correlation": {"low_fidelity_vs_full": {"rho": 0.74, "n": 9}},
        "importance": [],
        "energy": {"wh_estimate": 9.4, "how": "15 minutes at a nominal 37 W for two cores"},
        "exports": [
            {
                "format": "onnx",
                "path": "best/model.onnx",
                "ok": True,
                "bytes": 291_004,
                "latency_ms": 1.61,
                "max_difference": 9.5e-7,
                "batches": [1, 2, 7],
            },
            {
                "format": "pt2",
                "path": "best/model.pt2",
                "ok": True,
                "bytes": 340_112,
                "latency_ms": 2.7,
                "max_difference": 0.0,
                "batches": [1, 2, 7],
            },
        ],
    }
