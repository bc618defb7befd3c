"""How much of the machine other programs take, so that what cannot be cut short is given time enough."""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil

__all__ = ["Load"]


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own() -> float:
    return float(sum(psutil.Process().cpu_times()[:4]))


@dataclass(frozen=True)
class Load:
    """Counts the seconds that processors have worked, for all and for this process, since it was made."""

    busy: float = field(default_factory=_busy)
    own: float = field(default_factory=_own)

    def slowdown(self, seconds: float) -> float:
        """Return how many times longer work takes than on an idle machine, judged by the last ``seconds``.

        1 on an idle machine, 2 where others could keep every core busy: with them a core is shared by two.
        """
        others = max(0.0, (_busy() - self.busy) - (_own() - self.own)) / max(seconds, 1e-3)
        return 1.0 + min(1.0, others / (psutil.cpu_count() or 1))
