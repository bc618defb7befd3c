"""From gates to an architecture that meets limits: the best by the gates of those that do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from archsmith.build.expected import ExpectedCost
from archsmith.build.relax import Gates
from archsmith.errors import LimitError
from archsmith.space import Answer

__all__ = ["derive_within"]

_Row = dict[int, float]
_ROUNDING = 1e-9  # of a limit: a sum that equals it may come out a little larger
_TRIES = 100


def derive_within(gates: Gates, limits: Sequence[tuple[ExpectedCost, float]]) -> dict[str, Answer]:
    """Return the answers whose shares have the largest product, of those that keep every cost within its limit.

    ``limits`` are pairs of an expected cost and the most that it may be, in the unit of the cost, whatever that is.
    Without any this is ``gates.derive()``. The choice is exact: a linear program in whole numbers, solved by HiGHS.
    Raises ``LimitError`` where nothing meets the limits.
    """
    program = _Program(gates)
    chosen = program.solve([(program.cost(cost), limit - cost.own) for cost, limit in limits])
    if chosen is None:
        least = [f"{cost.own + program.least(program.cost(cost)):.4g} of {limit:.4g}" for cost, limit in limits]
        raise LimitError(
            "No architecture that these gates choose from meets the limits. Each on its own takes at least "
            f"{', '.join(least)}."
        )
    return chosen


class _Program:
    """A variable of 0 or 1 for each option, and one for each pair that is taken together, one choice in another."""

    def __init__(self, gates: Gates) -> None:
        self.decisions = gates.decisions
        self.index: dict[tuple[str, int], int] = {}
        self.scores: list[float] = []
        self.rows: list[tuple[_Row, float, float]] = []
        for key, shares in gates.shares().items():
            total = sum(shares)
            for option, share in enumerate(shares):
                self.index[key, option] = len(self.scores)
                self.scores.append(-math.log(max(share / total, 1e-30)))
            self.rows.append(({self.index[key, option]: 1.0 for option in range(len(shares))}, 1.0, 1.0))

    def cost(self, cost: ExpectedCost) -> _Row:
        """Return what each variable adds to a cost, beside what every network pays."""
        row: _Row = {}
        self._add(row, cost, None)
        return row

    def solve(self, limits: Sequence[tuple[_Row, float]]) -> dict[str, Answer] | None:
        """Return the answers of the best scores within the limits, None where there are none."""
        wrong: list[tuple[_Row, float]] = []
        # The solver takes a limit as kept that is broken by a millionth: that is seen here, and ruled out.
        for _ in range(_TRIES):
            found = self._minimum(self.scores, [*limits, *wrong])
            if found is None:
                return None
            broken = next((row for row, most in limits if _total(row, found) > most + _ROUNDING * abs(most)), None)
            if broken is None:
                return {
                    key: next(o for i, o in enumerate(decision.options) if found[self.index[key, i]])
                    for key, decision in self.decisions.items()
                }
            taken = [i for i, value in broken.items() if value and found[i]]
            wrong.append((dict.fromkeys(taken, 1.0), len(taken) - 1.0))
        return None

    def least(self, row: _Row) -> float:
        """Return the least that a cost can be."""
        found = self._minimum(row, ())
        assert found is not None
        return _total(row, found)

    def _minimum(self, objective: list[float] | _Row, limits: Sequence[tuple[_Row, float]]) -> np.ndarray | None:
        """Return which variables are 1; the solver's tolerances are absolute, so everything is brought near 1 first."""
        count = len(self.scores)
        pairs = objective.items() if isinstance(objective, dict) else enumerate(objective)
        aim = np.zeros(count)
        for i, value in pairs:
            aim[i] = value
        aim /= np.abs(aim).max(initial=0.0) or 1.0
        rows = [*self.rows, *(_near_one(row, most) for row, most in limits)]
        cells = [(r, i, value) for r, (row, _, _) in enumerate(rows) for i, value in row.items()]
        at = ([r for r, _, _ in cells], [i for _, i, _ in cells])
        matrix = csr_array(([value for _, _, value in cells], at), shape=(len(rows), count))
        bounds = LinearConstraint(matrix, [low for _, low, _ in rows], [high for _, _, high in rows])
        found = milp(
            aim, constraints=bounds, integrality=np.ones(count), bounds=Bounds(0, 1), options={"mip_rel_gap": 0.0}
        )
        return None if found.x is None else np.asarray(found.x) > 0.5

    def _add(self, row: _Row, cost: ExpectedCost, inside: int | None) -> None:
        for key, options in cost.choices:
            for option, below in enumerate(options):
                variable = self._both(inside, self.index[key, option])
                row[variable] = row.get(variable, 0.0) + below.own
                self._add(row, below, variable)

    def _both(self, a: int | None, b: int) -> int:
        """Return the variable that is 1 where both are."""
        if a is None or a == b:
            return b
        both = len(self.scores)
        self.scores.append(0.0)
        self.rows += [({both: 1.0, a: -1.0}, -math.inf, 0.0), ({both: 1.0, b: -1.0}, -math.inf, 0.0)]
        self.rows.append(({both: 1.0, a: -1.0, b: -1.0}, -1.0, math.inf))
        return both


def _total(row: _Row, taken: np.ndarray) -> float:
    return math.fsum(value for i, value in row.items() if taken[i])


def _near_one(row: _Row, most: float) -> tuple[_Row, float, float]:
    scale = max(map(abs, [most, *row.values()]), default=0.0) or 1.0
    return {i: value / scale for i, value in row.items()}, -math.inf, most / scale + _ROUNDING
