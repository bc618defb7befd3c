"""The handwritten digits that come with scikit-learn, the embedded default task."""

from __future__ import annotations

import importlib

import numpy as np

from archsmith.task.read_arrays import raw_from_parts
from archsmith.task.values import TRAIN, Raw

__all__ = ["read_digits"]


def read_digits() -> Raw:
    """Return 1797 grey images of 8 x 8, whose 17 grey levels become pixels 0 to 255 (Alpaydin and Kaynak, 1998)."""
    # Loaded here by name: scikit-learn takes a second to import, and nothing else in this room needs it.
    digits = importlib.import_module("sklearn.datasets").load_digits()
    pixels = np.rint(digits.images * (255.0 / 16.0)).astype(np.uint8)
    return raw_from_parts({TRAIN: (pixels, digits.target)}, "digits")
