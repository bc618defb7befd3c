"""Kill a small study at every named place in turn, go on, and compare; run as a program, it says what it saw as JSON.

Each attempt is a fork of this process, which has loaded everything and started nothing, so that one takes milliseconds.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from archsmith import failpoint
from archsmith.space import Space, choice, real
from archsmith.store import read_mirror
from archsmith.strategy import RegularizedEvolution
from archsmith.study import Study
from archsmith.testing.invariants import check_folder

TRIALS = 5
SPACE = Space(model=choice("a", "b", "c", name="block"), lr=real(1e-4, 1e-1, log=True, name="lr"))


def evaluate(proposal, run):
    """Something that keeps a state in the trial's folder, as a training does, and may fail."""
    failpoint.hit("test.evaluating")
    if proposal.arch["block"] == "c":
        raise ValueError("no c, please")
    run.report({"epoch": 1.0, "accuracy": 0.5})
    return {"accuracy": 1 - abs(proposal.arch["lr"] - 0.01) + run.seed * 1e-12}


def go(folder: Path) -> None:
    told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(event):
        os.write(told, json.dumps([event.kind, event.trial]).encode() + b"\n")

    strategy = RegularizedEvolution(SPACE, population=3, sample=2)
    with Study(SPACE, strategy, evaluate, folder=folder, seed=5, on_event=tell, max_failures=99) as study:
        study.run(trials=TRIALS)


def attempt(folder: Path, fault: str) -> int:
    """Go on with the study in a process of its own; return how it ended, as ``os.waitstatus_to_exitcode`` has it."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        code = 3
        signal.alarm(300)  # rather dead than waited for for ever
        try:
            failpoint.arm(fault)
            go(folder)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outcome(folder: Path) -> list[object]:
    """What came of the study, without times."""
    told = [tuple(json.loads(line)) for line in (folder / "told").read_text().splitlines()]
    check_folder(folder, acknowledged=told)
    kept = ("proposal", "ask", "state", "metrics", "reason")
    return [
        [e.kind, e.trial, {k: v for k, v in e.data.items() if k in kept}] for e in read_mirror(folder / "events.jsonl")
    ]


def main(root: Path, fault: str) -> None:
    assert attempt(root / "undisturbed", "") == 0
    expected = outcome(root / "undisturbed")
    kills, turn = 0, 0
    while True:
        turn += 1
        folder = root / str(turn)
        code = attempt(folder, f"{fault}@{turn}")
        if code == 0:
            break
        assert code == -signal.SIGKILL, code
        kills += 1
        assert attempt(folder, "") == 0, turn
        assert outcome(folder) == expected, turn
    again, deaths = root / "again", 0
    while attempt(again, f"{fault}@9") != 0:
        deaths += 1
        assert deaths < 100, "killed at every ninth place, it makes no progress"
    assert outcome(again) == expected
    json.dump({"kills": kills, "deaths": deaths, "trials": len(expected)}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
