"""Killed at any moment, a search goes on: nothing is lost, nothing counted twice, and the end is the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL")


def program(name: str, *arguments: str) -> dict[str, int]:
    done = subprocess.run([sys.executable, str(HERE / name), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("fault", ["*=kill9", "store.mirror.after=torn:7"])
def test_a_study_killed_at_every_place_in_turn_ends_as_if_it_had_not_been(fault, unflushed: Path):
    (unflushed / fault[0]).mkdir()
    saw = program("study_killed_anywhere.py", str(unflushed / fault[0]), fault)
    assert saw["kills"] >= 11 and saw["deaths"] >= 1


def test_a_run_killed_in_each_phase_ends_with_the_same_weights(unflushed: Path):
    saw = program("run_killed_anywhere.py", str(unflushed))
    assert saw["history"] == saw["kills"]
