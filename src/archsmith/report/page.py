"""The report: one page of HTML that needs no network, no script and no font of its own."""

from __future__ import annotations

import re

from archsmith.report.diagram import Block
from archsmith.report.facts import figures, task_line, verdict
from archsmith.report.markup import paragraph, tiles
from archsmith.report.record import RunRecord
from archsmith.report.sections import (
    comparison_section,
    cost_section,
    decisions_section,
    exports_section,
    repeat_section,
    search_section,
    trade_off_section,
    trust_section,
    winner_section,
)
from archsmith.report.shared_section import shared_section
from archsmith.report.style import STYLE
from archsmith.report.text import escape

__all__ = ["page"]

# Should anything in a name or a log ever get past the escaping, the browser still runs and fetches nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(record: RunRecord, block: Block | None = None) -> str:
    """Return the whole report as HTML; ``block`` is the winner's tree, read from the record where it is not given."""
    parts = [
        trade_off_section(record),
        comparison_section(record),
        trust_section(record),
        shared_section(record),
        winner_section(record, block),
        decisions_section(record),
        search_section(record),
        exports_section(record),
        cost_section(record),
        repeat_section(record),
    ]
    found = re.findall(r'<section id="([^"]*)"><h2>(.*?)</h2>', "".join(parts))
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in found)
    unfinished = {
        "running": "This run is not finished. What follows is what its log holds so far.",
        **dict.fromkeys(
            ("stopped", "paused", "failed"), "This run was stopped before its end. What follows is what it reached."
        ),
    }.get(record.status, "")
    notes = "".join(paragraph(note, "notice") for note in record.notes)
    title = escape(record.name)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title} · Archsmith</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
        f"<style>{STYLE}</style></head>\n<body><main><header>{paragraph(task_line(record), 'over')}<h1>{title}</h1>"
        f"{paragraph(verdict(record), 'verdict')}{paragraph(unfinished, 'notice')}{notes}{tiles(figures(record))}"
        f"<nav>{links}</nav></header>\n"
        + "\n".join(parts)
        + "\n<footer>Written by Archsmith. Everything on this page comes from the files beside it.</footer>"
        "</main></body></html>\n"
    )
