"""The last phase: open the test split once, export, verify, write down everything, report."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archsmith.build.source import shipped_source
from archsmith.errors import ExportError
from archsmith.export import Facts, Verified, available_formats, check, convert, export
from archsmith.export.write import FILES
from archsmith.failpoint import hit
from archsmith.lease import take
from archsmith.pipeline.comparisons import Comparison, measure
from archsmith.pipeline.describe import describe, phases, standard_error
from archsmith.pipeline.folder import write_json, write_manifest
from archsmith.pipeline.result import Best, Result, load_result
from archsmith.pipeline.screen import shipped
from archsmith.pipeline.ship_family import drop_others, family_folder, note_checked, ship_family, test_family
from archsmith.pipeline.verdict import verdict
from archsmith.pipeline.work import Work, costs
from archsmith.report.diagram import block_of
from archsmith.report.write import write_reports
from archsmith.task import Split
from archsmith.trial import front

__all__ = ["LEAST_CHECKING_S", "REPORTING_S", "export_again", "ship", "weights_hash"]

REPORTING_S = 3.0
LEAST_CHECKING_S = 45.0  # a busy machine loads torch slowly, and a good file must not be called a bad one


def ship(work: Work) -> Result:
    """Open the test split, export and verify the winner, write the run folder's files, and return the result.

    The network's own files come first and the exports after, each format on its own, so that whatever becomes of a
    format there is a usable network. What failed is in the result, with the reason.
    """
    work.announce("test, export and report")
    winner, task, request = work.finalists[0], work.task, work.request
    network = shipped(task, winner.network)
    known = {**winner.metrics, **costs(network, tuple(task.train.x.shape[1:]))}
    tested = _test(work, network)
    text = shipped_source(work.space, winner.trial.arch, task.preprocess, _after(task.postprocess))
    error = standard_error(work.objective, known, task, winner.values(work.objective.metric))
    words = verdict(work.objective, known, tested, work.compared, work.missing, request.limits, error, work.openings)
    data = describe(work, known, tested, text, words)
    best = work.folder / "best"
    facts = Facts(
        request.name,
        task.spec,
        tuple(task.train.x.shape[1:]),
        task.labels,
        tuple(c.to_json() for c in task.columns),
        task.target,
        {k: v for k, v in known.items() if k not in ("train_loss", "epochs", "seconds")},
        tested,
        (words, *task.notes),
    )
    export(network, text, facts, task.valid.x[:7], best, ["safetensors"])
    others = ship_family(work, (work.journal.get("test") or {}).get("family", {}), facts)
    data["best"]["weights"] = weights_hash(network)
    data["best"]["metrics"]["bytes"] = (best / "model.safetensors").stat().st_size
    data["by_limit"] = [
        {
            "metric": metric, "limit": bound, "folder": family_folder(metric, bound), "origin": finalist.origin,
            "trial": finalist.trial.number, "metrics": dict(others[bound].metrics), "test": dict(others[bound].test),
        }
        for metric in request.family
        for bound, finalist in work.family
    ]  # fmt: skip
    data["best"]["tree"] = block_of(winner.network).to_json()
    write_json(best / "arch.json", winner.trial.arch.to_json())
    write_json(best / "metrics.json", {"validation": known, "test": tested})
    write_json(work.folder / "result.json", data)
    drop_others(work)
    data["exports"] = _exports(work, best)
    with ThreadPoolExecutor(2) as pool:  # as many fresh processes at a time as for the files of one network
        for row, rows in zip(data["by_limit"], pool.map(partial(_checked_limit, work), data["by_limit"]), strict=True):
            row["exports"] = rows
    latency = next((e.get("latency_ms") for e in data["exports"] if e["format"] == "onnx"), None)
    if latency is not None:
        data["best"]["metrics"]["onnx_latency_ms"] = latency
    work.announce("done")
    data["phases"] = phases(work)
    write_json(work.folder / "result.json", data)
    report = write_reports(work.folder)
    write_manifest(work.folder)
    work.journal.save(status="finished")
    work.journal.clear()
    work.say({"type": "done", "report": str(report)})
    assert work.study is not None
    found = Best(network, data["best"]["metrics"], tested, dict(winner.trial.arch), text)
    # Where the search had time for no training, the winner is all that is known of the trade-off.
    alone = replace(winner.trial, metrics=known, losses=tuple(o.loss(known) for o in request.objectives))
    return Result(found, tuple(front(work.study.trials)) or (alone,), report, work.folder, data, others)


def _test(work: Work, network: nn.Module) -> dict[str, float]:
    """Open the test split and measure the winner and what it is compared with, unless that was done before.

    The choice is on the disk before the split is opened, and the outcome after it: a search that is killed in between
    goes on with the same choice, so that it is still one opening.
    """
    journal, task = work.journal, work.task
    frozen: dict[str, Any] = {"trial": work.finalists[0].trial.number, "weights": weights_hash(network)}
    if work.family:
        frozen["family"] = [[bound, weights_hash(finalist.network)] for bound, finalist in work.family]
    known = journal.get("test")
    if known is None or known["frozen"] != frozen:
        journal.put("opening", frozen)
        hit("test.opened")
        test = task.open_test()  # the only place: everything that is chosen was chosen above
        work.compared = [_tested(work, c, test) for c in work.compared]
        rivals = {c.name: dict(c.test) for c in work.compared}
        found = {"winner": measure(task, network, test), "rivals": rivals, "family": test_family(work, test)}
        known = journal.put("test", {"frozen": frozen, **found})
    work.compared = [replace(c, test=known["rivals"].get(c.name, {})) for c in work.compared]
    return dict(known["winner"])


def weights_hash(network: nn.Module) -> str:
    """Return the SHA-256 of a network's parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _exports(work: Work, best: Path) -> list[dict[str, Any]]:
    """Write each further format and verify all; what fails is a row with the reason."""
    failed: list[dict[str, Any]] = []
    wanted = [f for f in work.request.formats if f in available_formats()]
    for missing in [f for f in work.request.formats if f not in wanted]:
        failed.append(_failure(missing, "not installed: pip install 'archsmith[onnx]'"))
    error = f"the budget was over; later: archsmith export {work.folder} --format FORMAT"
    if wanted and work.clock.left(REPORTING_S) > 0:
        try:
            convert(best, wanted)  # together: tracing the network takes longest, and once is enough
        except ExportError as raised:
            error = str(raised)
    done = [f for f in wanted if (best / FILES[f]).is_file()]
    failed += [_failure(f, error) for f in wanted if f not in done]
    return [*(v.to_json() for v in _checked(work, best, ["safetensors", *done])), *failed]


