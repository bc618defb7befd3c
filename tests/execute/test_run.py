"""What a trial is handed."""

import csv
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_bodies import ended, make_trial

from archsmith.execute import Inline
from archsmith.execute.trials import trial_seed
from archsmith.run import Run


@given(st.integers(0, 2**63), st.integers(0, 2**31))
def test_seeds_fit_every_library_and_repeat(seed: int, number: int) -> None:
    assert 0 <= trial_seed(seed, number) < 2**32
    assert trial_seed(seed, number) == trial_seed(seed, number)


def test_neighbouring_trials_and_studies_have_different_seeds() -> None:
    assert len({trial_seed(seed, number) for seed in range(30) for number in range(100)}) == 3000


def test_a_curve_keeps_every_line_when_its_columns_change(tmp_path: Path) -> None:
    run = Run(0, 0, tmp_path / "trials" / "0")
    run.report({"epoch": 1, "loss": 0.5})
    run.report({"loss": 0.25, "epoch": 2})
    run.report({"epoch": 3})
    run.report({"epoch": 4, "loss": 0.125, "accuracy": 0.75})
    run.report({"epoch": 5, "accuracy": 1.0})
    with (tmp_path / "trials" / "0" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["epoch"] for r in rows] == ["1", "2", "3", "4", "5"]
    assert [r["loss"] for r in rows] == ["0.5", "0.25", "", "0.125", ""]
    assert [r["accuracy"] for r in rows] == ["", "", "", "0.75", "1.0"]
    assert [p.name for p in (tmp_path / "trials" / "0").iterdir()] == ["metrics.csv"]


def test_without_a_folder_nothing_is_kept_and_without_a_deadline_there_is_time() -> None:
    run = Run(0, 0)
    run.report({"loss": 1.0})
    assert run.remaining() == math.inf
    assert Run(0, 0, deadline=time.monotonic() - 1).remaining() < 0


@pytest.mark.parametrize(("trial_seconds", "deadline"), [(50.0, None), (None, 50.0), (50.0, 1000.0), (1000.0, 50.0)])
def test_the_earlier_end_is_the_deadline(trial_seconds: float | None, deadline: float | None) -> None:
    seen = []
    end = None if deadline is None else time.monotonic() + deadline
    executor = Inline(lambda _, run: {"left": seen.append(run) or 1.0}, trial_seconds=trial_seconds, deadline=end)
    executor.submit(make_trial(0, ""))
    ended(executor, 1)
    assert 40 < seen[0].remaining() <= 50
