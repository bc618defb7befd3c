"""A run that was finished or stopped goes on: with more time, with other wishes, and only with what it began with."""

import json
import shutil
import tomllib

import numpy as np
import pytest
import torch
from torch import nn

import archsmith
from archsmith import Space, call, choice
from archsmith.errors import BudgetError, DataError, Paused, SpaceError, StoreError, UsageError
from archsmith.pipeline import Pause, finalists, work
from archsmith.report import list_runs, load_record
from archsmith.space import described, from_json
from archsmith.testing.invariants import check_folder

OPTIONS = {"budget": "10m", "executor": "inline", "formats": (), "finalists": 1, "seed": 1}


def data(seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(240) % 3
    x = rng.integers(0, 120, (240, 1, 6, 6)) + 60 * (y[:, None, None, None] == np.arange(6)[:, None] // 2)
    return x.astype(np.uint8), y


def space(*widths):
    width = choice(*widths, name="width")
    flat = call(nn.Sequential, call(nn.Flatten), call(nn.Linear, 36, width), call(nn.ReLU), call(nn.Linear, width, 3))
    return Space(model=flat)


def paused_in(phase, out, **options):
    """Begin a run and stop it in a phase; return its folder and what was said."""
    pause = Pause()

    def listen(event):
        if event["type"] == "phase" and event["name"] == phase:
            pause.ask()

    with pytest.raises(Paused) as caught:
        archsmith.search(data(), space=space(4, 6, 8), out=out, progress=listen, pause=pause, **OPTIONS, **options)
    (folder,) = out.iterdir()
    return folder, str(caught.value)


@pytest.fixture(scope="module", autouse=True)
def hurry():
    """Train for a moment only, and compare with one rival: what is looked at here does not depend on how well."""
    torch.set_num_threads(1)
    every = work.contenders
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "contenders", lambda *given: every(*given)[:2])
        patch.setattr(work, "wanted_epochs", lambda samples: 16.0)
        patch.setattr(finalists, "wanted_epochs", lambda samples: 16.0)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return archsmith.search(data(), space=space(4, 6, 8), out=tmp_path_factory.mktemp("runs"), trials=2, **OPTIONS)


def test_a_finished_run_with_more_trials_numbers_them_on_and_chooses_anew(finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / finished.folder.name)
    with pytest.raises(UsageError, match=r"is finished\. Give it more time"):
        archsmith.resume(folder, data=data(), space=space(4, 6, 8))
    before = (folder / "events.jsonl").read_text()
    result = archsmith.resume(folder, data=data(), space=space(4, 6, 8), trials=4, budget="+5m")
    check_folder(folder)
    assert (folder / "events.jsonl").read_text().startswith(before)
    assert result.data["counts"]["complete"] + result.data["counts"].get("cached", 0) >= 3
    assert result.data["task"]["test_openings"] == 2 and "opened 2 times" in result.verdict
    assert result.data["budget_s"] == 900 and "given more time" in result.data["history"][0]
    assert "given more time" in (folder / "report.html").read_text()


def test_a_paused_run_says_how_to_go_on_and_does_with_other_wishes(tmp_path):
    folder, said = paused_in("train the finalists", tmp_path / "runs", trials=3)
    assert f"archsmith resume {folder}" in said
    record = load_record(folder)
    assert record.status == "paused" == list_runs(tmp_path / "runs")[0]["status"]
    assert sum(t.state == "complete" for t in record.trials) == 3
    result = archsmith.resume(
        folder, data=data(), space=space(4, 6, 8), objectives=["accuracy", "params"],
        limits={"params": 200, "latency_ms": "10s"},
    )  # fmt: skip
    assert result.best.metrics["params"] <= 200
    measured = [
        e for e in map(json.loads, (folder / "events.jsonl").read_text().splitlines()) if e["kind"] == "measured"
    ]
    assert all(0 < e["data"]["metrics"]["latency_ms"] < 10_000 for e in measured)
    assert result.data["best"]["trial"] in {e["trial"] for e in measured}, "earlier trials are no longer chosen"
    assert [o["metric"] for o in result.data["objectives"]] == ["accuracy", "params"]
    assert result.data["task"]["test_openings"] == 1
    assert tomllib.loads((folder / "run.toml").read_text())["limits"] == {"latency_ms": 1e4, "params": 200}
    assert load_record(folder).status == "finished"


def test_what_the_run_did_not_begin_with_is_refused_and_named(tmp_path):
    folder, _ = paused_in("search", tmp_path / "runs", trials=2)
    known = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".json", ".jsonl")}
    with pytest.raises(SpaceError, match=r"width was .*\[4, 6, 8\].*, is .*\[4, 6\]"):
        archsmith.resume(folder, data=data(), space=space(4, 6))
    with pytest.raises(DataError, match="has changed since the run began"):
        archsmith.resume(folder, data=data(seed=1), space=space(4, 6, 8))
    with pytest.raises(UsageError, match=r"were in memory.*archsmith\.resume\(run, data="):
        archsmith.resume(folder)
    with pytest.raises(BudgetError, match=r"were spent already"):
        archsmith.resume(folder, data=data(), space=space(4, 6, 8), budget="0.01s")
    assert all((folder / name).read_bytes() == content for name, content in known.items())
    with pytest.raises(StoreError, match="is no run"):
        archsmith.resume(tmp_path)


def test_a_space_given_in_python_is_found_again_in_the_folder(finished):
    written = json.loads((finished.folder / "space.json").read_text())
    found = from_json(written["space"])
    assert described(found) == written["decisions"] == described(space(4, 6, 8))


def test_another_version_is_said_and_written_down(finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / finished.folder.name)
    path = folder / "env.json"
    old = json.loads(path.read_text())
    path.write_text(json.dumps({**old, "versions": {**old["versions"], "torch": "1.0"}}))
    said = []
    pause = Pause()

    def listen(event):
        said.append(event.get("text", ""))
        if event["type"] == "phase" and event["name"] == "search":
            pause.ask()

    with pytest.raises(Paused):
        archsmith.resume(folder, data=data(), trials=4, budget="+1m", progress=listen, pause=pause)
    assert any("torch 1.0 -> " in text for text in said)
    now = json.loads(path.read_text())
    assert now["mixed"] and now["earlier"][0]["versions"]["torch"] == "1.0"


def test_a_run_whose_data_cannot_be_read_leaves_no_folder(tmp_path):
    with pytest.raises(DataError):
        archsmith.search(str(tmp_path / "nothing.csv"), budget="30s", out=tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []
