"""Ctrl+C pauses, twice stops at once, SIGTERM saves, and a closed terminal is no reason to stop."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor these signals")


@pytest.fixture(scope="module")
def saw(unflushed):
    program = [sys.executable, str(HERE / "run_signalled.py"), str(unflushed)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(("what", "code"), [("ctrl_c", 130), ("terminated", 143)])
def test_a_search_that_is_asked_to_stop_saves_says_how_to_go_on_and_does(saw, what, code):
    one = saw[what]
    assert one["code"] == code and one["status"] == "paused"
    assert "press Ctrl+C again to stop at once" in one["said"]
    assert f"archsmith resume runs/{one['name']}" in one["said"].replace("\n", "")
    assert "Traceback" not in one["said"]
    assert len(one["history"]) == 1 and "was paused" in one["history"][0]


def test_pressed_twice_it_stops_at_once_and_leaves_nothing_running(saw):
    one = saw["spammed"]
    assert one["code"] == 130 and "Traceback" not in one["said"]
    assert one["workers"] > 0 and one["alive"] == 0


def test_a_closed_terminal_does_not_stop_a_search(saw):
    assert saw["hung_up"]["code"] == 143, "it was stopped in the end, by SIGTERM"
    assert "train the comparisons" in saw["hung_up"]["log"]
