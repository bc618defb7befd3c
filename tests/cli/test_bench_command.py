"""``archsmith bench``: what is printed, written and refused."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archsmith.cli.app import app
from archsmith.errors import UsageError

TABLE = "kernel,width,accuracy,latency_ms\n" + "".join(
    f"{k},{w},{0.8 + 0.01 * k + 0.001 * w},{k * w}\n" for k in (1, 3, 5) for w in (8, 16, 32, 64)
)


def run(folder: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["bench", *words, "--out", str(folder), "--jobs", "1"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_published_figures_stand_beside_ours(tmp_path: Path) -> None:
    words = ("--strategies", "evolution(population=10, sample=3)", "--seeds", "3", "--cost", "12000s")
    text = run(tmp_path, "nasbench201", *words)
    assert "93.92±0.30" in text and "93.70±0.36" in text
    assert "  twice  " in text
    folder = tmp_path / "nasbench201-cifar10-12000s"
    assert {p.name for p in folder.iterdir()} == {"summary.json", "trajectories.npz", "anytime.svg"}
    run(tmp_path, "nasbench201", *words, "--quiet")
    assert (tmp_path / "nasbench201-cifar10-12000s-2").is_dir()


def test_a_table_of_ones_own_needs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(TABLE, encoding="utf-8")
    data = json.loads(run(tmp_path, str(path), "--strategies", "random", "--trials", "12", "--seeds", "2", "--json"))
    assert data["objectives"] == ["max:accuracy"]
    assert data["strategies"][0]["mean"] == pytest.approx(data["optimum"]) == pytest.approx(0.914)
    both = run(
        tmp_path, str(path), "--strategies", "random", "--trials", "12", "--seeds", "2",
        "--objective", "accuracy", "--objective", "latency_ms", "--limit", "latency_ms=200",
    )  # fmt: skip
    assert "hypervolume" in both and "1.000±0.000" in both


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(TABLE.replace("0.81", "high", 1), encoding="utf-8")
    for words, message in (
        ((str(path), "--trials", "3"), "row 2: the metric 'accuracy' is 'high"),
        (("nasbench201",), "how much"),
        (("nasbench201", "--trials", "3", "--dataset", "cifar"), "'cifar10'"),
        (("nasbench201", "--trials", "3", "--limit", "latency"), "upper bound"),
        (("nasbench201", "--trials", "3", "--answer", "luck"), "best or recommended"),
        (("nasbench201", "--trials", "3", "--repeat", "seed"), "of your own"),
    ):
        with pytest.raises(UsageError, match=message):
            run(tmp_path, *words)
