"""Send signals to ``archsmith search`` and see how it ends and goes on; run as a program, it says what it saw as JSON.

Each command is a fork of this process, which has loaded everything before.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from run_killed_anywhere import hurry, settle

from archsmith.cli import main as command

TINY = ("--space", "tiny_space.py", "--executor")


def started(root: Path, name: str, *arguments: str) -> int:
    """Run the command line in a process of its own, which leads a group as a terminal's job does."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.alarm(300)  # rather dead than waited for for ever
        for stream, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(root / f"{name}.{stream}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        if name == "hung":  # a pipe that nobody reads, as of a terminal that was closed
            reading, writing = os.pipe()
            os.dup2(writing, 2)
            os.close(reading)
        sys.argv = ["archsmith", *arguments]
        code = 0
        try:
            command()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush()
            os._exit(code)
    return child


def folder_of(root: Path, name: str) -> Path:
    return next(p.parent for p in (root / "runs").glob(f"{name}-*/run.toml"))


def when(child: int, true: Callable[[], bool]) -> None:
    """Wait until something is true of the run."""
    until = time.monotonic() + 120
    while True:
        try:
            if true():
                return
        except (OSError, ValueError, StopIteration):
            pass
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before its time"
        assert time.monotonic() < until, "it never came to pass"
        time.sleep(0.01)


def phase(root: Path, name: str, wanted: str) -> bool:
    return json.loads((folder_of(root, name) / "phases" / "state.json").read_text())["phase"] == wanted


def trials(root: Path, name: str) -> int:
    return (folder_of(root, name) / "events.jsonl").read_text().count('"finished"')


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def search(root: Path, name: str, executor: str, *more: str) -> int:
    budget = "10m" if executor == "inline" else "2m"  # the machine is measured for a share of it
    return started(root, name, "search", "tiny.npz", *TINY, executor, "--name", name, "--budget", budget, *more)


def paused(root: Path, name: str, number: int, wanted: str) -> dict[str, object]:
    """Stop a search gently in a phase, and let it go on with few trials, beyond the final training."""
    child = search(root, name, "inline", "--trials", "400" if wanted == "search" else "2", "--finalists", "1")
    when(child, lambda: phase(root, name, wanted) and (wanted != "search" or trials(root, name) > 1))
    os.killpg(child, number)
    code, run = ended(child), folder_of(root, name)
    said = (root / f"{name}.err").read_text()
    state = json.loads((run / "phases" / "state.json").read_text())
    again = started(root, f"{name}-again", "resume", run.name, "--trials", "2")
    when(again, lambda: phase(root, name, "train the comparisons"))
    os.killpg(again, signal.SIGTERM)  # it has gone on; what comes after takes long and is shown elsewhere
    ended(again)
    state_now = json.loads((run / "phases" / "state.json").read_text())
    return {"code": code, "said": said, "status": state["status"], "name": run.name, "history": state_now["history"]}


def spammed(root: Path) -> dict[str, object]:
    """Press Ctrl+C twenty times while worker processes are busy."""
    child = search(root, "spam", "processes", "--trials", "400")
    when(child, lambda: trials(root, "spam") > 0)
    below = psutil.Process(child).children(recursive=True)
    for _ in range(20):
        os.killpg(child, signal.SIGINT)
        time.sleep(0.005)
    code = ended(child)
    _, alive = psutil.wait_procs(below, timeout=10)
    return {"code": code, "said": (root / "spam.err").read_text(), "workers": len(below), "alive": len(alive)}


def hung_up(root: Path) -> dict[str, object]:
    """Close the terminal: nobody reads any more, and the system says so."""
    child = search(root, "hung", "inline", "--trials", "2", "--finalists", "1")
    when(child, lambda: phase(root, "hung", "search"))
    os.kill(child, signal.SIGHUP)
    when(child, lambda: "train the comparisons" in (folder_of(root, "hung") / "run.log").read_text())
    os.killpg(child, signal.SIGTERM)
    return {"code": ended(child), "log": (folder_of(root, "hung") / "run.log").read_text()}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    hurry()
    settle(place)
    saw = {
        "ctrl_c": paused(place, "ctrl", signal.SIGINT, "search"),
        "terminated": paused(place, "term", signal.SIGTERM, "train the finalists"),
        "spammed": spammed(place),
        "hung_up": hung_up(place),
    }
    json.dump(saw, sys.stdout)
