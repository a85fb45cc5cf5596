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


@dataclass(frozen=True)
class Score:
    """One unit of a dense layer: the products (F,) of what comes in and its weights, those above and below 0 added up,
    and their sum with the bias."""

    products: np.ndarray
    above: float
    below: float
    total: float


def score(values: np.ndarray, weights: np.ndarray, bias: float) -> Score:
    """What a dense layer makes of (F,) values with the weights (F,) of one class: its logit, step by step."""
    products = np.asarray(values, float) * weights
    above, below = products[products > 0].sum(), products[products < 0].sum()
    return Score(products, float(above), float(below), float(products.sum() + bias))


def cross_entropy(probabilities: np.ndarray, target: int) -> float:
    """Minus the logarithm of the right class's probability: 0 if the network was sure of it, large if it was surprised."""
    return float(-np.log(probabilities[target]))


def squared_error(probabilities: np.ndarray, target: int) -> float:
    """The mean of the squared distances to 1 for the right class and 0 for the others."""
    return float(((probabilities - np.eye(len(probabilities))[target]) ** 2).mean())
