"""Kill a whole run in each of its phases, one after another, go on each time, and compare with an undisturbed one.

Run as a program, it says what it saw as JSON. Each process of the run is a fork of this one, which has loaded
everything and started nothing.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # the first training loads it, for seconds: once here, not in every fork
from safetensors.torch import load_file

from archsmith import failpoint
from archsmith.export import Verified
from archsmith.export.write import FILES
from archsmith.pipeline import finalists, resume, search, ship, work
from archsmith.store import read_mirror
from archsmith.testing.invariants import check_folder

SPACE = """
from torch import nn
from archsmith import Space, call, choice

width = choice(4, 6, 8, name="width")
space = Space(model=call(nn.Sequential, call(nn.Flatten), call(nn.Linear, 36, width), call(nn.ReLU),
                         call(nn.Linear, width, 3)))
"""
# Where each process of the run in turn is killed: the data check, measuring, the search with a checkpoint half written,
# the final training, the comparisons, the test split just opened, the export, the report, the manifest.
FAULTS = (
    "phase.check.before",
    "phase.measure.before",
    "store.commit.after=@4",
    "checkpoint.synced=@1",
    "phase.trained.after=@1",
    "test.opened",
    "export.file.written=@2",
    "run.manifest.before",
)


def make_data(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = rng.integers(0, 120, (240, 1, 6, 6)) + 60 * (y[:, None, None, None] == np.arange(6)[:, None] // 2)
    np.savez(folder / "tiny.npz", x=x.astype(np.uint8), y=y)
    (folder / "tiny_space.py").write_text(SPACE)
    return folder / "tiny.npz"


def go(folder: Path) -> None:
    """Begin the run under ``folder``, or go on with it."""
    known = list(folder.glob("*/run.toml"))
    if known:
        resume(known[0].parent)
    else:
        search("tiny.npz", budget="10m", out=folder, trials=4, executor="inline", seed=3, formats=(),
               space="tiny_space.py", finalists=2)  # fmt: skip


def attempt(folder: Path, fault: str) -> int:
    """Do so in a process of its own; return how that ended."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 3
        signal.alarm(300)  # rather dead than waited for for ever
        try:
            name, _, turn = fault.partition("=")
            failpoint.arm(f"{name}=kill9{turn}" if fault else "")
            go(folder)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outcome(folder: Path) -> dict[str, object]:
    """What came of the run, without times."""
    (run,) = (p.parent for p in folder.glob("*/run.toml"))
    check_folder(run)
    result = json.loads((run / "result.json").read_text())
    told = [
        [e.kind, e.trial, e.data.get("proposal"), e.data.get("state"), e.data.get("metrics", {}).get("accuracy")]
        for e in read_mirror(run / "events.jsonl")
    ]
    assert [e["ok"] for e in result["exports"]] == [True]
    assert json.loads((run / "phases" / "state.json").read_text())["status"] == "finished"
    assert result["task"]["test_openings"] == 1
    best = result["best"]
    return {"log": told, "weights": best["weights"], "arch": best["arch"], "test": best["test"]}


def settle(root: Path) -> None:
    """Get ready to be forked: with one core no thread is started, and threads do not survive a fork."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    make_data(root)
    os.chdir(root)


def seen(folder: Path, formats: list[str], **times: float) -> list[Verified]:
    """Believe a file that is there and whole; to look at each in a process of its own takes seconds."""
    return [Verified(f, f"{folder.name}/{FILES[f]}", bool(load_file(folder / FILES[f])), 1) for f in formats]


def hurry() -> None:
    """Train for a moment only, compare with one rival, check no file at length: here none of that is looked at."""
    ship.check = seen
    every = work.contenders
    work.contenders = lambda *given: every(*given)[:2]
    work.wanted_epochs = finalists.wanted_epochs = lambda samples: 16.0


def main(root: Path) -> None:
    hurry()
    settle(root)
    assert attempt(root / "undisturbed", "") == 0
    expected = outcome(root / "undisturbed")
    for fault in FAULTS:
        assert attempt(root / "killed", fault) == -signal.SIGKILL, f"it was not killed at {fault}"
    assert attempt(root / "killed", "") == 0
    assert outcome(root / "killed") == expected
    (run,) = (p.parent for p in (root / "killed").glob("*/run.toml"))
    history = json.loads((run / "result.json").read_text())["history"]
    json.dump({"kills": len(FAULTS), "history": len(history), "trials": len(expected["log"])}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
