"""Kill one long search at random, again and again, and see what it costs and whether anything is lost.

    python benchmarks/soak.py [KILLS] [SEED]

A study of a synthetic estimator whose trials take a few milliseconds and keep a checkpoint. Each process of it is
killed (SIGKILL) after a random time; the next one goes on. It ends when it was killed KILLS times (200 unless told
otherwise) and the search is done. Printed: the seed, the steps of work done in all beside those of an undisturbed
search, which must be at most one and a half times as many, and that every invariant holds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from archsmith.files import write_text
from archsmith.space import Space, choice, real
from archsmith.strategy import RegularizedEvolution
from archsmith.study import Study
from archsmith.testing.invariants import check_folder

STEPS, STEP_S = 5, 0.004
SPACE = Space(model=choice("a", "b", "c", name="block"), lr=real(1e-4, 1e-1, log=True, name="lr"))


def evaluate(proposal, run):
    """Some steps, each counted, with a checkpoint after each: what a training does, without the training."""
    path = run.folder / "state.json"
    done = json.loads(path.read_text())["step"] if path.exists() else 0
    for step in range(done, STEPS):
        time.sleep(STEP_S)
        with (run.folder / "work").open("a") as file:
            file.write("step\n")
        write_text(path, json.dumps({"step": step + 1}), "soak.state")
    return {"accuracy": 1 - abs(proposal.arch["lr"] - 0.01) + 1e-12 * run.seed}


def go(folder: Path, trials: int) -> None:
    told = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Study(
        SPACE, RegularizedEvolution(SPACE, population=20, sample=5), evaluate, folder=folder, seed=1,
        on_event=lambda e: os.write(told, json.dumps([e.kind, e.trial]).encode() + b"\n"),
    ) as study:  # fmt: skip
        study.run(trials=trials)


def forked(folder: Path, trials: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            go(folder, trials)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(3)
    return child


def outcome(folder: Path) -> list[str]:
    told = [tuple(json.loads(line)) for line in (folder / "told").read_text().splitlines()]
    check_folder(folder, acknowledged=told)
    lines = (folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    for event in events:
        event.pop("time")
        event["data"].pop("seconds", None)
    return [json.dumps(e, sort_keys=True) for e in events]


def work(folder: Path) -> int:
    return sum(len(p.read_text().splitlines()) for p in folder.glob("trials/*/work"))


def main(kills: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trials = 4 * kills
    with tempfile.TemporaryDirectory() as name:
        quiet, soaked = Path(name) / "quiet", Path(name) / "soaked"
        quiet.mkdir(), soaked.mkdir()
        begin = time.monotonic()
        assert os.waitstatus_to_exitcode(os.waitpid(forked(quiet, trials), 0)[1]) == 0
        usual = time.monotonic() - begin
        mean, killed, total = usual / kills, 0, 0.0
        while True:
            begin = time.monotonic()
            child = forked(soaked, trials)
            if killed < kills:
                time.sleep(float(rng.uniform(0.2, 1.8)) * mean)
                os.kill(child, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            total += time.monotonic() - begin
            if code == 0:
                break
            assert code == -signal.SIGKILL, code
            killed += 1
        assert outcome(soaked) == outcome(quiet), "the outcome is another one"
        share = work(soaked) / work(quiet)
        print(
            f"seed {seed}: killed {killed} times; the outcome is that of an undisturbed search, every invariant holds"
        )
        print(f"{work(soaked):,} steps of work instead of {work(quiet):,}: {share:.2f} times as many")
        print(f"{total:.1f} s instead of {usual:.1f} s")
        assert share <= 1.5, "too much was done twice"


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 200,
        int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32,
    )
