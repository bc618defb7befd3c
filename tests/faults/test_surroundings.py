"""Odd surroundings: no torch, no network, no home, no terminal, narrow and foreign ones."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archsmith.space import Space, choice
from archsmith.strategy import RandomSearch
from archsmith.study import Study

SOURCE = Path(__file__).parents[2] / "src"
# Who may speak with other machines, and only when asked to: a cluster, and the check that it is there. The others ask
# for the name of this one.
SPEAKERS = {"archsmith.cli.doctor", "archsmith.execute.ray_cluster", "archsmith.store.sql", "archsmith.lease"}
NETWORK = {"socket", "ssl", "urllib.request", "http", "requests", "httpx", "ftplib", "smtplib"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    return subprocess.run(
        [sys.executable, "-m", "archsmith", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, encoding="utf-8", errors="replace",
        env={**kept, "PYTHONPATH": str(SOURCE), **environment},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run in a folder that not every program can spell."""
    place = tmp_path / "ein Ordner mit Ümlaut 漢" / "run 1"
    space = Space(model=choice("a", "b", name="größe"))
    with Study(space, RandomSearch(space), lambda p, r: {"accuracy": 0.5}, folder=place) as study:
        study.run(trials=2)
    return place


def test_commands_answer_where_torch_is_broken(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch.so: cannot open shared object file')\n")
    path = os.pathsep.join([str(tmp_path), str(SOURCE)])
    for arguments in (("--help",), ("search", "--help"), ("ls", "--out", str(folder.parent)), ("show", str(folder))):
        done = run(*arguments, PYTHONPATH=path)
        assert done.returncode == 0, (arguments, done.stderr)
    done = run("doctor", PYTHONPATH=path)
    assert done.returncode == 7 and "libtorch.so" in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "20", "TERM": "dumb"},
        {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/proc", "MPLCONFIGDIR": "/proc"},
        {"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"},
    ],
    ids=["C", "narrow", "no home", "ascii"],
)
def test_a_run_is_shown_in_odd_surroundings(environment: dict[str, str], folder: Path) -> None:
    done = run("show", str(folder), **environment)
    assert done.returncode == 0 and "2 complete" in done.stdout, done.stderr
    assert not done.stderr


def test_nothing_is_fetched_from_anywhere() -> None:
    """Without a network everything works but what is asked to go there: no other module could."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported: list[Any] = []
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module or ""]
            if any(i == n or i.startswith(n + ".") for i in imported for n in NETWORK):
                found.add(name)
    assert found <= SPEAKERS, found - SPEAKERS


def test_torchvision_is_not_needed() -> None:
    """A torchvision that does not fit the torch that is there cannot do harm: nothing imports it."""
    assert not [p for p in SOURCE.rglob("*.py") if "import torchvision" in p.read_text(encoding="utf-8")]
