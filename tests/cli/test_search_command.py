"""What the command hands to the pipeline, what it shows meanwhile, and how it ends."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archsmith import errors
from archsmith.pipeline import Pause

EVENTS = [
    {"type": "phase", "name": "search", "share_s": 30, "elapsed": 4.0, "budget": 90},
    {"type": "note", "text": "two trials side by side\x1b[31m"},
    {"type": "trial", "number": 0, "state": "running", "metrics": {}, "best": None},
    {"type": "trial", "number": 0, "state": "complete", "metrics": {"accuracy": 0.9}, "best": {"accuracy": 0.9}},
    {"type": "trial", "number": 1, "state": "failed", "metrics": {}, "best": {"accuracy": 0.9}},
    {"type": "something new"},
    {"type": "done"},
]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, make_run: Callable[..., Path]) -> SimpleNamespace:
    """A pipeline that tells its events and returns a run written beforehand; it records what it was asked."""
    asked: dict[str, Any] = {}

    def search(data: Any, *, progress: Callable[[dict[str, Any]], None], **rest: Any) -> Any:
        asked.update(rest, data=data)
        for event in EVENTS:
            progress(event)
        if "error" in asked:
            raise asked["error"]
        if "signal" in asked:
            os.kill(os.getpid(), asked["signal"])
            time.sleep(30)
        return SimpleNamespace(folder=make_run())

    fake = SimpleNamespace(search=search, asked=asked, Pause=Pause)
    monkeypatch.setattr("archsmith.cli.search.load", lambda name: fake)
    return fake


def test_quantities_arrive_as_numbers(command: Any, pipeline: SimpleNamespace) -> None:
    done = command(
        *("search", "photos", "--budget", "1h30m", "--max-latency", "200us", "--max-params", "500k"),
        *("--max-macs", "1.5M", "--max-memory", "2MiB", "--objective", "accuracy", "--objective", "latency"),
    )
    assert done.code == 0, done.err
    assert pipeline.asked["data"] == "photos" and pipeline.asked["budget"] == 5400
    assert pipeline.asked["objectives"] == ("accuracy", "latency")
    assert pipeline.asked["limits"] == {
        "latency_ms": pytest.approx(0.2),
        "params": 500_000,
        "macs": 1_500_000,
        "activation_bytes": 2_097_152,
    }


def test_several_values_of_a_limit_and_where_weights_come_from_arrive_as_given(
    command: Any, pipeline: SimpleNamespace, make_run: Callable[..., Path]
) -> None:
    earlier = make_run("digits-20250101-000000-abcdef")
    done = command(
        *("search", "digits", "--method", "bignas", "--max-latency", "2ms", "--max-latency", "500us"),
        *("--weights", earlier.name),
    )
    assert done.code == 0, done.err
    assert pipeline.asked["limits"] == {"latency_ms": [2.0, 0.5]} and pipeline.asked["method"] == "bignas"
    assert Path(pipeline.asked["weights"]).name == earlier.name
    assert "There is no run 'digits-1999'" in command("search", "digits", "--weights", "digits-1999").err


def test_the_result_goes_to_stdout_and_progress_to_stderr(command: Any, pipeline: SimpleNamespace) -> None:
    done = command("search", "digits", "--budget", "90s")
    assert "98.6 %" in done.out and "report.html" in done.out
    assert "two trials side by side" in done.err and "98.6 %" not in done.err
    assert "1 done, 0 running" in done.err and "accuracy 90.00 %" in done.err
    assert "\x1b" not in done.err
    assert done.err.count("\n") <= len(EVENTS)


def test_quiet_is_quiet(command: Any, pipeline: SimpleNamespace) -> None:
    done = command("search", "digits", "--quiet")
    assert done.err == "" and "98.6 %" in done.out


def test_json_is_one_object(command: Any, pipeline: SimpleNamespace) -> None:
    data = json.loads(command("search", "digits", "--json", "-q").out)
    assert data["schema_version"] == 1 and data["report"].endswith("report.html")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DataError("photos: the folder is empty."), 2),
        (errors.BudgetError("too small"), 2),
        (errors.LimitError("nothing fits"), 3),
        (errors.TooManyFailures("all failed"), 4),
        (errors.StoreError("disk full"), 5),
        (errors.ExportError("differs"), 6),
        (errors.MissingExtra("install"), 7),
        (errors.ArchsmithError("other"), 1),
    ],
)
def test_our_errors_are_a_sentence_and_an_exit_code(
    command: Any, pipeline: SimpleNamespace, error: Exception, code: int
) -> None:
    pipeline.asked["error"] = error
    done = command("search", "digits")
    assert done.code == code and done.out == ""
    assert f"error: {error}" in done.err and "Traceback" not in done.err


def test_an_unexpected_error_is_called_a_fault_and_its_log_is_named(
    command: Any, pipeline: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pipeline.asked["error"] = ZeroDivisionError("division by zero")
    done = command("search", "digits")
    assert done.code == 1 and "Traceback" not in done.err
    (log,) = tmp_path.glob("archsmith-*.log")
    assert str(log) in done.err.replace("\n", "")
    assert "ZeroDivisionError" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "fast"], "1h30m"),
        (["--max-params", "many"], "500k"),
        (["--folds", "1"], "--folds"),
        (["--budgt", "90s"], "--budget"),
        (["--trials", "0"], "trials"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(command: Any, arguments: list[str], said: str) -> None:
    done = command("search", "digits", *arguments)
    assert done.code == 2 and done.out == "" and said in done.err


def test_an_interrupted_search_ends_as_the_shell_expects(command: Any, pipeline: SimpleNamespace) -> None:
    pipeline.asked["error"] = KeyboardInterrupt()
    assert command("search", "digits").code == 130


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without telling it")
def test_a_terminated_search_ends_on_its_way_out_and_at_once(command: Any, pipeline: SimpleNamespace) -> None:
    pipeline.asked["signal"] = signal.SIGTERM
    before, began = signal.getsignal(signal.SIGTERM), time.monotonic()
    try:
        assert command("search", "digits").code == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began < 20
