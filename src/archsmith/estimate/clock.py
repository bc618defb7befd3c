"""How far a training has come towards its end, in steps or in seconds, and what must be kept for after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Clock"]


@dataclass
class Clock:
    """The budget of one call of ``train``: ``epochs`` of ``steps_per_epoch`` steps, or ``seconds`` since ``began``.

    ``began`` and ``deadline`` are times of ``time.monotonic``. ``before`` is the share of the way that had passed when
    the call began. ``reserve`` seconds are kept for the last evaluation, and ``step_seconds`` for one more step, so
    that both end inside the budget. ``stopped`` tells that the deadline came first, or, where ``cut`` is true too, that
    ``interrupted()`` did.
    """

    epochs: float | None
    seconds: float | None
    steps_per_epoch: int
    began: float
    deadline: float | None = None
    before: float = 0.0
    reserve: float = 0.0
    step_seconds: float = 0.0
    stopped: bool = False
    interrupted: Callable[[], bool] = bool  # nobody interrupts
    cut: bool = False

    @property
    def timed(self) -> bool:
        """Whether the end of the training depends on how fast it is."""
        return self.seconds is not None or self.deadline is not None

    def elapsed(self) -> float:
        """Return the seconds since the call began."""
        return time.monotonic() - self.began

    def progress(self, step: int) -> float:
        """Return the share of the way that has passed before ``step``; from 1 on no further step may begin."""
        passed = self._passed(step)
        late = self.deadline is not None and time.monotonic() + self.reserve + self.step_seconds >= self.deadline
        if passed < 1.0 and (late or self.interrupted()):
            self.stopped, self.cut = True, not late
            return 1.0
        return passed

    def count_steps(self, seconds: float, steps: int) -> None:
        """Learn from ``steps`` steps that took ``seconds`` how long a step takes; recent ones count more."""
        latest = seconds / steps
        self.step_seconds = latest if self.step_seconds == 0.0 else 0.8 * self.step_seconds + 0.2 * latest

    def _passed(self, step: int) -> float:
        if self.seconds is None:
            assert self.epochs is not None
            return step / max(1, round(self.epochs * self.steps_per_epoch))
        usable = self.seconds - self.reserve - self.step_seconds
        passed = min(1.0, self.elapsed() / usable) if usable > 0 else 1.0
        return self.before + (1.0 - self.before) * passed
