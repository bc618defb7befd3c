"""The search drawn over time: the best so far, the learning curves, and cheap scores against full trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from archsmith.report.front_chart import axis_writer
from archsmith.report.ranks import Pair
from archsmith.report.record import Curve, RunRecord, number_in
from archsmith.report.svg import Axis, Plot, cross, drawing, element, linear, mark, polyline
from archsmith.report.text import brief, duration, label, metric, number
from archsmith.trial import Trial

__all__ = ["LONGEST_PAUSE", "MOST_CURVES", "best_chart", "busy_times", "curves_chart", "pairs_chart"]

LONGEST_PAUSE = 30.0  # seconds between two trials in which a strategy may have been thinking
MOST_CURVES = 120
_TIME_STEPS = tuple(
    unit * n
    for unit, counts in ((1, (1, 2, 5, 10, 15, 30)), (60, (1, 2, 5, 10, 15, 30)), (3600, (1, 2, 3, 6, 12)))
    for n in counts
)


def busy_times(record: RunRecord) -> dict[int, float]:
    """Return for each finished trial the seconds after which it finished, counting only time in which work went on.

    A study that was stopped and resumed next week does not show a week of nothing: gaps in which no trial ran are
    closed. Without clock times the trials' own seconds are added up.
    """
    ended = [t for t in record.trials if t.state != "running"]
    if any(t.number not in record.clock for t in ended) or not ended:
        total, times = 0.0, {}
        for trial in ended:
            total += trial.seconds
            times[trial.number] = total
        return times
    spans = sorted((*record.clock[t.number], t.number) for t in ended)
    origin = reached = spans[0][0]
    closed, times = 0.0, {}
    for start, end, trial_number in spans:
        closed += max(start - reached - LONGEST_PAUSE, 0.0)
        times[trial_number] = max(end - origin - closed, 0.0)
        reached = max(reached, end)
    return times


def best_chart(record: RunRecord, width: float, height: float) -> str:
    """Return the best main metric so far against the time of the search; empty without a measured trial."""
    times = busy_times(record)
    main = record.main
    sign = 1.0 if main.direction == "max" else -1.0
    measured = sorted((times[t.number], t.metrics[main.metric], t) for t in _measured(record) if t.number in times)
    if not measured:
        return ""
    best: list[tuple[float, float, Trial]] = []
    for time, value, trial in measured:
        if not best or sign * value > sign * best[-1][1]:
            best.append((time, value, trial))
    values = [v for _, v, _ in best]
    spread = max(values) - min(values)
    near = [v for _, v, _ in measured if sign * v > sign * values[0] - 0.5 * spread] or values
    end = max(measured[-1][0], 1e-6)
    shown = [*values, *near]
    y = linear(f"best {label(main.metric)} so far", shown, axis_writer(main.metric, shown))
    plot = Plot(Axis("time of the search", 0.0, end * 1.02, write=duration, steps=_TIME_STEPS), y, width, height)
    parts = [plot.frame()]
    for time, value, trial in measured:
        if y.low <= value <= y.high:
            parts.append(mark("circle", plot.at(time, value), 2.4, "dot low", _title(trial, main.metric)))
    path: list[tuple[float, float]] = []
    for time, value, _ in best:
        x, pixel = plot.at(time, value)
        path += [(x, path[-1][1]), (x, pixel)] if path else [(x, pixel)]
    path.append((plot.at(end, values[-1])[0], path[-1][1]))
    parts.append(polyline(path, "strong"))
    parts += [mark("circle", plot.at(t, v), 3.6, "dot best", _title(trial, main.metric)) for t, v, trial in best]
    return drawing(width, height, "".join(parts), f"Best {label(main.metric)} so far against the time of the search")


def curves_chart(record: RunRecord, width: float, height: float) -> str:
    """Return the learning curves of the trials and of the final training; empty when there are none.

    A resumed trial is joined to the end of the one it continues. Of more than ``MOST_CURVES`` trials an even
    selection is drawn, with the best ones always among them.
    """
    column = _column(record)
    final = _final_curve(record)
    lines = {n: _line(record, n, column) for n in record.curves}
    lines = {n: line for n, line in lines.items() if line}
    if not lines and not final:
        return ""
    chosen = _choose(record, sorted(lines))
    ys = [y for n in chosen for _, y in lines[n]] + [y for _, y in final]
    xs = [x for n in chosen for x, _ in lines[n]] + [x for x, _ in final]
    ordered = sorted(ys)
    low, high = ordered[int(0.04 * (len(ys) - 1))], ordered[math.ceil(0.96 * (len(ys) - 1))]
    span = [min([low, *(y for _, y in final[-1:])]), ordered[-1]] if _rises(record) else [ordered[0], high]
    y_axis = linear(f"{label(column)} on validation data", span, axis_writer(column, span))
    plot = Plot(Axis("epoch", 0.0, max(xs) * 1.02 or 1.0, write=lambda v: brief("", v)), y_axis, width, height)
    by_number = {t.number: t for t in record.trials}
    winner = number_in(record.best, "trial")
    parts, marks = [plot.frame()], []
    for n in chosen:
        points = [plot.at(x, y) for x, y in lines[n]]
        trial = by_number[n]
        kind = "won" if winner is not None and n == int(winner) else trial.state
        title = f"Trial {n}, {trial.state}{': ' + trial.reason if trial.reason else ''}"
        parts.append(polyline(points, f"curve {kind}", title))
        if trial.state in ("stopped", "failed"):
            marks.append(cross(points[-1], 3.6, f"end {trial.state}", title))
    if final:
        parts.append(polyline([plot.at(x, y) for x, y in final], "curve final", "The final training of the winner"))
        x, y = plot.at(*final[-1])
        marks.append(
            mark("star", (x, y), 7, "dot winner", f"End of the final training: {metric(column, final[-1][1])}")
        )
    about = f"Learning curves of {len(chosen)} of {len(lines)} trials; crosses are trials that were stopped or failed"
    return drawing(width, height, "".join(parts + marks), about)


def pairs_chart(record: RunRecord, pairs: Sequence[Pair], width: float, height: float) -> str:
    """Return cheap scores against full trainings as a scatter; empty without pairs."""
    if not pairs:
        return ""
    name = record.main.metric
    xs, ys = [p.cheap for p in pairs], [p.full for p in pairs]
    plot = Plot(
        linear(f"{label(name)}, cheap score", xs, axis_writer(name, xs)),
        linear(f"{label(name)}, full training", ys, axis_writer(name, ys)),
        width,
        height,
    )
    parts = [plot.frame()]
    low, high = max(plot.x.low, plot.y.low), min(plot.x.high, plot.y.high)
    if low < high:
        (x1, y1), (x2, y2) = plot.at(low, low), plot.at(high, high)
        parts.append(element("line", class_="same", x1=x1, y1=y1, x2=x2, y2=y2, title="Both scores equal"))
    for p in pairs:
        title = f"Trial {p.trial}: cheap {metric(name, p.cheap)}, full {metric(name, p.full)}"
        shape, kind = ("diamond", "finalist") if p.kind == "finalist" else ("circle", "trial")
        parts.append(mark(shape, plot.at(p.cheap, p.full), 5, f"dot {kind}", title))
    return drawing(width, height, "".join(parts), f"Cheap scores against full trainings of {len(pairs)} architectures")


def _measured(record: RunRecord) -> list[Trial]:
    return [t for t in record.trials if t.usable and record.main.metric in t.metrics]


def _title(trial: Trial, name: str) -> str:
    spent = "".join(f", {number(v, 3)} {label(k)}" for k, v in trial.proposal.fidelity.items())
    return f"Trial {trial.number}{spent}: {label(name)} {metric(name, trial.metrics[name])}"


def _rises(record: RunRecord) -> bool:
    return record.main.direction == "max" or _column(record) != record.main.metric


def _column(record: RunRecord) -> str:
    """The column of the learning curves to draw: the main metric, else the first that is not the training's own."""
    names = list(dict.fromkeys(name for curve in record.curves.values() for row in curve[:1] for name in row))
    other = [n for n in names if n not in ("epoch", "step", "seconds", "train_loss", "lr")]
    return record.main.metric if record.main.metric in names or not other else other[0]


