"""The commands that only read: what they say, to whom, and what they say when there is nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_show_says_verdict_numbers_and_files_on_stdout(command: Any, make_run: Callable[..., Path]) -> None:
    folder = make_run()
    done = command("show", str(folder))
    assert done.code == 0 and done.err == ""
    for piece in ("98.6 %", "98.60 %", "99.00 %", "48.2 k", "resnet20", "report.html"):
        assert piece in done.out, piece
    assert "\u00a0" not in done.out


def test_show_in_json_is_one_object_with_the_version_of_its_schema(command: Any, make_run: Callable[..., Path]) -> None:
    make_run()
    data = json.loads(command("show", "--json").out)
    assert data["schema_version"] == 1
    assert data["best"]["test"] == {"accuracy": 0.986}
    assert data["best"]["metrics"]["params"] == 48210


def test_a_copied_run_shows_the_same(command: Any, make_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_run()
    copy = tmp_path / "elsewhere" / "mine"
    shutil.copytree(folder, copy)
    there, here = command("show", str(copy)).out, command("show", str(folder)).out
    assert there.replace(str(copy), "RUN") == here.replace(str(folder), "RUN")


def test_a_run_without_a_result_yet_is_shown_from_its_log(command: Any, make_run: Callable[..., Path]) -> None:
    make_run(result=None)
    done = command("show")
    assert done.code == 0
    assert "1 complete" in done.out and "1 running" in done.out


def test_ls_lists_every_run_and_only_runs(command: Any, make_run: Callable[..., Path], tmp_path: Path) -> None:
    make_run("a-1")
    make_run("b-2")
    (tmp_path / "runs" / "not-a-run").mkdir()
    done = command("ls")
    assert sorted(line.split()[0] for line in done.out.splitlines()) == ["a-1", "b-2"]
    assert "accuracy 98.60 % (test)" in done.out
    data = json.loads(command("ls", "--json").out)
    assert data["schema_version"] == 1 and len(data["runs"]) == 2


def test_a_run_is_found_by_the_beginning_of_its_name(command: Any, make_run: Callable[..., Path]) -> None:
    for name in ("cats-1", "cats-2", "dogs-1"):
        make_run(name)
    assert "dogs" in command("show", "dog").out
    several = command("show", "cats")
    assert several.code == 5 and "cats-1" in several.err and "cats-2" in several.err


@pytest.mark.parametrize("arguments", [["show", "digts-1"], ["predict", "digts-1", "x.png"], ["compare", "digts-1"]])
def test_an_unknown_run_gets_the_nearest_name(
    command: Any, make_run: Callable[..., Path], arguments: list[str]
) -> None:
    make_run("digits-1")
    done = command(*arguments)
    assert done.code == 5 and done.out == ""
    assert "'digts-1'" in done.err and "'digits-1'" in done.err


def test_a_folder_that_is_no_run_is_named_as_such(command: Any, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    done = command("show", "photos")
    assert done.code == 5 and "not of a run" in done.err


def test_without_runs_the_next_step_is_named(command: Any) -> None:
    assert "archsmith search" in command("ls").out
    done = command("show")
    assert done.code == 5 and "archsmith search" in done.err


@pytest.mark.parametrize("text", ["{", "[]", '{"best": 3, "phases": {"a": 1}, "comparisons": [1], "limits": null}'])
def test_a_damaged_result_is_shown_as_far_as_it_goes(command: Any, make_run: Callable[..., Path], text: str) -> None:
    (make_run() / "result.json").write_text(text, encoding="utf-8")
    assert command("show").code == 0
    assert command("ls").code == 0
