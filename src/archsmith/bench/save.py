"""A comparison as a folder: every trajectory, the summary, and the drawings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from archsmith import __version__
from archsmith.bench.charts import anytime_chart, front_chart
from archsmith.bench.compare import Comparison
from archsmith.bench.play import Trajectory
from archsmith.bench.published import published
from archsmith.errors import DataError

__all__ = ["load_trajectories", "save", "summary"]

_ARRAYS = ("row", "level", "ended", "losses", "violation")


def save(comparison: Comparison, folder: Path, command: str = "") -> None:
    """Write ``summary.json``, ``trajectories.npz``, ``anytime.svg`` and, for two objectives, ``front.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"command": command, **summary(comparison)}
    (folder / "summary.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    np.savez_compressed(folder / "trajectories.npz", **_arrays(comparison))  # type: ignore[arg-type]
    labels = [line.label for line in comparison.lines()]
    for name, drawn in (("anytime", anytime_chart(comparison, labels)), ("front", front_chart(comparison, labels))):
        if drawn:
            (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")


def summary(comparison: Comparison) -> dict[str, Any]:
    """Return what a comparison says, ready for JSON: the problem, and a line for each strategy, the best first."""
    problem = comparison.problem
    lines = []
    for line in comparison.lines():
        known = published(problem, comparison.entries[line.label])
        said = {**asdict(line), "published": None if known is None else dict(known.values)}
        if not line.answered:  # no seed has an answer, and JSON no word for what is not a number
            said |= {"mean": None, "deviation": None, "other": dict.fromkeys(line.other, (None, None))}
        lines.append(said)
    return {
        "version": __version__,
        "problem": problem.name,
        "objectives": [f"{o.direction}:{' against '.join(o.metrics)}" for o in problem.objectives],
        "limits": dict(problem.limits),
        "trials": problem.trials,
        "seconds": problem.seconds,
        "level": dict(problem.level),
        "workers": problem.workers,
        "answer": problem.answer,
        "judge": comparison.judge,
        "optimum": comparison.optimum(),
        "seeds": list(comparison.seeds),
        "strategies": lines,
    }


def _arrays(comparison: Comparison) -> dict[str, np.ndarray]:
    """Return for every strategy its trajectories one after the other, and where each ends."""
    arrays: dict[str, np.ndarray] = {"strategies": np.array(list(comparison.trajectories))}
    for place, played in enumerate(comparison.trajectories.values()):
        for name in _ARRAYS:
            arrays[f"{place}.{name}"] = np.concatenate([getattr(t, name) for t in played])
        arrays[f"{place}.seed"] = np.array([t.seed for t in played])
        arrays[f"{place}.length"] = np.array([len(t.row) for t in played])
        arrays[f"{place}.answer"] = np.array([t.answer for t in played])
        arrays[f"{place}.repeated"] = np.array([t.repeated for t in played])
        arrays[f"{place}.own_seconds"] = np.array([t.own_seconds for t in played])
    return arrays


def load_trajectories(folder: Path) -> dict[str, Sequence[Trajectory]]:
    """Return the trajectories of a saved comparison by strategy; raises ``DataError`` where there are none."""
    path = folder / "trajectories.npz"
    if not path.is_file():
        raise DataError(f"{folder} holds no comparison: there is no {path.name} in it.")
    found: dict[str, Sequence[Trajectory]] = {}
    with np.load(path, allow_pickle=False) as data:
        for place, label in enumerate(data["strategies"].tolist()):
            ends = np.cumsum(data[f"{place}.length"])[:-1]
            parts = {name: np.split(data[f"{place}.{name}"], ends) for name in _ARRAYS}
            found[label] = [
                Trajectory(
                    seed=int(seed),
                    **{name: parts[name][i] for name in _ARRAYS},
                    answer=int(data[f"{place}.answer"][i]),
                    repeated=int(data[f"{place}.repeated"][i]),
                    own_seconds=float(data[f"{place}.own_seconds"][i]),
                )
                for i, seed in enumerate(data[f"{place}.seed"])
            ]
    return found
