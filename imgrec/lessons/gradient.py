"""One training step by hand: a layer of weights, softmax, cross-entropy, its gradient, and the update."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgrec.lessons.softmax import cross_entropy, softmax


@dataclass(frozen=True)
class Step:
    """Everything one step computes for an input (F,), weights (C, F) and biases (C,)."""

    logits: np.ndarray  # (C,) weights · input + biases
    probabilities: np.ndarray  # (C,)
    loss: float
    blame: np.ndarray  # (C,) probability − 1 for the right class, − 0 for the others: the gradient of the logits
    weights_gradient: np.ndarray  # (C, F) blame × input
    new_weights: np.ndarray
    new_biases: np.ndarray


def step(inputs: np.ndarray, target: int, weights: np.ndarray, biases: np.ndarray, rate: float) -> Step:
    """One step of gradient descent on the cross-entropy of one picture."""
    logits = weights @ inputs + biases
    probabilities = softmax(logits).probabilities
    blame = probabilities - np.eye(len(biases))[target]
    gradient = np.outer(blame, inputs)
    return Step(
        logits, probabilities, cross_entropy(probabilities, target), blame, gradient, weights - rate * gradient,
        biases - rate * blame,
    )  # fmt: skip


def steps(
    inputs: np.ndarray, target: int, weights: np.ndarray, biases: np.ndarray, rate: float, count: int
) -> list[float]:
    """The losses before each of ``count`` steps on the same picture, and after the last one."""
    losses = []
    for _ in range(count):
        done = step(inputs, target, weights, biases, rate)
        losses.append(done.loss)
        weights, biases = done.new_weights, done.new_biases
    return [*losses, step(inputs, target, weights, biases, rate).loss]
