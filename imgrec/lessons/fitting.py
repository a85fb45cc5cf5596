"""Over- and underfitting: fewer training pictures of the same set, and what two curves say of a network."""

from __future__ import annotations

import numpy as np

TRAIN = 0  # the code of the training split


def fewer(labels: np.ndarray, splits: np.ndarray, count: int, out: int) -> np.ndarray:
    """Splits (N,) with only about ``count`` training pictures left, each class as often; the rest gets the code ``out``."""
    left, classes = splits.copy(), np.unique(labels[splits == TRAIN])
    each = max(1, round(count / len(classes)))
    for label in classes:
        left[np.flatnonzero((splits == TRAIN) & (labels == label))[each:]] = out
    return left
