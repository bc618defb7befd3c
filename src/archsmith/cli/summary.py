"""A run in the terminal: the verdict, the numbers, the files. The report says the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archsmith.cli.output import table
from archsmith.report.record import RunRecord, dig, number_in, rows_in
from archsmith.report.text import clean, duration, label, metric, plural

__all__ = ["headline", "summary"]

_FILES = (
    ("network", "best/model.safetensors"),
    ("source", "best/model.py"),
    ("ONNX", "best/model.onnx"),
    ("torch.export", "best/model.pt2"),
    ("report", "report.html"),
)


def headline(record: RunRecord) -> tuple[str, ...]:
    """Return name, status, trials, best main metric and budget of a run, as the cells of one line of ``ls``."""
    name = record.main.metric
    value = number_in(dig(record.best, "test"), name)
    where = "test"
    if value is None:
        value, where = number_in(dig(record.best, "metrics"), name), "validation"
    if value is None:
        measured = [t.metrics[name] for t in record.trials if t.measured and name in t.metrics]
        value = (max if record.main.direction == "max" else min)(measured) if measured else None
    best = "-" if value is None else f"{label(name)} {metric(name, value)} ({where})"
    budget = number_in(record.result, "budget_s")
    return record.folder.name, record.status, plural(len(record.trials), "trial"), best, duration(budget)


def summary(record: RunRecord) -> str:
    """Return a run as plain text: what came out, how it compares, what it cost, and where the files are."""
    return "\n\n".join(block for block in _blocks(record) if block)


def _blocks(record: RunRecord) -> Iterator[str]:
    verdict = clean(record.result.get("verdict") or "", 2_000)
    yield f"{record.name}: {record.status}" + (f"\n{verdict}" if verdict else "")
    yield _best(record)
    yield _titled("Comparisons, under the same recipe", _comparisons(record))
    missing = record.result.get("missing_comparisons")
    if isinstance(missing, list) and missing:
        named = ", ".join(clean(m, 80) for m in missing)
        yield f"Not compared for want of time: {named}. Later: archsmith compare {record.folder} --budget 30m"
    yield _titled("Cost", _cost(record))
    files = [(what, str(record.folder / path)) for what, path in _FILES if (record.folder / path).is_file()]
    yield _titled("Files", files)
    yield "\n".join(record.notes)


def _best(record: RunRecord) -> str:
    valid, test = dig(record.best, "metrics"), dig(record.best, "test")
    names = [n for n in dict.fromkeys([*(o.metric for o in record.objectives), *test, *valid])]
    rows = [
        (label(name), metric(name, number_in(test, name)), metric(name, number_in(valid, name)))
        for name in names
        if number_in(test, name) is not None or number_in(valid, name) is not None
    ]
    measured = [r for r, n in zip(rows, names, strict=False) if n in test]
    quality = [("", "test", "validation"), *measured] if measured else []
    costs = [(words, value) for (words, tested, value) in rows if tested == "–"]
    limits = {label(n): metric(n, bound) for n, bound in record.limits.items()}
    costs = [(words, f"{value} (limit {limits[words]})" if words in limits else value) for words, value in costs]
    return _titled("The network", quality) + ("\n" if quality and costs else "") + table(costs)


def _comparisons(record: RunRecord) -> list[tuple[str, ...]]:
    name = record.main.metric
    rows: list[tuple[str, ...]] = []
    for one in rows_in(record.result, "comparisons"):
        tested, costs = dig(one, "test"), dig(one, "metrics")
        value = number_in(tested, name)
        value = number_in(costs, name) if value is None else value
        params = number_in(costs, "params")
        rows.append(
            (
                clean(one.get("name", ""), 40),
                f"{label(name)} {metric(name, value)}",
                f"{metric('params', params)} parameters" if params is not None else "",
                clean(one.get("note") or "", 80),
            )
        )
    return rows


def _cost(record: RunRecord) -> list[tuple[str, str]]:
    counts: Mapping[str, Any] = dig(record.result, "counts")
    trials = ", ".join(f"{value} {key}" for key, value in counts.items() if value)
    phases = rows_in(record.result, "phases")
    spent = sum(number_in(p, "spent_s") or 0.0 for p in phases)
    budget = number_in(record.result, "budget_s")
    rows = [("trials", trials or (plural(len(record.trials), "trial") if record.trials else ""))]
    rows.append(("time", f"{duration(spent)} of {duration(budget)}" if budget else ""))
    rows += [("", f"{clean(p.get('name', ''), 40)} {duration(number_in(p, 'spent_s'))}") for p in phases]
    return [row for row in rows if row[1]]


def _titled(title: str, rows: list[tuple[str, ...]] | list[tuple[str, str]]) -> str:
    return f"{title}\n{table(rows)}" if rows else ""
