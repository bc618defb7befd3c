"""Tables, summary and terminal tell what the log holds, and looking at a run starts nothing heavy."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from folder import write_folder

from archsmith.report import RunRecord, list_runs, load_record, runs_lines, show_data, show_lines
from archsmith.report.facts import command, strategy_text
from archsmith.report.write import write_reports
from archsmith.trial import dominates


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reports(write_folder(tmp_path_factory.mktemp("runs") / "fashion")).parent


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_leaderboard_has_every_trial_once_best_first(run: Path) -> None:
    rows, record = table(run / "leaderboard.csv"), load_record(run)
    assert sorted(int(r["trial"]) for r in rows) == [t.number for t in record.trials]
    assert [int(r["rank"]) for r in rows] == list(range(1, len(rows) + 1))
    usable = {t.number for t in record.trials if t.usable}
    scores = [float(r["accuracy"]) for r in rows if int(r["trial"]) in usable]
    assert scores == sorted(scores, reverse=True)
    assert {int(r["trial"]) for r in rows[: len(usable)]} == usable
    by_number = {t.number: t for t in record.trials}
    for row in rows:
        trial = by_number[int(row["trial"])]
        assert row["state"] == trial.state and row["arch.width"] == str(trial.arch["width"])
        assert float(row["params"]) == trial.metrics["params"]


def test_the_front_is_what_nothing_at_its_fidelity_dominates(run: Path) -> None:
    record = load_record(run)
    rows = table(run / "pareto.csv")
    assert [int(r["trial"]) for r in rows] == [t.number for t in record.front]
    full = [t for t in record.trials if t.usable and t.proposal.fidelity == {"epochs": 9}]
    assert {t.losses for t in record.front} == {
        t.losses for t in full if not any(dominates(o.losses, t.losses) for o in full)
    }


def test_with_one_objective_the_front_is_drawn_against_a_cost(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", objectives=[{"metric": "accuracy", "direction": "max"}])
    record = load_record(folder)
    assert record.cost == "latency_ms" and len(record.front) > 1
    pairs = [(-t.metrics["accuracy"], t.metrics["latency_ms"]) for t in record.front]
    assert not any(dominates(a, b) for a in pairs for b in pairs)
    assert pairs == sorted(pairs)


def test_formulas_in_a_log_do_not_run_in_a_spreadsheet(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", trials=12)
    log = (folder / "events.jsonl").read_text().replace("RuntimeError: Given", "=HYPERLINK(1)")
    (folder / "events.jsonl").write_text(log)
    (folder / "store.sqlite").unlink()
    write_reports(folder)
    reasons = {row["reason"] for row in table(folder / "leaderboard.csv")}
    assert any(r.startswith("'=HYPERLINK") for r in reasons) and not any(r.startswith("=") for r in reasons)


def test_the_log_is_read_from_its_plain_text_copy_where_the_store_is_gone(run: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run")
    whole = load_record(folder)
    (folder / "store.sqlite").unlink()
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"kind": "asked", "tri')
    assert load_record(folder).trials == whole.trials


def test_a_copied_folder_shows_the_same(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in run.rglob("*"):
        target = copy / path.relative_to(run)
        target.mkdir(exist_ok=True) if path.is_dir() else target.write_bytes(path.read_bytes())
    ours, theirs = show_data(load_record(run)), show_data(load_record(copy))
    assert {**ours, "folder": ""} == {**theirs, "folder": ""}


def test_data_for_programs_is_json_and_complete(run: Path) -> None:
    data = show_data(load_record(run))
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["schema_version"] == 1 and data["status"] == "finished"
    assert data["best"]["test"]["accuracy"] == 0.9287
    assert data["counts"]["failed"] == sum(f["trials"] for f in data["failures"])
    assert {c["kind"] for c in data["comparisons"]} == {"equal", "human", "random"}


def test_lines_for_people_hold_no_terminal_codes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", trials=12, name="a\x1b]0;x\x07\x1b[31mb", verdict="\x1b[2J won")
    lines = show_lines(load_record(folder))
    assert lines[0] == "ab" and "won" in lines
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for line in lines for c in line)


def test_lines_for_people_tell_the_story(run: Path) -> None:
    text = "\n".join(show_lines(load_record(run)))
    for words in ("reaches 92.9 %", "test accuracy", "92.87 %", "ResNet-20", "Failed 5 times", "report.html"):
        assert words in text


def test_runs_are_listed_newest_first_even_damaged_ones(tmp_path: Path) -> None:
    for i, name in enumerate(("old", "new")):
        folder = write_folder(tmp_path / name, trials=2, name=name)
        os.utime(folder / "result.json", (1e9 + i, 1e9 + i))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "result.json").write_text("{")
    os.utime(tmp_path / "torn" / "result.json", (1e8, 1e8))
    (tmp_path / "something else").mkdir()
    entries = list_runs(tmp_path)
    assert [e["name"] for e in entries] == ["new", "old", "torn"]
    lines = runs_lines(entries)
    assert "accuracy 92.87 % (test)" in lines[0] and "15 min" in lines[0] and "torn" in lines[2]
    assert list_runs(tmp_path / "nowhere") == [] and runs_lines([]) == []


def test_the_command_is_composed_from_the_settings_where_none_was_recorded(run: Path) -> None:
    assert command(load_record(run)).startswith("archsmith search fashion_mnist --budget 15m")
    settings = {
        "source": "my photos", "budget": 90.0, "space": "mobile", "seed": 7, "folds": 0, "target": "",
        "objectives": [{"metric": "accuracy"}, {"metric": "latency_ms"}], "limits": {"latency_ms": 5.0, "params": 5e5},
    }  # fmt: skip
    assert command(RunRecord(run, config=settings)) == (
        "archsmith search 'my photos' --budget 90s --objective accuracy --objective latency_ms --max-latency 5ms "
        "--max-params 500000 --space mobile --seed 7"
    )
    assert command(RunRecord(run, config={**settings, "in_memory": True})) == ""
    assert command(RunRecord(run)) == ""


def test_the_strategy_is_told_without_the_networks_it_began_with() -> None:
    told = strategy_text(RunRecord(Path(), {"strategy": "First(archs=(Arch({'a': (1, 2)}), Arch({'b': 1})), eta=3)"}))
    assert told == "First(archs=(), eta=3)"


def test_the_summary_is_half_a_page(run: Path) -> None:
    text = (run / "summary.md").read_text()
    assert text.startswith("# fashion-mnist-7f3a\n\nA network of 70 thousand parameters")
    assert "| ResNet-20 |" in text and "Trials: " in text and len(text.splitlines()) < 60
    widths = {line.count("|") - line.count("\\|") for line in text.split("## ")[1].splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_looking_at_a_run_imports_neither_torch_nor_scikit_learn() -> None:
    code = "import archsmith.report, sys; print([m for m in ('torch', 'sklearn', 'scipy', 'PIL') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
