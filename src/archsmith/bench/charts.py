"""A comparison drawn: how good the answer is after each part of the cost, and the front of several objectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archsmith.bench.compare import Comparison
from archsmith.bench.hypervolume import nondominated, shares_after
from archsmith.report.svg import Axis, Plot, drawing, element, linear, mark, polyline
from archsmith.report.text import number

__all__ = ["anytime", "anytime_chart", "front_chart"]

_WIDTH, _HEIGHT, _STEPS = 820.0, 440.0, 100
_COLOURS = (
    "#0f6b6b",
    "#b4541a",
    "#7a5ea8",
    "#2f6fb0",
    "#8a7a12",
    "#b3363e",
    "#4b7f3a",
    "#8f4a78",
    "#5f6469",
    "#c2883a",
)
_DASHES = ("", "7 3", "2 3")
_STYLE = """svg{background:#fcfbf8;font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1e2022}
.grid{stroke:#e9e6de}.axis{stroke:#9a9d9f}.tick,.axis-label{fill:#5f6469}.end{text-anchor:end}.mid{text-anchor:middle}
.line{fill:none;stroke-width:1.8}
.band{stroke:none;opacity:.13}.optimum{stroke:#70757a;stroke-dasharray:4 4;fill:none}"""
# Where a normal distribution leaves 2.5 % on each side.
_INTERVAL = 1.96


def anytime(comparison: Comparison, label: str, steps: int = _STEPS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return costs [steps] and what the best measured so far is worth at each of them, [seeds, steps]; NaN before any.

    With several objectives it is the share of the exact hypervolume.
    """
    problem = comparison.problem
    played = comparison.trajectories[label]
    end = problem.seconds or float(problem.trials or max(len(t.row) for t in played))
    costs = np.linspace(end / steps, end, steps)
    values = np.full((len(played), steps), np.nan)
    truth = np.where(problem.allowed(), problem.truth()[:, 0], np.nan)
    for i, trajectory in enumerate(played):
        if not len(trajectory.row):
            continue
        clock = trajectory.ended if problem.seconds else np.arange(1, len(trajectory.row) + 1)
        place = np.searchsorted(clock, costs * (1 + 1e-12), side="right") - 1
        place, drawn = place[place >= 0], place >= 0
        if comparison.several:  # a front for each step that is drawn, not for each of thousands of trials
            values[i, drawn] = shares_after(problem, trajectory, (place + 1).tolist())
        else:
            best = trajectory.best()[place]
            values[i, drawn] = np.where(best >= 0, truth[trajectory.row[np.maximum(best, 0)]], np.nan)
    return costs, values


def anytime_chart(comparison: Comparison, labels: Sequence[str]) -> str:
    """Return a drawing of the mean worth after each part of the cost, with 95 % intervals of the mean."""
    lines = {}
    for label in labels:
        costs, values = anytime(comparison, label)
        there = np.isfinite(values).sum(axis=0)
        shown = there >= max(2, len(values) // 2) if len(values) > 1 else there > 0
        some = values[:, shown]
        mean = np.nanmean(some, axis=0)
        error = _INTERVAL * np.nanstd(some, axis=0, ddof=1 if len(values) > 1 else 0) / np.sqrt(there[shown])
        if shown.any():  # under limits too few may have an answer at any cost
            lines[label] = (costs[shown], mean, error)
    if not lines:
        return ""
    means = np.concatenate([mean for _, mean, _ in lines.values()])
    best = comparison.optimum()
    worst = float(np.quantile(means, 0.05 if comparison.large else 0.95))  # the first few trials would fill the drawing
    cost = "simulated seconds" if comparison.problem.seconds else "evaluations"
    every = all(t.answer >= 0 for label in labels for t in comparison.trajectories[label])
    seeds = f"{len(comparison.seeds)} seeds" if every else "the seeds with an answer"
    y = linear(f"{comparison.judge}, mean of {seeds} with 95 % intervals", [worst, best])
    plot = Plot(Axis(cost, 0.0, max(float(c.max()) for c, _, _ in lines.values())), y, _WIDTH, _HEIGHT, right=190)
    parts = [plot.frame()]
    left, right = plot.at(0.0, best), plot.at(plot.x.high, best)
    parts.append(
        element("line", class_="optimum", x1=left[0], x2=right[0], y1=left[1], y2=right[1], title="the optimum")
    )
    for i, (label, (costs, mean, error)) in enumerate(lines.items()):
        parts.append(_line(plot, i, label, costs, mean, error))
    ends = {label: float(mean[-1]) for label, (_, mean, _) in lines.items() if len(mean)}
    parts.append(_legend(plot, list(lines), ends, comparison.large))
    about = f"{comparison.problem.name}: {comparison.judge} after each part of the cost, for {len(lines)} strategies"
    return _standalone(drawing(_WIDTH, _HEIGHT, "".join(parts), about))


def front_chart(comparison: Comparison, labels: Sequence[str]) -> str:
    """Return a drawing of the exact front and of what each strategy found on its first seed; two objectives only."""
    problem = comparison.problem
    if len(problem.objectives) != 2:
        return ""
    front, reference, truth = comparison.front(), comparison.reference(), problem.truth()
    good = front[(front[:, 0] >= reference[0]) if problem.objectives[0].direction == "max" else slice(None)]
    axes = [linear(name, [*good[:, i], *reference[i : i + 1]]) for i, name in enumerate(problem.judges)]
    x = linear(problem.judges[1], good[:, 1].tolist())
    plot = Plot(x, axes[0], _WIDTH, _HEIGHT, right=190)
    points = sorted(plot.at(float(b), float(a)) for a, b in good)
    parts = [plot.frame(), polyline(points, "optimum", "the exact front")]
    for i, label in enumerate(labels):
        trajectory = comparison.trajectories[label][0]
        usable = np.flatnonzero((trajectory.violation == 0) & problem.allowed()[trajectory.row])
        best = usable[nondominated(trajectory.losses[usable])] if len(usable) else usable
        for a, b in truth[trajectory.row[best]]:
            if plot.y.low <= a <= plot.y.high and plot.x.low <= b <= plot.x.high:
                drawn = mark("circle", plot.at(float(b), float(a)), 3.2, "", f"{label}: {number(a)}, {number(b)}")
                parts.append(element("g", inner=drawn, fill=_COLOURS[i % len(_COLOURS)]))
    parts.append(_legend(plot, list(labels), {}, True))
    return _standalone(drawing(_WIDTH, _HEIGHT, "".join(parts), f"{problem.name}: the exact front and what was found"))


def _line(
    plot: Plot, place: int, label: str, x: NDArray[np.float64], mean: NDArray[np.float64], error: NDArray[np.float64]
) -> str:
    colour, dash = _COLOURS[place % len(_COLOURS)], _DASHES[place // len(_COLOURS) % len(_DASHES)]
    above = [plot.at(float(a), float(b)) for a, b in zip(x, mean + error, strict=True)]
    below = [plot.at(float(a), float(b)) for a, b in zip(x, mean - error, strict=True)]
    band = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*above, *reversed(below)])
    middle = polyline([plot.at(float(a), float(b)) for a, b in zip(x, mean, strict=True)], "mean", label)
    inner = element("polygon", class_="band", points=band, fill=colour) + middle
    return element("g", inner=inner, stroke=colour, stroke_dasharray=dash or None)


def _legend(plot: Plot, labels: Sequence[str], ends: dict[str, float], large: bool) -> str:
    """Return the names beside the drawing, in the order in which the lines end."""
    ranked = sorted(labels, key=lambda n: -ends.get(n, 0.0) if large else ends.get(n, 0.0))
    parts, step = [], min(18.0, (plot.height - plot.top - plot.bottom) / max(len(ranked), 1))
    for place, label in enumerate(ranked):
        i, y = list(labels).index(label), plot.top + 8 + place * step
        colour, dash = _COLOURS[i % len(_COLOURS)], _DASHES[i // len(_COLOURS) % len(_DASHES)]
        x = plot.width - plot.right + 12
        parts.append(
            element("line", x1=x, x2=x + 22, y1=y, y2=y, stroke=colour, stroke_width=2, stroke_dasharray=dash or None)
        )
        parts.append(element("text", label if len(label) < 26 else label[:25] + "…", x=x + 28, y=y + 4))
    return "".join(parts)


def _standalone(text: str) -> str:
    head, tail = text.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{_STYLE}</style>{tail}\n'
