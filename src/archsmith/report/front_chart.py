"""The trade-off drawn: the main metric against a cost, with the limits, the front, the rivals and the winner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from archsmith.report.record import RunRecord, dig, number_in, rows_in, spent
from archsmith.report.style import STYLE
from archsmith.report.svg import Plot, drawing, element, errors, linear, logarithmic, mark, polyline, text_width
from archsmith.report.text import brief, clean, label, metric, percent, shorten
from archsmith.trial import Trial

__all__ = ["FrontMark", "axis_writer", "front_chart", "front_marks", "front_picture", "staircase"]

_SHAPES = {"random": "square", "human": "diamond", "boosting": "triangle", "finalist": "circle", "equal": "star"}


@dataclass(frozen=True)
class FrontMark:
    """One mark on the trade-off: where it lies, what it is, and what hovering says."""

    x: float
    y: float
    kind: str
    name: str
    title: str


def front_marks(record: RunRecord, cost: str) -> list[FrontMark]:
    """Return everything that has both the main metric and ``cost``: trials, comparisons, and the winner last."""
    main = record.main.metric
    marks = []
    deepest = max((spent(t) for t in record.trials if t.state == "complete"), default=None)
    for trial in record.trials:
        if trial.state not in ("complete", "cached") or main not in trial.metrics or cost not in trial.metrics:
            continue
        kind = "outside" if trial.violation > 0 else "trial" if spent(trial) == deepest else "low"
        title = f"Trial {trial.number}{_fidelity(trial)}{' (breaks a limit)' if trial.violation else ''}"
        marks.append(_mark(trial.metrics, main, cost, kind, "", title))
    for row in rows_in(record.result, "comparisons"):
        values = {**dig(row, "test"), **dig(row, "metrics")}
        if number_in(values, main) is not None and number_in(values, cost) is not None:
            name = shorten(row.get("name", "comparison"), 28)
            kind = clean(row.get("kind", ""))
            if kind == "winner":
                marks.append(_mark(values, main, cost, "equal", "", "The winner, trained as long as the comparisons"))
                continue
            marks.append(_mark(values, main, cost, kind if kind in ("random", "boosting") else "human", name, name))
    winner = number_in(record.best, "trial")
    for row in record.finalists:
        values = {**dig(row, "metrics"), main: row.get("mean")}
        if row.get("trial") != winner and number_in(values, main) is not None and number_in(values, cost) is not None:
            title = f"Finalist, trial {clean(row.get('trial'), 20)}, trained from scratch"
            marks.append(_mark(values, main, cost, "finalist", "", title))
    best = dig(record.best, "metrics")
    if number_in(best, main) is not None and number_in(best, cost) is not None:
        marks.append(_mark(best, main, cost, "winner", "winner", "The winner, after its final training"))
    return marks


def front_chart(record: RunRecord, cost: str, width: float, height: float) -> str:
    """Return the trade-off between the main metric and ``cost`` as a drawing; empty when nothing has both."""
    marks = front_marks(record, cost)
    if not marks:
        return ""
    main, limit = record.main, record.limits.get(cost)
    larger = main.direction == "max"
    ys = _frame_range([m.y for m in marks], [m.y for m in marks if m.kind in ("winner", "finalist", *_SHAPES)], larger)
    inside = [m.x for m in marks] + ([limit] if limit is not None else [])
    make = errors if main.metric.endswith("accuracy") else linear
    y = make(f"{label(main.metric)} on validation data", ys, axis_writer(main.metric, ys))
    plot = Plot(logarithmic(label(cost), inside, axis_writer(cost, inside)), y, width, height)
    parts = [*_limits(plot, record, cost), plot.frame()]
    parts.append(_steps(plot, [m for m in marks if m.kind in ("trial", "low")], larger, "found"))
    parts.append(_steps(plot, [m for m in marks if m.kind in ("finalist", "winner")], larger, "front"))
    order = {"outside": 0, "low": 1, "trial": 2}
    for m in sorted(marks, key=lambda m: order.get(m.kind, 3)):
        beyond = not min(plot.y.low, plot.y.high) <= m.y <= max(plot.y.low, plot.y.high)
        at = plot.at(m.x, m.y)
        if m.kind in order:
            shape = ("down" if m.y < plot.y.low else "triangle") if beyond else "circle"
            parts.append(mark(shape, at, 4.0 if m.kind == "trial" else 3.0, f"dot {m.kind}", m.title))
        else:
            radius = {"winner": 9.0, "finalist": 5.0, "equal": 7.0}.get(m.kind, 6.0)
            parts.append(mark(_SHAPES.get(m.kind, "star"), at, radius, f"dot {m.kind}", m.title))
    parts += _names(plot, [m for m in marks if m.name])
    hidden = sum(1 for m in marks if not y.low <= m.y <= y.high)
    about = f"{label(main.metric)} against {label(cost)} of {len(marks)} networks; {hidden} lie beyond the frame"
    return drawing(width, height, "".join(parts), about)


def front_picture(record: RunRecord, cost: str, width: float = 864, height: float = 430) -> str:
    """Return the trade-off as an SVG file of its own, with the page's style and background in it."""
    chart = front_chart(record, cost, width - 32, height - 32)
    paper = '<rect width="100%" height="100%" style="fill:var(--paper)"/>'
    size = f'width="{width:g}" height="{height:g}" viewBox="-16 -16 {width:g} {height:g}"'
    inner = chart.replace("<svg ", f'<svg x="0" y="0" width="{width - 32:g}" height="{height - 32:g}" ', 1)
    page = f'<rect x="-16" y="-16" {paper.removeprefix("<rect ")}'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>{page}{inner}</svg>\n'


