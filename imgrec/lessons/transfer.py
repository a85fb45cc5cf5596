"""Transfer learning: how well a last layer alone does on features that somebody else has learned."""

from __future__ import annotations

import numpy as np


def head(features: np.ndarray, labels: np.ndarray, classes: int, ridge: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Weights (F, classes) and biases (classes,) of a linear layer on features (N, F), found in one step: least squares
    to 1 for the right class and 0 for the others, with features standardised and weights kept small by ``ridge``."""
    mean, scale = features.mean(0), features.std(0) + 1e-6
    given, wanted = (features - mean) / scale, np.eye(classes)[labels]
    if len(given) < given.shape[1]:  # fewer pictures than features: the smaller system gives the same weights
        weights = given.T @ np.linalg.solve(
            given @ given.T + ridge * len(given) * np.eye(len(given)), wanted - wanted.mean(0)
        )
    else:
        square = given.T @ given + ridge * len(given) * np.eye(given.shape[1])
        weights = np.linalg.solve(square, given.T @ (wanted - wanted.mean(0)))
    weights = weights / scale[:, None]
    return weights, wanted.mean(0) - mean @ weights


def learned(
    features: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    truth: np.ndarray,
    each: int,
    seed: int = 0,
    ridge: float = 0.1,
) -> float:
    """The accuracy on ``test`` features of a head that saw ``each`` pictures of every class, drawn from a seed."""
    draws = np.random.default_rng(seed)
    chosen = np.concatenate([draws.permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)])
    weights, biases = head(features[chosen].astype(np.float64), labels[chosen], int(labels.max()) + 1, ridge)
    return float(((test @ weights + biases).argmax(1) == truth).mean())
