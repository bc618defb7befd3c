"""``archsmith bench``: what is printed, written and refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archsmith.bench import load_trajectories
from archsmith.cli.app import app
from archsmith.errors import UsageError
from archsmith.strategy import names

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
    text = run(tmp_path, str(path), "--strategies", "random", "--trials", "12", "--seeds", "2")
    assert "optimum 0.9140" in text and "0.9140±0.0000" in text, "accuracies from 0 to 1 differ in later digits"
    both = run(
        tmp_path, str(path), "--strategies", "random", "--trials", "12", "--seeds", "2",
        "--objective", "accuracy", "--objective", "latency_ms", "--limit", "latency_ms=200",
    )  # fmt: skip
    assert "hypervolume" in both and "1.000±0.000" in both


INTERRUPTED = """
import signal
import sys
from archsmith.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started this deaf to it
    main()
"""


FAULTY = """
from archsmith.strategy import RandomSearch


class Faulty(RandomSearch):
    def ask(self, n, rng, running):
        raise ZeroDivisionError
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_comparison_keeps_what_had_ended(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "bench.py"
    script.write_text(INTERRUPTED, encoding="utf-8")
    words = ["bench", "nasbench201", "--strategies", "random,archsmith", "--seeds", "6", "--trials", "300"]
    command = [sys.executable, str(script), *words, "--jobs", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as bench:
        assert bench.stderr is not None
        assert bench.stderr.readline() == "random: 6 searches\n"
        os.killpg(bench.pid, number) if number is signal.SIGINT else bench.terminate()
        said = bench.stderr.read()
        assert bench.wait() == 128 + number
    folder = tmp_path / "bench" / "nasbench201-cifar10-300-trials"
    assert "1 of 2 strategies had ended" in said and "Traceback" not in said
    assert [s["label"] for s in json.loads((folder / "summary.json").read_text())["strategies"]] == ["random"]
    assert len(load_trajectories(folder)["random"]) == 6


def test_a_fault_in_a_strategy_loses_nothing_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, "nasbench201", "--strategies", "random,faulty:Faulty", "--seeds", "2", "--trials", "5")
    kept = load_trajectories(tmp_path / "nasbench201-cifar10-5-trials")
    assert list(kept) == ["random"]


OWN = """
class Two:
    def __init__(self, space, other):
        pass


class Silent:
    def __init__(self, space):
        pass


class Odd:
    def __init__(self, space):
        {}["nothing"]
"""


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("own_broken:X", "own_broken.*cannot be imported: SyntaxError.*own_broken.py, line 1"),
        ("own_exits:X", "own_exits.*cannot be imported: SystemExit"),
        ("own_bench:Two", r"'other'.*in brackets: own_bench:Two\(setting=1\)"),
        ("own_bench:Odd", "cannot be made from a space: KeyError"),
        ("own_bench:Silent", r"makes a Silent, which cannot ask and cannot tell.*ask\(n, rng, running\)"),
        ("own_bench:Nothing", "no attribute 'Nothing'"),
        ("halving(etaa=2)", "no setting 'etaa'"),
        ("halving(eta='two')", "'eta'.*'two'"),
        ("halving(eta=-2)", "eta > 1"),
    ],
)
def test_a_strategy_of_ones_own_that_cannot_be_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, message: str
) -> None:
    (tmp_path / "own_broken.py").write_text("class X(:\n", encoding="utf-8")
    (tmp_path / "own_exits.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    (tmp_path / "own_bench.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=message):
        run(tmp_path / "out", "nasbench201", "--strategies", strategy, "--seeds", "1", "--cost", "2000s")
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_no_folder_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsmith.bench.compare", lambda *_: pytest.fail("a search ran"))
    (tmp_path / "taken").write_text("", encoding="utf-8")
    for out in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(UsageError, match="taken is a file"):
            run(out, "nasbench201", "--strategies", "random", "--seeds", "1", "--trials", "3")


def test_every_strategy_is_listed_with_a_sentence() -> None:
    done = CliRunner().invoke(app, ["bench", "--list"])
    assert done.exit_code == 0
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == list(names())
    assert all(len(line) == 2 and line[1][0].isupper() and len(line[1]) > 20 for line in lines)
    assert any("Real et al., 2019" in line[1] for line in lines if line[0] == "evolution")
    assert any(line[1].startswith("Gives every proposal") for line in lines if line[0] == "halving")


def test_seeds_without_an_answer_are_counted_where_there_are_any(tmp_path: Path) -> None:
    words = ("nasbench201", "--strategies", "random", "--seeds", "6", "--trials", "8")
    text = run(tmp_path, *words, "--limit", "params=100000")
    assert "  answers  " in text and " of 6 " in text and "no answer is worse than every answer" in text
    assert "  answers  " not in run(tmp_path, *words)
    words = ("nasbench201", "--strategies", "random", "--seeds", "2", "--trials", "1")
    none = run(tmp_path, *words, "--limit", "macs=8e6")
    assert "0 of 2" in none and "none" in none


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(TABLE.replace("0.81", "high", 1), encoding="utf-8")
    good = tmp_path / "good.csv"
    good.write_text(TABLE, encoding="utf-8")
    for words, message in (
        ((str(path), "--trials", "3"), "row 2: the metric 'accuracy' is 'high"),
        (("nasbench201",), "how much"),
        (("nasbench201", "--trials", "3", "--dataset", "cifar"), "'cifar10'"),
        (("nasbench201", "--trials", "3", "--limit", "latency"), "upper bound"),
        (("nasbench201", "--trials", "3", "--answer", "luck"), "best or recommended"),
        (("nasbench201", "--trials", "3", "--repeat", "seed"), "of your own"),
        ((str(good), "--trials", "3", "--epochs", "12"), "--epochs is for nasbench201"),
        ((str(good), "--trials", "3", "--dataset", "cifar10"), "--dataset is for nasbench201"),
        (
            (str(good), "--trials", "3", "--objective", "accuracy", "--objective", "accuracy"),
            "'accuracy' is there twice",
        ),
        ((str(good), "--trials", "3", "--limit", "latency_ms=7"), "smallest latency_ms is 8"),
        ((str(good), "--trials", "3", "--limit", "latency_ms=nan"), "finite number"),
        ((str(good), "--trials", "3", "--limit", "latency_ms=9", "--limit", "latency_ms=8"), "the limit 9 already"),
    ):
        with pytest.raises(UsageError, match=message):
            run(tmp_path, *words)