def _line(record: RunRecord, number: int, column: str) -> list[tuple[float, float]]:
    own = _points(record.curves[number], column)
    parents = {t.number: t.proposal.resume for t in record.trials}
    parent = parents.get(number)
    seen = {number}
    while own and parent is not None and parent not in seen:
        before = [p for p in _points(record.curves.get(parent, ()), column) if p[0] < own[0][0]]
        if before:
            return [before[-1], *own]
        seen.add(parent)
        parent = parents.get(parent)
    return own


def _points(curve: Curve, column: str) -> list[tuple[float, float]]:
    rows: list[Mapping[str, float]] = [row for row in curve if column in row]
    return [(row.get("epoch", row.get("step", float(i + 1))), row[column]) for i, row in enumerate(rows)]


def _final_curve(record: RunRecord) -> list[tuple[float, float]]:
    raw = record.best.get("curve")
    rows = (
        [dict(zip("esty", row, strict=False)) for row in raw if isinstance(row, list)] if isinstance(raw, list) else []
    )
    points = [(number_in(row, "e"), number_in(row, "y")) for row in rows]
    return [(x, y) for x, y in points if x is not None and y is not None]


def _choose(record: RunRecord, numbers: Sequence[int]) -> list[int]:
    if len(numbers) <= MOST_CURVES:
        return list(numbers)
    ranked = sorted((t for t in _measured(record) if t.number in set(numbers)), key=lambda t: t.losses)
    always = [t.number for t in ranked[:10]]
    step = len(numbers) / (MOST_CURVES - len(always))
    even = [numbers[int(i * step)] for i in range(MOST_CURVES - len(always))]
    return sorted({*always, *even})
