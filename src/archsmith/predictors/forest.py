"""Random forests over an encoding; importing this loads scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from archsmith.predictors.encoding import Encoding
from archsmith.predictors.protocol import Fitted
from archsmith.space import Arch
from archsmith.space.encode import Vector

__all__ = ["Forest"]


@dataclass(frozen=True)
class Forest:
    """The mean of many regression trees and their disagreement, as in SMAC (Hutter et al., 2011)."""

    encoding: Encoding
    trees: int = 100
    leaf: int = 1
    seed: int = 0

    def fit(self, archs: Sequence[Arch], losses: Sequence[float]) -> Fitted:
        """Grow the trees, each on a bootstrap sample, with a third of the columns tried at each split."""
        forest = RandomForestRegressor(
            self.trees, min_samples_leaf=self.leaf, max_features=1 / 3, random_state=self.seed
        )
        forest.fit(_columns(self.encoding.remembered(archs)), np.asarray(losses, dtype=np.float64))
        return _Fitted(self.encoding, forest)


@dataclass(frozen=True, eq=False)
class _Fitted:
    encoding: Encoding
    forest: RandomForestRegressor

    def predict(self, archs: Sequence[Arch]) -> tuple[Vector, Vector]:
        if not archs:
            return np.zeros(0), np.zeros(0)
        rows = _columns(self.encoding.rows(archs)).astype(np.float32)  # what the trees compare
        each = np.array([tree.predict(rows, check_input=False) for tree in self.forest.estimators_])
        return each.mean(0), each.std(0)


def _columns(rows: Vector) -> Vector:
    """Return at least one column, also where nothing is decided."""
    return rows if rows.shape[1] else np.zeros((len(rows), 1))
