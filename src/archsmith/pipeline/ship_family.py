"""The networks of a family, shipped beside the best one: each in a folder of its own, laid out like a run's."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsmith.build.source import shipped_source
from archsmith.export import Facts, Verified, export
from archsmith.pipeline.comparisons import measure
from archsmith.pipeline.folder import write_json
from archsmith.pipeline.result import Best, load_result
from archsmith.pipeline.screen import shipped
from archsmith.pipeline.work import Work, costs
from archsmith.report.text import brief, label
from archsmith.task import Split

__all__ = ["FOR", "drop_others", "family_folder", "note_checked", "ship_family", "test_family"]

FOR = "for"
"""The folder of a run in which there is a folder for each limit."""


def family_folder(metric: str, bound: float) -> str:
    """Return the folder of the network for a limit, such as ``for/latency-5ms``."""
    words = {"latency_ms": "latency", "activation_bytes": "memory"}.get(metric, metric)
    return f"{FOR}/{words}-{bound:.15g}{'ms' if metric == 'latency_ms' else ''}"


def test_family(work: Work, test: Split) -> dict[str, dict[str, float]]:
    """Return the metrics on the test split, while it is open, of the network for each limit."""
    return {f"{b:.15g}": measure(work.task, shipped(work.task, f.network), test) for b, f in work.family}


def ship_family(work: Work, tested: Mapping[str, Mapping[str, float]], facts: Facts) -> dict[float, Best]:
    """Write the network for each limit with what is known of it, and return them by limit.

    Each folder has ``best/`` and ``result.json`` as a run has, so that ``archsmith predict RUN/for/latency-5ms`` works.
    """
    found: dict[float, Best] = {}
    metric = next(iter(work.request.family), "")
    shape = tuple(work.task.train.x.shape[1:])
    for bound, finalist in work.family:
        root = work.folder / family_folder(metric, bound)
        network = shipped(work.task, finalist.network)
        known = {**finalist.metrics, **costs(network, shape)}
        test = dict(tested[f"{bound:.15g}"])
        arch = finalist.trial.arch
        after = work.task.postprocess
        text = shipped_source(
            work.space, arch, work.task.preprocess, None if type(after).__name__ == "Identity" else after
        )
        words = f"The network for {label(metric)} at most {brief(metric, bound)}."
        own = replace(facts, measured=_plain(known), tested=test, notes=(words, *work.task.notes))
        export(network, text, own, work.task.valid.x[:7], root / "best", ["safetensors"])
        write_json(root / "best" / "arch.json", arch.to_json())
        data: dict[str, Any] = {
            "schema_version": 1,
            "name": f"{work.request.name} {family_folder(metric, bound)}",
            "status": "finished",
            "verdict": words,
            "task": work.task.to_json(),
            "objectives": [{"metric": o.metric, "direction": o.direction} for o in work.request.objectives],
            "limits": {**work.request.limits, metric: bound},
            "best": {
                "trial": finalist.trial.number,
                "arch": arch.to_json(),
                "origin": finalist.origin,
                "seconds": finalist.seconds,
                "metrics": known,
                "test": test,
                "source": text,
            },
            "exports": [],
        }
        write_json(root / "result.json", data)
        found[bound] = Best(network, known, test, dict(arch), text)
    return found


def drop_others(work: Work) -> None:
    """Remove the folders of limits that the run had before it went on, and has no longer."""
    wanted = {work.folder / family_folder(metric, bound) for metric in work.request.family for bound, _ in work.family}
    for folder in set((work.folder / FOR).glob("*")) - wanted:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # where one is left
        (work.folder / FOR).rmdir()


def note_checked(root: Path, found: Sequence[Verified]) -> list[dict[str, Any]]:
    """Write down in the folder of one limit what checking its files has found, and return it as data."""
    rows = [item.to_json() for item in found]
    write_json(root / "result.json", {**load_result(root), "exports": rows})
    return rows


def _plain(metrics: Mapping[str, float]) -> dict[str, float]:
    return {k: v for k, v in metrics.items() if k not in ("train_loss", "epochs", "seconds")}
