"""What a running trial is handed: where it may write, how long it has, and whom to tell."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from archsmith.errors import ArchsmithError

__all__ = ["DeadlineReached", "Diverged", "Run"]


class DeadlineReached(Exception):
    """Raised by an evaluation that ended because its time was over; its trial is stopped, not failed."""


class Diverged(ArchsmithError):
    """Raised by an evaluation whose loss left the finite numbers; trying it again would end the same way."""


@dataclass(frozen=True)
class Run:
    """The surroundings of one trial.

    ``seed`` (0 to 2**32 - 1) seeds every random generator of the trial. ``folder`` is the trial's own folder, which
    exists (checkpoints and curves go there), None when nothing is kept. ``resume_folder`` is the folder of the trial
    whose checkpoint is continued, ``parent_folder`` that of the trial whose weights are begun with. ``deadline`` is a
    time of ``time.monotonic`` after which the result is of no use.
    ``interrupted()`` tells that the trial should save what it has and end with ``DeadlineReached``: an evaluation that
    looks at it now and then is left to do so, any other is ended where it is.
    ``batch_scale`` is the share of its usual batch that an evaluation should take at a time: 1, or one half when the
    trial ran out of memory and is tried again.
    """

    trial: int
    seed: int
    folder: Path | None = None
    resume_folder: Path | None = None
    deadline: float | None = None
    interrupted: Callable[[], bool] = bool  # nobody interrupts
    batch_scale: float = 1.0
    parent_folder: Path | None = None

    def remaining(self) -> float:
        """Return the seconds that are left; infinite without a deadline."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def note(self, text: str) -> None:
        """Append a sentence for people to the trial's ``log.txt``."""
        if self.folder is not None:
            with (self.folder / "log.txt").open("a", encoding="utf-8", errors="replace") as file:
                file.write(f"{text}\n")

    def report(self, values: Mapping[str, float]) -> None:
        """Append one line of a learning curve to the trial's ``metrics.csv``.

        The columns are those of the first line. A value that is missing later is left empty; a name that is new
        later gets a column of its own.
        """
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "metrics.csv"
        columns, earlier = list(values), None
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                columns = list(reader.fieldnames or ())
                if not values.keys() <= set(columns):
                    columns += [name for name in values if name not in columns]
                    earlier = list(reader)
        new = earlier is not None or not path.exists()
        # A wider file is written beside the old one and moved over it, so that no line is ever lost.
        target = path.with_suffix(".tmp") if earlier is not None else path
        with target.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if new:
                writer.writeheader()
            writer.writerows(earlier or ())
            writer.writerow(values)
        if earlier is not None:
            target.replace(path)
