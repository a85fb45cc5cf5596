"""From scores to probabilities: exponents, their sum, and what a temperature does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgrec.language import tr


@dataclass(frozen=True)
class Softmax:
    """The steps from logits (C,) to probabilities (C,): divided by the temperature, exponents, their sum, shares of it."""

    scaled: np.ndarray
    exponents: np.ndarray
    total: float
    probabilities: np.ndarray


def softmax(logits: np.ndarray, temperature: float = 1.0) -> Softmax:
    """The softmax with all its steps. Raises ValueError for a temperature that is not above 0."""
    if temperature <= 0:
        raise ValueError(tr("The temperature is {temperature:g}; it must be above 0.", temperature=temperature))
    scaled = np.asarray(logits, float) / temperature
    exponents = np.exp(scaled)
    total = float(exponents.sum())
    return Softmax(scaled, exponents, total, exponents / total)


def cross_entropy(probabilities: np.ndarray, target: int) -> float:
    """Minus the logarithm of the right class's probability: 0 if the network was sure of it, large if it was surprised."""
    return float(-np.log(probabilities[target]))


def squared_error(probabilities: np.ndarray, target: int) -> float:
    """The mean of the squared distances to 1 for the right class and 0 for the others."""
    return float(((probabilities - np.eye(len(probabilities))[target]) ** 2).mean())
