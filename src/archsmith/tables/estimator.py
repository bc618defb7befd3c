"""An estimator that looks its answers up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from archsmith.errors import UsageError
from archsmith.run import Run
from archsmith.tables.table import Table, mean
from archsmith.trial import Proposal

__all__ = ["TableEstimator"]


class TableEstimator:
    """Measures by looking up ``metrics`` of a table, and knows the seconds that its cost column says.

    Only the named metrics are handed out, so that no search sees what is kept for judging it. A proposal without a
    fidelity is measured at ``level``, by default the table's highest. Where a metric was measured several times one
    of the repeats is drawn, evenly, by the seed of the run, the same one for all metrics of a trial. A metric that a
    row lacks is NaN: the trial fails.

    The simulated executor takes ``timed``, which says beside the metrics what a trial is charged: what ``cost`` says,
    or one second without a column of costs, so that time counts trials. With ``resumes`` a trial that continues another
    one is charged for the difference only, as far as this estimator has seen the other. Raises ``UsageError`` for names
    that the table does not have.
    """

    def __init__(
        self,
        table: Table,
        metrics: Sequence[str],
        cost: str | None = None,
        level: Mapping[str, float] | None = None,
        resumes: bool = False,
    ) -> None:
        self.table, self.metrics, self.cost = table, tuple(metrics), cost
        self.level, self.resumes = dict(level or {}), resumes
        self._columns = {name: table.column(name) for name in metrics}
        self._repeats = {name: _repeats(column) for name, column in self._columns.items()}
        self._seconds = None if cost is None else mean(table.column(cost))
        if self._seconds is not None and not (self._seconds >= 0).all():
            raise UsageError(
                f"The cost column {cost!r} of the table {table.name!r} is below 0 or missing in some rows."
            )
        table.level(self.level)
        self._spent: dict[int, float] = {}

    def __call__(self, proposal: Proposal, run: Run, /) -> dict[str, float]:
        """Return the metrics of a proposal's row."""
        return self._measured(*self._place(proposal), run)

    def timed(self, proposal: Proposal, run: Run, /) -> tuple[dict[str, float], float]:
        """Return the metrics of a proposal's row, and the seconds that the trial is charged."""
        row, level = self._place(proposal)
        found = self._measured(row, level, run)
        if self._seconds is None:
            return found, 1.0
        whole = float(self._seconds[row, min(level, self._seconds.shape[1] - 1)])
        before = self._spent.get(proposal.resume, 0.0) if self.resumes and proposal.resume is not None else 0.0
        self._spent[run.trial] = whole
        return found, max(whole - before, 0.0)

    def _place(self, proposal: Proposal) -> tuple[int, int]:
        """Return the row of a proposal, and the place of its level among the table's."""
        return self.table.row(proposal.arch), self.table.level(proposal.fidelity or self.level)

    def _measured(self, row: int, level: int, run: Run) -> dict[str, float]:
        found = {}
        for name, column in self._columns.items():
            at = min(level, column.shape[1] - 1)
            repeats = int(self._repeats[name][row, at])
            # A trial's seed is even over 32 bits, so the remainder is even over a handful of repeats.
            found[name] = float(column[row, at, run.seed % repeats if repeats > 1 else 0])
        return found


def _repeats(column: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many repeats there are [rows, levels]; those that are missing are the last."""
    return np.asarray(np.maximum(np.isfinite(column).sum(axis=-1), 1))