def _checked_limit(work: Work, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Check the network for one limit as the best one was, and return what was found."""
    root = work.folder / row["folder"]
    return note_checked(root, _checked(work, root / "best", ["safetensors"]))


def _checked(work: Work, folder: Path, formats: Sequence[str]) -> list[Verified]:
    """Check files in fresh processes, for as long as there is time, and no shorter than a slow machine needs."""
    left = work.clock.left(REPORTING_S)
    return check(folder, formats, timeout=max(left, LEAST_CHECKING_S), least=left)


def _failure(kind: str, reason: str) -> dict[str, Any]:
    return {"format": kind, "path": "", "ok": False, "bytes": 0, "reason": reason}


def export_again(folder: str | Path, kind: str) -> dict[str, Any]:
    """Write one more format of a finished run's network, verify it, and return what was found.

    Raises ``ExportError`` when the file does not do what the network does, ``MissingExtra`` where a package is
    missing, and ``StoreError`` where the folder is no finished run.
    """
    root = Path(folder)
    data = load_result(root)
    lease = take(root)
    try:
        convert(root / "best", [kind])
        found = check(root / "best", [kind])[0]
        data["exports"] = [*(e for e in data["exports"] if e["format"] != kind), found.to_json()]
        write_json(root / "result.json", data)
        write_reports(root)
        write_manifest(root)
    finally:
        lease.release()
    if not found.ok:
        raise ExportError(f"{root / found.path}: {found.reason}")
    return {**found.to_json(), "path": str(root / found.path)}


def _tested(work: Work, comparison: Comparison, test: Split) -> Comparison:
    if comparison.predict is None:
        return comparison
    return replace(comparison, test=measure(work.task, comparison.predict, test))


def _after(postprocess: nn.Module) -> nn.Module | None:
    return None if isinstance(postprocess, nn.Identity) else postprocess
