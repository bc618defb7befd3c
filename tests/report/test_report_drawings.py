"""Drawings put things where they belong: scales, ticks, steps, times, boxes inside boxes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from folder import SOURCE, TREE, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archsmith.report.diagram import Block, block_from_json, block_from_source, block_of, diagram
from archsmith.report.front_chart import front_chart, front_marks, staircase
from archsmith.report.record import RunRecord, load_record
from archsmith.report.svg import Axis, element, errors, linear, logarithmic
from archsmith.report.time_charts import LONGEST_PAUSE, MOST_CURVES, best_chart, busy_times, curves_chart
from archsmith.space import Arch
from archsmith.trial import Evaluate, Trial

VALUES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=12)
SHARES = st.lists(st.integers(0, 10_000).map(lambda n: n / 10_000), min_size=1, max_size=12)


def check_axis(axis: Axis, values: list[float]) -> None:
    places = [axis.position(v) for v in sorted(values)]
    assert axis.low < axis.high
    assert all(0 <= p <= 1 for p in places) and places == sorted(places)
    ticks = axis.ticks(6)
    assert all(axis.low - 1e-9 * abs(axis.low) <= t <= axis.high + 1e-9 * abs(axis.high) for t in ticks)
    assert ticks == sorted(set(ticks)) and len(ticks) <= 12


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_axes_hold_their_values_and_ticks_in_order(values: list[float]) -> None:
    check_axis(linear("x", values), values)
    check_axis(logarithmic("x", values), values)


@settings(deadline=None, max_examples=60)
@given(SHARES)
def test_axes_of_shares_hold_even_a_perfect_score(values: list[float]) -> None:
    check_axis(errors("accuracy", values), values)


def test_near_one_a_halved_error_is_as_far_as_anywhere() -> None:
    axis = errors("accuracy", [0.8, 0.9, 0.98, 0.99])
    assert axis.error
    step = axis.position(0.9) - axis.position(0.8)
    assert axis.position(0.99) - axis.position(0.98) == pytest.approx(step)


def test_time_is_marked_in_minutes() -> None:
    assert Axis("time", 0, 700, steps=(60, 120, 300, 600)).ticks(3) == [0, 300, 600]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30), st.booleans())
def test_the_steps_are_exactly_what_nothing_dominates(points: list[tuple[int, int]], larger: bool) -> None:
    sign = -1 if larger else 1
    free = {
        (x, y) for x, y in points
        if not any((a, sign * b) != (x, sign * y) and a <= x and sign * b <= sign * y for a, b in points)
    }  # fmt: skip
    steps = staircase(points, larger)
    assert set(steps) == free and steps == sorted(steps)


def test_attributes_and_hover_titles_are_escaped() -> None:
    written = element("text", "<b>", title='"><script>', class_='x" onload="y')
    assert "<b>" not in written and "<script>" not in written and 'onload="' not in written


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return load_record(write_folder(tmp_path_factory.mktemp("runs") / "run"))


def test_the_front_chart_shows_all_kinds_and_the_limit(record: RunRecord) -> None:
    kinds = {m.kind for m in front_marks(record, "latency_ms")}
    assert kinds == {"trial", "low", "human", "random", "finalist", "equal", "winner"}
    drawn = front_chart(record, "latency_ms", 864, 430)
    assert "limit 5\u00a0ms" in drawn and drawn.count("forbidden") == 1 and "Trial 3" in drawn and ">winner<" in drawn
    assert front_chart(record, "no_such_cost", 864, 430) == ""


def test_what_breaks_a_limit_is_outside(record: RunRecord) -> None:
    strict = replace(record, trials=tuple(replace(t, violation=1.0) for t in record.trials))
    assert {m.kind for m in front_marks(strict, "params")} & {"trial", "low", "outside"} == {"outside"}


def test_marks_stay_inside_the_frame(record: RunRecord) -> None:
    for cost in record.costs:
        drawn = front_chart(record, cost, 400, 340)
        for x, y in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', drawn):
            assert 0 <= float(x) <= 400 and 0 <= float(y) <= 340


def study(spans: list[tuple[float, float]]) -> RunRecord:
    made = tuple(Trial(i, Evaluate(Arch({"a": i})), "complete", {"accuracy": 0.1 * i}, (-0.1 * i,), seconds=b - a)
                 for i, (a, b) in enumerate(spans))  # fmt: skip
    return RunRecord(Path(), {}, made, {i: (1e9 + a, 1e9 + b) for i, (a, b) in enumerate(spans)})


def test_the_week_in_which_a_study_rested_is_not_drawn() -> None:
    week = 7 * 86400.0
    times = busy_times(study([(0, 10), (5, 20), (week, week + 10), (week + 11, week + 30)]))
    assert times == pytest.approx({0: 10, 1: 20, 2: 20 + LONGEST_PAUSE + 10, 3: 20 + LONGEST_PAUSE + 30})


def test_without_a_clock_the_seconds_of_the_trials_are_added_up() -> None:
    assert busy_times(replace(study([(0, 10), (5, 20)]), clock={})) == {0: 10, 1: 25}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 100)), min_size=1, max_size=12))
def test_times_never_run_backwards_nor_slower_than_the_clock(spans: list[tuple[float, float]]) -> None:
    run = study([(start, start + length) for start, length in spans])
    times = busy_times(run)
    ended = sorted(run.clock, key=lambda n: run.clock[n][1])
    assert all(times[a] <= times[b] + 1e-6 for a, b in pairwise(ended))
    first = min(start for start, _ in run.clock.values())
    assert all(0 <= times[n] <= run.clock[n][1] - first + 1e-6 for n in times)


def test_a_resumed_curve_begins_where_the_other_ended(record: RunRecord) -> None:
    drawn = curves_chart(record, 440, 310)
    resumed = next(t for t in record.trials if t.proposal.resume is not None and t.state == "complete")
    line = re.search(rf'points="([^"]*)"><title>Trial {resumed.number},', drawn)
    assert line is not None and len(line[1].split()) == len(record.curves[resumed.number]) + 1
    assert "curve stopped" in drawn and "curve failed" in drawn and "curve final" in drawn


def test_of_very_many_curves_the_best_are_among_those_drawn(tmp_path: Path) -> None:
    many = load_record(write_folder(tmp_path / "run", trials=260))
    drawn = curves_chart(many, 440, 310)
    best = min((t for t in many.trials if t.usable and t.number in many.curves), key=lambda t: t.losses)
    assert drawn.count("<polyline") <= MOST_CURVES + 1 and f"<title>Trial {best.number}," in drawn


def test_the_best_so_far_only_gets_better(record: RunRecord) -> None:
    line = re.search(r'class="line strong" points="([^"]*)"', best_chart(record, 440, 310))
    assert line is not None
    points = [tuple(map(float, p.split(","))) for p in line[1].split()]
    assert points == sorted(points, key=lambda p: (p[0], -p[1])) and points[-1][1] < points[0][1]


BLOCKS = st.recursive(
    st.builds(Block, st.text("abcxyz 123", min_size=1, max_size=60), st.none() | st.integers(0, 10**7)),
    lambda inner: st.builds(Block, st.text("abc", min_size=1, max_size=20), st.integers(0, 10**7),
                            st.lists(inner, max_size=6).map(tuple)), max_leaves=30,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(BLOCKS, st.sampled_from([364.0, 864.0]))
def test_boxes_lie_inside_the_drawing_and_never_cross(block: Block, width: float) -> None:
    drawn = diagram(block, width)
    height = float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', drawn)[1])  # type: ignore[index]
    found = re.findall(r'<rect [^>]*x="([\d.-]+)" y="([\d.-]+)" width="([\d.-]+)" height="([\d.-]+)"', drawn)
    boxes = [(x, y, x + w, y + h) for x, y, w, h in (tuple(map(float, f)) for f in found)]
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        assert x1 >= 0 and y1 >= 0 and x2 <= width + 0.2 and y2 <= height + 0.2
        for a1, b1, a2, b2 in boxes[i + 1 :]:
            inside = x1 <= a1 + 0.2 and y1 <= b1 + 0.2 and a2 <= x2 + 0.2 and b2 <= y2 + 0.2
            apart = a1 >= x2 - 0.2 or a2 <= x1 + 0.2 or b1 >= y2 - 0.2 or b2 <= y1 + 0.2
            assert inside or apart


@settings(deadline=None, max_examples=60)
@given(BLOCKS)
def test_a_tree_equals_its_json_round_trip(block: Block) -> None:
    assert block_from_json(block.to_json()) == block


@pytest.mark.parametrize("junk", [None, 3, "x", [], {}, [[]]])
def test_what_is_no_tree_is_none_or_harmless(junk: object) -> None:
    block = block_from_json(junk)
    assert block is None or diagram(block, 364.0)


def test_equal_neighbours_become_one_box_with_a_count() -> None:
    drawn = diagram(Block("Net", 6, (Block("Same", 2),) * 3 + (Block("Other", 0),)), 864)
    assert "Same \u00d7 3" in drawn and drawn.count("<rect") == 3 and "2 each" in drawn


def test_a_network_is_named_by_its_layers_and_sizes() -> None:
    with torch.random.fork_rng():
        net = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2), nn.Conv2d(16, 16, 5, groups=16), nn.BatchNorm2d(16),
                            nn.Flatten(), nn.Dropout(0.25), nn.Linear(64, 10))  # fmt: skip
    block = block_of(net)
    assert [b.name for b in block.children] == [
        "Conv2d 3→16 3\u00d73 stride 2", "Conv2d 16→16 5\u00d75 depthwise", "BatchNorm2d 16", "Flatten", "Dropout 0.25",
        "Linear 64→10",
    ]  # fmt: skip
    assert block.params == sum(p.numel() for p in net.parameters()) == sum(b.params or 0 for b in block.children)


def test_source_is_read_and_never_run() -> None:
    block = block_from_source(SOURCE)
    assert block is not None and block.name == "Sequential"
    names = [child.name for child in block.children]
    assert names[0].startswith("PixelNormalize") and names[-1] == "Linear 64, 10"
    stages = block.children[1].children[1]
    assert [b.name.split()[0] for b in stages.children] == ["InvertedBottleneck"] * 3
    assert block_from_source("def build():\n    raise SystemExit\n") is None
    assert block_from_source("import os\nos.abort()\n") is None
    assert block_from_source("def build(:") is None
    assert block_from_source("def build():\n    x = f(x)\n    return f(x)\n") is not None


def test_the_tree_of_a_record_is_drawn_in_full() -> None:
    block = block_from_json(TREE)
    assert block is not None
    drawn = diagram(block, 864)
    assert all(word in drawn for word in ("PixelNormalize", "SqueezeExcite", "Residual \u00d7 2", "Linear 64→10"))
    assert not math.isnan(float(re.search(r'viewBox="0 0 864 ([\d.]+)"', drawn)[1]))  # type: ignore[index]
