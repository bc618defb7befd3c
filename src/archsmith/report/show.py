"""A run for the terminal: data for ``--json``, and lines to print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archsmith.documents import read_json
from archsmith.errors import StoreError
from archsmith.report.facts import command, counts, failures, figures, gap, rivals, task_line, verdict
from archsmith.report.record import RunRecord, dig, number_in, objectives_in, rows_in
from archsmith.report.shared_section import shared_lines
from archsmith.report.standing import standing
from archsmith.report.text import NBSP, clean, duration, label, metric, shorten

__all__ = ["SCHEMA_VERSION", "list_runs", "runs_lines", "show_data", "show_lines"]

SCHEMA_VERSION = 1


def show_data(record: RunRecord) -> dict[str, Any]:
    """Return what is worth knowing of a run, ready for JSON."""
    name = record.main.metric
    return {
        "schema_version": SCHEMA_VERSION,
        "name": record.name,
        "folder": str(record.folder),
        "status": record.status,
        "verdict": verdict(record),
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in record.objectives],
        "limits": record.limits,
        "counts": counts(record),
        "best": {
            "trial": record.best.get("trial"),
            "metrics": dict(dig(record.best, "metrics")),
            "test": dict(dig(record.best, "test")),
            "arch": dict(dig(record.best, "arch")),
        }
        if record.best
        else None,
        "comparisons": [
            {"name": r.name, "kind": r.kind, "valid": r.valid, "test": r.test, "seconds": r.seconds, "metric": name}
            for r in rivals(record)
            if r.kind != "winner"
        ],
        "front": [{"trial": t.number, "metrics": dict(t.metrics)} for t in record.front],
        "failures": [{"cause": cause, "trials": count} for cause, count, _ in failures(record)],
        "exports": [dict(row) for row in rows_in(record.result, "exports")],
        "command": command(record),
        "notes": list(record.notes),
    }


def show_lines(record: RunRecord) -> list[str]:
    """Return a run as lines of plain text, free of terminal escapes."""
    lines = [record.name, task_line(record), "", verdict(record), ""]
    known = figures(record)
    wide = max((len(name) for name, _, _ in known), default=0)
    lines += [f"  {name:<{wide}}  {value}{f'  ({note})' if note else ''}" for name, value, note in known]
    others = rivals(record)
    if len(others) > 1:
        lines += ["", "Compared at equal cost, best first:"]
        wide = max(len(r.name) for r in others)
        lines += [
            f"  {r.name:<{wide}}  test {metric(record.main.metric, r.test)}  validation "
            f"{metric(record.main.metric, r.valid)}  {duration(r.seconds)}"
            for r in others
        ]
    if gap(record):
        lines += ["", gap(record)]
    said = shared_lines(record)
    lines += ["", *said] if said else []
    ended = ", ".join(f"{n} {state}" for state, n in counts(record).items())
    lines += ["", f"Trials: {ended or 'none yet'}."]
    lines += [f"Failed {count} times: {cause}" for cause, count, _ in failures(record)[:3]]
    lines += [f"Note: {note}" for note in record.notes]
    lines.append(f"Report: {record.folder / 'report.html'}")
    return [clean(line).replace(NBSP, " ") for line in lines]


def list_runs(folder: str | Path) -> list[dict[str, Any]]:
    """Return one entry for each run folder in ``folder``, newest first; only its result is read, never its log."""
    entries = []
    try:
        found = [
            p
            for p in Path(folder).iterdir()
            if any((p / n).exists() for n in ("result.json", "run.toml", "store.sqlite"))
        ]
    except OSError:
        return []
    for path in sorted(found, key=lambda p: (-_changed(p), p.name)):
        result = _result(path)
        main = next(iter(objectives_in(result)), None)
        best = dig(result, "best")
        entries.append(
            {
                "schema_version": SCHEMA_VERSION,
                "name": clean(result.get("name") or path.name, 200),
                "folder": str(path),
                "status": standing(path, result) if result or (path / "phases").is_dir() else "unknown",
                "metric": main.metric if main else None,
                "test": number_in(dig(best, "test"), main.metric) if main else None,
                "valid": number_in(dig(best, "metrics"), main.metric) if main else None,
                "params": number_in(dig(best, "metrics"), "params"),
                "budget_s": number_in(result, "budget_s"),
                "trials": int(number_in(dig(result, "counts"), "asked") or 0),
            }
        )
    return entries


def runs_lines(entries: list[dict[str, Any]]) -> list[str]:
    """Return the entries of ``list_runs`` as lines of plain text."""
    rows = []
    for e in entries:
        value, where = (e["test"], "test") if e["test"] is not None else (e["valid"], "validation")
        score = (
            f"{label(e['metric'])} {metric(e['metric'], value)} ({where})" if e["metric"] and value is not None else ""
        )
        size = f"{metric('params', e['params'])} parameters" if e["params"] is not None else ""
        rows.append([shorten(Path(e["folder"]).name, 60), e["status"], duration(e["budget_s"]), score, size])
    widths = [max(len(row[i]) for row in rows) for i in range(5)] if rows else []
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip().replace(NBSP, " ") for row in rows]


def _changed(path: Path) -> float:
    try:
        return (path / "result.json").stat().st_mtime
    except OSError:
        return path.stat().st_mtime


def _result(path: Path) -> Mapping[str, Any]:
    try:
        return read_json(path / "result.json")
    except (OSError, StoreError):
        return {}
