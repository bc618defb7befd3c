"""What a running trial is handed: where it may write, how long it has, and whom to tell."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """The surroundings of one trial.

    ``seed`` seeds every random generator of the trial. ``folder`` is the trial's own folder (checkpoints and curves
    go there), None when nothing is kept. ``resume_folder`` is the folder of the trial whose checkpoint is continued.
    ``deadline`` is a time of ``time.monotonic`` after which the result is of no use.
    """

    trial: int
    seed: int
    folder: Path | None = None
    resume_folder: Path | None = None
    deadline: float | None = None

    def remaining(self) -> float:
        """Return the seconds that are left; infinite without a deadline."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def report(self, values: Mapping[str, float]) -> None:
        """Append one line of a learning curve to the trial's ``metrics.csv``; the first call fixes the columns."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "metrics.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(values)
            writer.writerow(values.values())
