"""The tables of a run: the leaderboard and the front as CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from archsmith.report.record import RunRecord
from archsmith.report.text import csv_cell
from archsmith.trial import Trial

__all__ = ["leaderboard_csv", "pareto_csv", "ranked"]


def ranked(record: RunRecord) -> list[Trial]:
    """Return all trials: measured ones best first, then what breaks a limit, then what has no result."""

    def key(trial: Trial) -> tuple[int, float, float, int]:
        if trial.usable:
            return 0, trial.losses[0], 0.0, trial.number
        if trial.state in ("complete", "cached"):
            return 1, trial.violation, trial.losses[0] if trial.losses else math.inf, trial.number
        return 2, 0.0, 0.0, trial.number

    return sorted(record.trials, key=key)


def leaderboard_csv(record: RunRecord) -> str:
    """Return every trial as a line of CSV, best first."""
    return _csv(record, ranked(record))


def pareto_csv(record: RunRecord) -> str:
    """Return the trials of the front as CSV, best in the main metric first."""
    return _csv(record, record.front)


def _csv(record: RunRecord, trials: Sequence[Trial]) -> str:
    metrics = list(dict.fromkeys(name for t in record.trials for name in t.metrics))
    fidelity = list(dict.fromkeys(name for t in record.trials for name in t.proposal.fidelity))
    answers = list(dict.fromkeys(name for t in record.trials for name in t.arch))
    # Where weights were shared or inherited it is said of each trial: a score on a bank is no result of a training.
    more = [n for n in ("weights", "parent") if any(getattr(t.proposal, n) not in ("", None) for t in record.trials)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = [
        "rank",
        "trial",
        "state",
        *metrics,
        *(f"fidelity.{n}" for n in fidelity),
        "resumes",
        *more,
        "seconds",
        "violation",
        "reason",
    ]
    writer.writerow([csv_cell(h) for h in [*heads, *(f"arch.{n}" for n in answers)]])
    for rank, t in enumerate(trials, 1):
        row: list[object] = [rank, t.number, t.state]
        row += [t.metrics.get(n) for n in metrics] + [t.proposal.fidelity.get(n) for n in fidelity]
        row += [t.proposal.resume, *(getattr(t.proposal, n) for n in more)]
        row += [t.seconds, t.violation, t.reason] + [t.arch.get(n) for n in answers]
        writer.writerow([csv_cell(cell) for cell in row])
    return file.getvalue()
