"""The run on half a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from archsmith.report.facts import OWN, command, counts, export_rows, figures, gap, rivals, task_line, verdict
from archsmith.report.record import RunRecord, dig, number_in, rows_in
from archsmith.report.shared_section import shared_lines
from archsmith.report.text import duration, label, markdown, metric

__all__ = ["summary"]


def summary(record: RunRecord) -> str:
    """Return the verdict, the key figures, the comparisons and how to repeat the run, as Markdown."""
    parts = [f"# {markdown(record.name)}", markdown(verdict(record))]
    if task_line(record):
        parts.append(markdown(task_line(record)))
    parts.append(_table(["", "", ""], figures(record)))
    name, cost = record.main.metric, record.costs[:2]
    lines = rivals(record)
    if any(r.kind not in OWN for r in lines):
        heads = ["", f"test {label(name)}", f"validation {label(name)}", *map(label, cost), "training"]
        rows = [
            [
                r.name,
                metric(name, r.test),
                metric(name, r.valid),
                *(metric(c, number_in(r.metrics, c)) for c in cost),
                duration(r.seconds),
            ]
            for r in lines
        ]
        parts += ["## Compared at equal cost", _table(heads, rows)]
    if gap(record):
        parts.append(markdown(gap(record)))
    parts += [markdown(line) for line in shared_lines(record)]
    ended = ", ".join(f"{n} {state}" for state, n in counts(record).items())
    if ended:
        parts.append(markdown(f"Trials: {ended}."))
    exports = export_rows(rows_in(record.result, "exports"))
    if exports:
        heads = ["format", "file", "verified", "size", "latency", "largest difference", "batches", "why not"]
        parts += ["## The files", _table(heads, exports)]
    repeat = [
        f"- {markdown(k)}: {markdown(v)}"
        for k, v in [
            ("command", command(record)),
            ("seed", record.result.get("seed", "")),
            ("split hash", dig(record.result, "task").get("split_hash", "")),
        ]
        if v not in ("", None)
    ]
    if repeat:
        parts += ["## To repeat it", "\n".join(repeat)]
    parts.append("The whole story is in report.html.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    text = [f"| {' | '.join(map(markdown, heads))} |", f"| {' | '.join(lines[1])} |"]
    return "\n".join(text + [f"| {' | '.join(map(markdown, row))} |" for row in rows])
