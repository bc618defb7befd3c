"""The last phase: open the test split once, export, verify, write down everything, report."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from archsmith.build.source import shipped_source
from archsmith.export import export
from archsmith.pipeline.comparisons import Comparison, measure
from archsmith.pipeline.describe import describe, noise, phases
from archsmith.pipeline.folder import write_json, write_manifest
from archsmith.pipeline.result import Best, Result
from archsmith.pipeline.screen import shipped
from archsmith.pipeline.verdict import verdict
from archsmith.pipeline.work import Work, costs
from archsmith.report.diagram import block_of
from archsmith.report.write import write_reports
from archsmith.task import Split
from archsmith.trial import front

__all__ = ["ship"]


def ship(work: Work) -> Result:
    """Open the test split, export and verify the winner, write the run folder's files, and return the result."""
    work.announce("test, export and report")
    winner, task, request = work.finalists[0], work.task, work.request
    network = shipped(task, winner.network)
    known = {**winner.metrics, **costs(network, tuple(task.train.x.shape[1:]))}
    test = task.open_test()  # the only place: everything that is chosen was chosen above
    tested = measure(task, network, test)
    work.compared = [_tested(work, c, test) for c in work.compared]
    text = shipped_source(work.space, winner.trial.arch, task.preprocess, _after(task.postprocess))
    words = verdict(work.objective, known, tested, work.compared, work.missing, request.limits, noise(work, known))
    data = describe(work, known, tested, text, words)
    write_json(work.folder / "result.json", data)  # from here on there is a result, whatever becomes of the exports
    exports = export(network, text, _facts(work), work.folder, request.formats, deadline=work.clock.deadline(3.0))
    data["exports"] = exports
    onnx = next((e for e in exports if e["format"] == "onnx"), {})
    if onnx.get("latency_ms") is not None:
        data["best"]["metrics"]["onnx_latency_ms"] = onnx["latency_ms"]
    work.announce("done")
    data["phases"] = phases(work)
    write_json(work.folder / "result.json", data)
    report = write_reports(work.folder, block_of(winner.network))
    write_manifest(work.folder)
    work.say({"type": "done", "report": str(report)})
    best = Best(network, known, tested, dict(winner.trial.arch), text)
    assert work.study is not None
    return Result(best, tuple(front(work.study.trials)), report, work.folder, data)


def _tested(work: Work, comparison: Comparison, test: Split) -> Comparison:
    if comparison.predict is None:
        return comparison
    return replace(comparison, test=measure(work.task, comparison.predict, test))


def _after(postprocess: nn.Module) -> nn.Module | None:
    return None if isinstance(postprocess, nn.Identity) else postprocess
