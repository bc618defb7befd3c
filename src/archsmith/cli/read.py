"""``archsmith ls`` and ``archsmith show``: what there is, and what came out. They read files only, and start at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsmith.cli.output import emit, emit_json, table
from archsmith.cli.runs import complete_run, find_run, run_folders
from archsmith.cli.summary import headline, summary
from archsmith.report.record import load_record

__all__ = ["ls", "show"]

_OUT = Annotated[Path, typer.Option(help="Where run folders are.")]
_JSON = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def ls(out: _OUT = Path("runs"), as_json: _JSON = False) -> None:
    """List the runs, the newest last: name, status, trials, best result, budget."""
    records = [load_record(folder) for folder in run_folders(out)]
    if as_json:
        runs = [
            {
                "folder": str(r.folder),
                "name": r.name,
                "status": r.status,
                "trials": len(r.trials),
                "best": r.best.get("metrics"),
                "test": r.best.get("test"),
                "budget_s": r.result.get("budget_s"),
            }
            for r in records
        ]
        emit_json({"runs": runs})
    elif records:
        emit(table([headline(r) for r in records], indent=0))
    else:
        emit(f"There is no run in {out} yet. Start one with: archsmith search digits --budget 90s")


def show(
    run: Annotated[
        str | None, typer.Argument(help="A run's folder or name; the newest by default.", autocompletion=complete_run)
    ] = None,
    out: _OUT = Path("runs"),
    as_json: _JSON = False,
) -> None:
    """Show what came out of a run: the verdict, the network, the comparisons, the cost, the files."""
    folder = find_run(run, out)
    record = load_record(folder)
    if as_json:
        trials = [
            {"number": t.number, "state": t.state, "metrics": dict(t.metrics), "fidelity": dict(t.fidelity)}
            for t in record.trials
        ]
        emit_json({**record.result, "folder": str(folder), "trials": trials, "notes": list(record.notes)})
    else:
        emit(summary(record))
