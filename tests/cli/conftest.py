import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from archsmith.cli import main
from archsmith.space import Arch
from archsmith.store import SQLiteStore
from archsmith.trial import Evaluate, Event

RESULT: dict[str, Any] = {
    "schema_version": 1,
    "name": "digits",
    "status": "finished",
    "verdict": "The network found classifies 98.6 % of the test images.",
    "task": {"name": "digits", "kind": "image", "goal": "classification", "labels": ["0", "1"]},
    "budget_s": 90,
    "phases": [{"name": "search", "planned_s": 30, "spent_s": 31.5, "note": ""}],
    "objectives": [{"metric": "accuracy", "direction": "max"}],
    "limits": {"params": 50000},
    "counts": {"asked": 2, "complete": 1, "failed": 1},
    "best": {
        "trial": 0,
        "metrics": {"accuracy": 0.99, "params": 48210, "latency_ms": 0.41},
        "test": {"accuracy": 0.986},
    },
    "comparisons": [{"name": "resnet20", "kind": "human", "metrics": {"params": 272000}, "test": {"accuracy": 0.98}}],
    "missing_comparisons": ["mobilenetv2"],
}


class Outcome(NamedTuple):
    """What a command left behind: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["archsmith", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a small run folder."""

    def make(name: str = "digits-20260101-120000-abc123", result: dict[str, Any] | None = RESULT) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "run.toml").write_text('name = "digits"\n', encoding="utf-8")
        if result is not None:
            (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
        (folder / "report.html").write_text("<html></html>", encoding="utf-8")
        with contextlib.closing(SQLiteStore(folder / "store.sqlite")) as store:
            store.append("digits", Event("asked", 0, {"proposal": Evaluate(Arch({"depth": 2})).to_json()}, 1.0))
            outcome = {"state": "complete", "metrics": {"accuracy": 0.99}, "seconds": 3.0, "reason": ""}
            store.append("digits", Event("finished", 0, outcome, 4.0))
            store.append("digits", Event("asked", 1, {"proposal": Evaluate(Arch({"depth": 3})).to_json()}, 4.0))
        return folder

    return make
