"""Over- and underfitting: fewer training pictures of the same set, and what two curves say of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

TRAIN = 0  # the code of the training split


def fewer(labels: np.ndarray, splits: np.ndarray, count: int, out: int) -> np.ndarray:
    """Splits (N,) with only about ``count`` training pictures left, each class as often, drawn from a seed; the rest gets
    the code ``out``. The first ones of a file may all be of one hand."""
    left, classes = splits.copy(), np.unique(labels[splits == TRAIN])
    each, draws = max(1, round(count / len(classes))), np.random.default_rng(0)
    for label in classes:
        left[draws.permutation(np.flatnonzero((splits == TRAIN) & (labels == label)))[each:]] = out
    return left


def known(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Loss and accuracy of a network on its training pictures as they are, normalised (N, C, S, S). What an epoch counts on the way is of a network
    that still changes, of augmented pictures, with dropout, and of smoothed labels."""
    import torch

    with torch.no_grad():
        logits = network.eval()(images)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        accuracy = (logits.argmax(1) == labels).float().mean()
    return {"train_loss": float(loss), "train_accuracy": float(accuracy)}
