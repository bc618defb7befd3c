"""What is durably known of a run beside its log: which phases are over, what came of them, and the time spent."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archsmith.pipeline.folder import read_json, write_json

__all__ = ["PHASES", "Journal"]

PHASES = "phases"
_STATE, _ELAPSED = "state.json", "elapsed"
_ONCE = ("check", "measure", "method", "given", "bank", "latencies", "plan")  # the rest is done again in another round


@dataclass
class Journal:
    """The folder ``phases`` of a run: ``state.json``, and one file or folder for what each phase has found.

    A phase whose file is there is over and is not done again; one without, or with a damaged one, is done again, from
    what its folder holds.
    A finished run whose budget is extended begins another ``round``, with phases of its own beside the old ones.
    ``state`` holds the ``status`` (running, paused, failed, finished or extended), the ``phase``, the ``round``,
    ``base_s`` (what had been spent when the round began), ``elapsed_s`` (of all processes that worked on the run, on
    their monotonic clocks), ``spent`` by phase, and ``history``, a sentence for each time the run was taken up again.
    """

    folder: Path
    state: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    def of(run: Path) -> Journal:
        """Return the journal of a run folder, empty where there is none."""
        journal = Journal(run / PHASES)
        fresh = {"status": "new", "phase": "", "round": 1, "base_s": 0.0, "elapsed_s": 0.0, "spent": {}, "history": []}
        journal.state = {**fresh, **(read_json(journal.folder / _STATE) or {})}
        with contextlib.suppress(OSError, ValueError):
            beaten = float((journal.folder / _ELAPSED).read_text(encoding="ascii"))
            journal.state["elapsed_s"] = max(float(journal.state["elapsed_s"]), beaten)
        return journal

    def save(self, **changes: Any) -> None:
        """Change the state, durably."""
        with self._lock:
            self.state.update(changes)
            write_json(self.folder / _STATE, self.state, "phase.state")

    def beat(self, elapsed: float) -> None:
        """Note the time that is spent, cheaply: about every second, so that a kill loses no more than that."""
        path = self.folder / f".tmp-{_ELAPSED}"
        with contextlib.suppress(OSError):
            path.write_text(f"{elapsed:.3f}", encoding="ascii")
            os.replace(path, self.folder / _ELAPSED)

    def get(self, name: str) -> dict[str, Any] | None:
        """Return what was recorded under ``name``, or None."""
        return read_json(self._path(name))

    def put(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Record ``data`` under ``name``, durably, and return it."""
        write_json(self._path(name), data, f"phase.{name}")
        return data

    def forget(self, name: str) -> None:
        """Drop what was recorded under ``name``, so that its phase is done again."""
        self._path(name).unlink(missing_ok=True)

    def place(self, name: str) -> Path:
        """Return the folder in which something under way in this round keeps its state."""
        return self.folder / str(self.state["round"]) / name

    def clear(self) -> None:
        """Remove what only served to go on: the states and weights of this round's trainings."""
        shutil.rmtree(self.folder / str(self.state["round"]), ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / (f"{name}.json" if name in _ONCE else f"{self.state['round']}-{name}.json")
