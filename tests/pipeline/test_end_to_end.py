"""The main job on real data, small: what is promised of every run folder."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import archsmith
from archsmith.errors import StoreError, UsageError
from archsmith.pipeline import compare, export, load_result, predict
from archsmith.report import load_record, show_data
from archsmith.space import Arch, check
from archsmith.spaces import mobile


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return archsmith.search(
        "digits", budget="40s", limits={"params": "150k"}, out=out, seed=3, executor="inline", name="<b>digits</b>"
    )


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    size, kind = rng.normal(10, 3, 600), rng.choice(["oak", "ash", "elm"], 600)
    price = 2 * size + np.where(kind == "oak", 10, 0) + rng.normal(0, 0.5, 600)
    lines = [f"{s:.3f},{k},{p:.3f}" for s, k, p in zip(size, kind, price, strict=True)]
    (folder / "wood.csv").write_text("size,kind,price\n" + "\n".join(lines) + "\n")
    return archsmith.search(str(folder / "wood.csv"), target="price", budget="30s", out=folder / "runs", seed=1)


def test_the_result_is_a_trained_network_inside_the_limits(run):
    assert run.best.metrics["params"] <= 150_000
    assert run.best.test["accuracy"] > 0.8
    assert run.best.model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert run.front and run.report.is_file() and "test split" in run.verdict
    assert all(t.metrics["params"] <= 150_000 for t in run.front)


def test_no_class_of_ours_is_left_in_the_network(run):
    allowed = ("torch.", "archsmith.build.blocks", "archsmith.build.preprocess")
    assert all(type(m).__module__.startswith(allowed) for m in run.best.model.modules())


def test_every_promised_file_is_there_and_whole(run):
    for name in ("run.toml", "env.json", "events.jsonl", "store.sqlite", "summary.md", "leaderboard.csv", "pareto.csv",
                 "best/model.py", "best/card.md", "best/arch.json", "exports/verify.json"):  # fmt: skip
        assert (run.folder / name).is_file(), name
    for line in (run.folder / "MANIFEST.sha256").read_text().splitlines():
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((run.folder / name).read_bytes()).hexdigest() == digest
    assert not list(run.folder.rglob("*.tmp")) and not list(run.folder.rglob(".tmp-*"))


def test_every_export_was_verified_at_several_batch_sizes(run):
    rows = {e["format"]: e for e in run.data["exports"]}
    assert set(rows) == {"safetensors", "pt2", "onnx"}
    for row in rows.values():
        assert row["ok"], row
        assert row["batches"] == [1, 2, 7] and row["max_difference"] <= row["tolerance"]


def test_the_test_split_was_opened_once_and_the_trials_can_be_repeated(run):
    assert run.data["task"]["test_openings"] == 1
    record = load_record(run.folder)
    space = mobile(archsmith.Spec.from_json(run.data["task"]["spec"]))
    for trial in record.trials:
        check(space, Arch.from_json(trial.arch))
    assert len({t.number for t in record.trials}) == len(record.trials)


def test_the_comparison_was_at_equal_cost_or_is_named_as_missing(run):
    trained = [c for c in run.data["comparisons"] if c["kind"] != "boosting"]
    names = {c["name"] for c in trained} | set(run.data["missing_comparisons"])
    assert {"resnet20", "mobilenetv2", "plain_cnn", "random architecture"} <= names
    if trained:
        seconds = [c["seconds"] for c in trained]
        assert max(seconds) <= 1.5 * min(seconds) + 1.0


def test_the_winner_loads_with_torch_and_safetensors_only(run, tmp_path):
    for name in ("model.py", "model.safetensors"):
        shutil.copy(run.folder / "best" / name, tmp_path / name)
    code = (
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('archsmith', 'sklearn', 'onnx', 'PIL'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "import torch, model\n"
        "print(model.predict(torch.full((3, 1, 8, 8), 128.0), model.load()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(eval(done.stdout)) == 3
    assert load_file(tmp_path / "model.safetensors")


def test_a_copied_run_folder_shows_predicts_and_exports(run, tmp_path):
    copy = shutil.copytree(run.folder, tmp_path / "elsewhere" / run.folder.name)
    assert show_data(load_record(copy))["name"] == "<b>digits</b>"
    rows = predict(copy, np.full((2, 1, 8, 8), 8.0))
    assert len(rows) == 2 and set(rows[0]) == {"label", "probability"} and rows[0]["label"] in "0123456789"
    for name in ("b.png", "a.png"):
        Image.new("L", (8, 8), 100).save(tmp_path / name)
    rows = predict(copy, [tmp_path / "b.png", tmp_path / "a.png"])
    assert [row["file"] for row in rows] == [str(tmp_path / "b.png"), str(tmp_path / "a.png")]
    (copy / "best" / "model.onnx").unlink()
    assert export(copy, "onnx")["ok"] and (copy / "best" / "model.onnx").is_file()
    assert all(e["ok"] for e in load_result(copy)["exports"])


def test_the_report_is_self_contained_and_shows_markup_as_text(run):
    page = run.report.read_text()
    assert "<b>digits</b>" not in page and "&lt;b&gt;digits&lt;/b&gt;" in page
    outside = page.replace("http://www.w3.org", "")
    assert "http://" not in outside and "https://" not in outside and "<script src" not in outside


def test_missing_comparisons_can_be_added_later(run, tmp_path):
    copy = shutil.copytree(run.folder, tmp_path / run.folder.name)
    data = load_result(copy)
    data["comparisons"] = [c for c in data["comparisons"] if c["name"] != "plain_cnn"]
    data["missing_comparisons"] = ["plain_cnn"]
    (copy / "result.json").write_text(json.dumps(data))
    after = compare(copy, 15.0)
    added = next(c for c in after["comparisons"] if c["name"] == "plain_cnn")
    assert added["metrics"]["accuracy"] > 0.3 and added["metrics"]["params"] > 0 and not added["test"]
    assert after["missing_comparisons"] == [] and "plain_cnn" in (copy / "report.html").read_text()
    with pytest.raises(UsageError, match="nothing is missing"):
        compare(copy, 15.0)


def test_a_table_of_numbers_is_learned_and_held_against_boosting(table_run):
    assert table_run.best.test["r2"] > 0.8
    boosted = next(c for c in table_run.data["comparisons"] if c["kind"] == "boosting")
    assert boosted["test"]["r2"] > 0.8
    rows = predict(table_run.folder, [{"size": 10, "kind": "oak"}, {"size": 10, "kind": "ash"}])
    assert abs(rows[0]["price"] - rows[1]["price"] - 10) < 5


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"no result\.json"):
        load_result(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        load_result(Path(tmp_path))
