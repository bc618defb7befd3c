"""``archsmith ls`` and ``show``: what there is, and what came out. They read files only, and start at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsmith.cli.output import emit, emit_json
from archsmith.cli.runs import complete_run, find_run
from archsmith.report import list_runs, load_record, runs_lines, show_data, show_lines

__all__ = ["ls", "show", "tell"]

_OUT = Annotated[Path, typer.Option(help="Where run folders are.")]
_JSON = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


def ls(out: _OUT = Path("runs"), as_json: _JSON = False) -> None:
    """List the runs, the newest first: name, status, budget, best result, parameters."""
    runs = list_runs(out)
    if as_json:
        emit_json({"runs": runs})
    else:
        emit(
            "\n".join(runs_lines(runs)) or f"There is no run in {out} yet. Begin: archsmith search digits --budget 90s"
        )


def show(
    run: Annotated[
        str | None, typer.Argument(help="A run's folder or name; the newest by default.", autocompletion=complete_run)
    ] = None,
    out: _OUT = Path("runs"),
    as_json: _JSON = False,
) -> None:
    """Show what came out of a run: the verdict, the network, the comparisons, the trials, the files."""
    tell(find_run(run, out), as_json)


def tell(folder: Path, as_json: bool) -> None:
    """Write what came out of a run to stdout."""
    record = load_record(folder)
    if as_json:
        report = folder / "report.html"
        emit_json({**show_data(record), "report": str(report) if report.is_file() else None})
        return
    emit("\n".join(show_lines(record)))
    files = sorted(p.name for p in (folder / "best").glob("model.*"))
    if files:
        emit(f"Network: {folder / 'best'} ({', '.join(files)})")
