"""One training step by hand: a layer of weights, softmax, one of two losses, its gradient, and the update."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgrec.language import mark
from imgrec.lessons.softmax import cross_entropy, softmax, squared_error

LOSSES = {mark("Cross-entropy"): cross_entropy, mark("Mean squared error"): squared_error}


@dataclass(frozen=True)
class Step:
    """Everything one step computes for an input (F,), weights (C, F) and biases (C,)."""

    logits: np.ndarray  # (C,) weights · input + biases
    probabilities: np.ndarray  # (C,)
    loss: float
    blame: (
        np.ndarray
    )  # (C,) the gradient of the logits; for cross-entropy probability − 1 for the right class, − 0 for others
    weights_gradient: np.ndarray  # (C, F) blame × input
    new_weights: np.ndarray
    new_biases: np.ndarray


def step(
    inputs: np.ndarray, target: int, weights: np.ndarray, biases: np.ndarray, rate: float, loss: str = "Cross-entropy"
) -> Step:
    """One step of gradient descent on one of the LOSSES of one picture."""
    logits = weights @ inputs + biases
    probabilities = softmax(logits).probabilities
    blame = probabilities - np.eye(len(biases))[target]
    if loss != "Cross-entropy":  # back through the squares, then through the softmax
        slope = 2 / len(biases) * blame
        blame = probabilities * (slope - slope @ probabilities)
    gradient = np.outer(blame, inputs)
    return Step(
        logits, probabilities, LOSSES[loss](probabilities, target), blame, gradient, weights - rate * gradient,
        biases - rate * blame,
    )  # fmt: skip


def steps(
    inputs: np.ndarray, target: int, weights: np.ndarray, biases: np.ndarray, rate: float, count: int,
    loss: str = "Cross-entropy",
) -> list[Step]:  # fmt: skip
    """So many steps, one after another, on the same picture."""
    taken = []
    for _ in range(count):
        taken.append(step(inputs, target, weights, biases, rate, loss))
        weights, biases = taken[-1].new_weights, taken[-1].new_biases
    return taken