def staircase(points: Sequence[tuple[float, float]], larger: bool) -> list[tuple[float, float]]:
    """Return the points that no other one dominates (small x; large or small y), from left to right."""
    steps: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1] if larger else p[1])):
        if not steps or (y > steps[-1][1] if larger else y < steps[-1][1]):
            steps.append((x, y))
    return steps


def _steps(plot: Plot, marks: Sequence[FrontMark], larger: bool, class_: str) -> str:
    steps = staircase([(m.x, m.y) for m in marks], larger)
    path: list[tuple[float, float]] = []
    for a, b in steps:
        x, y = plot.at(a, b)
        path += [(x, path[-1][1]), (x, y)] if path else [(x, y)]
    return polyline(path, class_, "The front: none of these is beaten in both respects") if len(steps) > 1 else ""


def axis_writer(name: str, values: Sequence[float]) -> Callable[[float], str]:
    """Return how a metric is written at a tick: with no more digits than its range needs."""
    if name.endswith("accuracy") and values:
        return lambda value: percent(value, 0 if abs(100 * value - round(100 * value)) < 1e-6 else 1)
    return lambda value: brief(name, value)


def _mark(values: object, main: str, cost: str, kind: str, name: str, title: str) -> FrontMark:
    x, y = number_in(values, cost) or 0.0, number_in(values, main) or 0.0
    return FrontMark(x, y, kind, name, f"{title}: {label(main)} {metric(main, y)}, {label(cost)} {metric(cost, x)}")


def _frame_range(values: Sequence[float], always: Sequence[float], larger: bool) -> list[float]:
    """Leave out the far tail on the bad side, so that a few hopeless networks do not flatten the interesting ones."""
    array = np.array(values)
    low, high = np.quantile(array, [0.25, 0.75])
    spread = 0.75 * max(float(high - low), 1e-9)
    if len(array) < 8:
        return [float(array.min()), float(array.max())]
    if larger:
        return [min([max(float(array.min()), float(low - spread)), *always]), float(array.max())]
    return [float(array.min()), max([min(float(array.max()), float(high + spread)), *always])]


def _limits(plot: Plot, record: RunRecord, cost: str) -> list[str]:
    parts = []
    limit = record.limits.get(cost)
    top, base, right = plot.top, plot.height - plot.bottom, plot.width - plot.right
    if limit is not None:
        x, _ = plot.at(limit, plot.y.low)
        if x < right:
            parts.append(element("rect", class_="forbidden", x=x, y=top, width=right - x, height=base - top))
        parts.append(element("line", class_="limit", x1=x, x2=x, y1=top, y2=base))
        parts.append(element("text", f"limit {brief(cost, limit)}", class_="limit-label end", x=x - 6, y=base - 8))
    return parts


def _names(plot: Plot, marks: Sequence[FrontMark]) -> list[str]:
    """Write names beside their marks where they fit without touching another name or mark; hovering has the rest."""
    font = 12.5
    points = [plot.at(m.x, m.y) for m in marks]
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in points]
    parts = []
    for m, (x, y) in sorted(zip(marks, points, strict=True), key=lambda pair: pair[0].kind != "winner"):
        wide = text_width(m.name, font)
        for dx, dy, anchor in ((11, 4, ""), (-11, 4, "end"), (0, -12, "mid"), (0, 21, "mid"), (9, -9, ""), (9, 18, "")):
            start = x + dx - (wide if anchor == "end" else wide / 2 if anchor == "mid" else 0)
            box = (start, y + dy - 11, start + wide, y + dy + 3)
            if box[0] < plot.left or box[2] > plot.width or box[1] < 14 or box[3] > plot.height - plot.bottom:
                continue
            if all(box[2] < t[0] or box[0] > t[2] or box[3] < t[1] or box[1] > t[3] for t in taken):
                taken.append(box)
                parts.append(element("text", m.name, class_=f"name {m.kind} {anchor}".strip(), x=x + dx, y=y + dy))
                break
    return parts


def _fidelity(trial: Trial) -> str:
    return "".join(f", {metric('', v)} {label(k)}" for k, v in trial.proposal.fidelity.items())
