"""What an executor promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from archsmith.run import Run
from archsmith.trial import Event, Proposal, Trial

__all__ = ["Evaluation", "Executor"]


class Evaluation(Protocol):
    """Anything that measures a proposal: a plain function of ``(proposal, run)`` that returns named numbers."""

    def __call__(self, proposal: Proposal, run: Run, /) -> Mapping[str, float]:
        """Return the metrics of the proposal; raise if it cannot be measured."""
        ...


class Executor(Protocol):
    """Runs trials somewhere, and tells how each of them ended.

    The laws, for any evaluation whatever:

    - Every trial that is submitted yields exactly one ``Event("finished", number, data)``, where ``data`` holds
      ``state`` (``"complete"``, ``"failed"`` or ``"stopped"``), ``metrics``, ``seconds`` (of the trial itself) and
      ``reason`` (empty when complete, else one that ``Reason.of`` reads). A failed trial leaves ``error.json``.
    - The failure of one evaluation never hurts another: not by an exception, not by death, not by hanging.
    - What a trial sees (its seed, its folder) depends on the study's seed and the trial's number, and on nothing else.
    - ``poll`` waits for at most ``timeout`` seconds, and not at all when an event is there or nothing is under way.
      An executor without helpers does its work inside ``poll``; that is work, not waiting.
    - ``stop`` and ``close`` may be called any number of times, for any trial, at any time. A trial that is stopped
      still yields its event: ``stopped``, or how it ended if it ended first.
    - After ``close`` no process is left, what was still under way can be polled as ``stopped``, and nothing can be
      submitted.
    """

    deadline: float | None
    """A time of ``now`` after which no result is of use; None for no end. May be moved while trials run."""

    @property
    def slots(self) -> int:
        """How many trials run side by side; more may be submitted, and wait in order."""
        ...

    @property
    def ahead(self) -> int:
        """How many more it would like to be given now, so that no slot is idle while a study thinks of the next one.

        0 where the order of results is fixed, and where trials are long: whatever is asked for early is asked for
        before the latest results are known.
        """
        ...

    def now(self) -> float:
        """Return the seconds on this executor's own clock, whose zero means nothing."""
        ...

    def submit(self, trial: Trial) -> None:
        """Start the trial, or queue it until a slot is free."""
        ...

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return what happened since the last call, waiting at most ``timeout`` seconds for something to happen."""
        ...

    def stop(self, trial: int) -> None:
        """Ask for the end of a trial; nothing happens if it is over or unknown."""
        ...

    def close(self) -> None:
        """Stop everything and free every resource."""
        ...
