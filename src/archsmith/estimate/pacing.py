"""How many threads a training computes with while the rest of the machine is busy or quiet.

An operation ends when its last thread does. On a quiet machine two threads take little more than half the time of one;
but where another program holds one of the cores, every operation waits for the scheduler, some hundreds of times in a
step, and a step takes ten times as long as with one thread. A training by the clock watches for that and steps aside.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

__all__ = ["Pacing"]

_SLOW = 1.6  # times the best step: slower than this is worth a look at the other number of threads
_WINDOW = 9  # steps that are looked at together, so that a single hiccup changes nothing
_TRIAL = 3  # steps with the other number; the first of them may be slow because kernels are chosen anew
_PATIENCE = 2.0


@dataclass
class Pacing:
    """The number of threads of one training: ``most``, or half of them, whichever is faster now.

    ``patience`` is how many seconds pass between two looks at the other number; it doubles when a look was in vain.
    """

    most: int
    threads: int = 0
    patience: float = _PATIENCE
    looked: float = -float("inf")
    best: float = float("inf")
    rival: float | None = None
    recent: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.threads = self.threads or self.most

    def choose(self, measure: Callable[[], float]) -> float:
        """Return the least of what ``measure()`` returns with either number of threads, and go on with that number."""
        first = measure()
        if self.most == 1:
            return first
        self._switch()
        second = measure()
        if first <= second:
            self._switch()
        return min(first, second)

    def step(self, seconds: float) -> None:
        """Learn that a step took ``seconds``, and set the number of threads of the next one."""
        if self.most == 1:
            return
        self.recent.append(seconds)
        if self.rival is not None:
            self._judge(self.rival)
        elif len(self.recent) >= _WINDOW:
            self._consider(sorted(self.recent)[_WINDOW // 2])

    def _consider(self, typical: float) -> None:
        """Begin a look at the other number of threads, if steps are slow or it is time for one."""
        self.recent.clear()
        self.best = min(self.best, typical)
        never = self.looked == -float("inf")
        slow = self.threads < self.most or typical > _SLOW * self.best
        if never or (slow and time.monotonic() - self.looked > self.patience):
            self.rival = typical
            self._switch()

    def _judge(self, rival: float) -> None:
        """End the look once it is decided, at once where the other number is far slower."""
        if len(self.recent) < _TRIAL and self.recent[-1] < 3 * rival:
            return
        if min(self.recent) < rival:
            self.patience, self.best = _PATIENCE, min(self.best, *self.recent)
        else:
            self._switch()
            self.patience = min(60.0, 2.0 * self.patience)
        self.recent.clear()
        self.rival, self.looked = None, time.monotonic()

    def _switch(self) -> None:
        self.threads = self.most if self.threads < self.most else self.most // 2
        torch.set_num_threads(self.threads)
