"""Whole searches against their budget: wall time over budget, peak memory of all processes, and a usable network.

    python benchmarks/whole_run.py digits 60s
    python benchmarks/whole_run.py fashion-mnist/ 5m

Without arguments: digits at 60 s.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from archsmith.quantities import parse_duration

POLL_S = 0.2


def memory(process: psutil.Process) -> int:
    """Return the memory of a process and all it started; shared pages count once where the system tells (PSS)."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            full = one.memory_full_info()
            total += getattr(full, "pss", 0) or full.rss
        except psutil.Error:
            continue
    return total


def main(data: str = "digits", budget: str = "60s", *more: str) -> None:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "archsmith", "search", data, "--budget", budget, "--out", out, *more]
        began, peak = time.monotonic(), 0
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        process = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                peak = max(peak, memory(process))
            except psutil.Error:
                break
            time.sleep(POLL_S)
        code, wall = running.wait(), time.monotonic() - began
        result = json.loads(next(Path(out).glob("*/result.json")).read_text())
        usable = all(e["ok"] for e in result["exports"])
        name = result["objectives"][0]["metric"]
        ratio = wall / parse_duration(budget)
        print(f"{data} --budget {budget}: exit {code}, wall / budget {ratio:.3f} (at most 1.05)")
        print(f"peak memory of all processes {peak / 2**30:.2f} GiB")
        print(f"usable network: {usable}, test {name} {result['best']['test'][name]:.4f}, trials {result['counts']}")
        for phase in result["phases"]:
            print(f"  {phase['name']:28} planned {phase['planned_s']:7.1f} s   spent {phase['spent_s']:7.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
