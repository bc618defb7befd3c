"""From a run folder to what a person reads: the page, the summary and the tables."""

from __future__ import annotations

from pathlib import Path

from archsmith.files import write_text
from archsmith.report.diagram import Block
from archsmith.report.page import page
from archsmith.report.record import load_record
from archsmith.report.summary import summary
from archsmith.report.tables import leaderboard_csv, pareto_csv

__all__ = ["write_reports"]


def write_reports(folder: str | Path, block: Block | None = None) -> Path:
    """Write ``report.html``, ``summary.md``, ``leaderboard.csv`` and ``pareto.csv`` into a run folder.

    Works on a finished, a stopped and a running study; what is not there yet is a sentence in the page. ``block`` is
    the tree of the winner (``block_of``), for the drawing. Each file appears whole or not at all. Returns the page's
    path; raises ``OSError`` when the folder cannot be written.
    """
    record = load_record(folder)
    texts = {
        "leaderboard.csv": leaderboard_csv(record),
        "pareto.csv": pareto_csv(record),
        "summary.md": summary(record),
        "report.html": page(record, block),
    }
    for name, text in texts.items():
        write_text(record.folder / name, text, "report.file")
    return record.folder / "report.html"
