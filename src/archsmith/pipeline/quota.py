"""How much room the checkpoints of a run may take, and which of them go first."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from archsmith.estimate import CHECKPOINT
from archsmith.trial import Trial, order

__all__ = ["Quota", "usual_limit"]

_SHARE_OF_FREE = 0.25
_MOST = 20_000_000_000


def usual_limit(folder: Path) -> int:
    """Return the bytes that checkpoints may take: a quarter of what is free on the disk now, at most 20 GB."""
    return min(_MOST, int(_SHARE_OF_FREE * shutil.disk_usage(folder).free))


@dataclass
class Quota:
    """Keeps the checkpoints of the trials in a run folder below ``limit`` bytes.

    What goes first is what nobody will continue: trials that failed, then the worst ones. Trials that run, and those
    they continue, keep theirs. A trial whose checkpoint is gone can be continued all the same: its training begins
    anew, to the same end.
    """

    folder: Path
    limit: int
    sizes: dict[int, int] = field(default_factory=dict)

    @staticmethod
    def of(folder: Path, limit: int | None = None) -> Quota:
        """Return the quota of a run folder with what is in it already; ``limit`` is the usual one by default."""
        quota = Quota(folder, usual_limit(folder) if limit is None else limit)
        for place in folder.glob(f"trials/*/{CHECKPOINT}"):
            if place.parent.name.isdecimal():
                quota.sizes[int(place.parent.name)] = _size(place)
        return quota

    def ended(self, number: int, trials: Callable[[], Iterable[Trial]]) -> list[int]:
        """Take the end of a trial into account; return the trials whose checkpoints were deleted for want of room."""
        self.sizes[number] = _size(self._place(number))
        if sum(self.sizes.values()) <= self.limit:
            return []
        known = list(trials())
        running = [t for t in known if t.state == "running"]
        kept = {t.number for t in running} | {t.proposal.resume for t in running}
        gone = []
        for trial in reversed(order(known)):
            if sum(self.sizes.values()) <= self.limit:
                break
            if trial.number not in kept and self.sizes.get(trial.number):
                shutil.rmtree(self._place(trial.number), ignore_errors=True)
                self.sizes[trial.number] = _size(self._place(trial.number))
                gone.append(trial.number)
        return gone

    def _place(self, number: int) -> Path:
        return self.folder / "trials" / str(number) / CHECKPOINT


def _size(place: Path) -> int:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
