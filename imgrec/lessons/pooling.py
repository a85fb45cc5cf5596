"""Activation and pooling: what they keep and what they forget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erf

import numpy as np

from imgrec.language import mark
from imgrec.lessons.convolution import convolve


@dataclass(frozen=True)
class Activation:
    """A row of ACTIVATIONS; ``work`` takes and gives float arrays of any shape."""

    title: str
    formula: str
    help: str
    work: Callable[[np.ndarray], np.ndarray]


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(erf)(np.asarray(x, float) / 2**0.5))


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("ReLU", r"\max(0, x)", mark("What is below zero becomes zero: simple, fast, and the standard."), lambda x: np.maximum(x, 0)),
    "leaky": Activation(mark("Leaky ReLU"), r"\max(0.1x, x)", mark("A little of what is below zero comes through, so no unit is ever dead."), lambda x: np.where(x > 0, x, 0.1 * x)),
    "gelu": Activation("GELU", r"x \cdot \Phi(x)", mark("A soft ReLU, used by transformers and our fast network."), _gelu),
    "tanh": Activation("tanh", r"\tanh x", mark("Between −1 and 1; far out it is flat, and nothing is learned there."), np.tanh),
    "sigmoid": Activation(mark("Sigmoid"), r"1 / (1 + e^{-x})", mark("Between 0 and 1; long the usual one, flat on both sides."), lambda x: 1 / (1 + np.exp(-x))),
}  # fmt: skip

POOLS: dict[str, Callable[..., np.ndarray]] = {mark("largest (max)"): np.max, mark("mean (average)"): np.mean}


def pool(values: np.ndarray, size: int = 2, kind: str = "largest (max)") -> np.ndarray:
    """One number for each size × size block, (H, W) → (⌊H ÷ size⌋, ⌊W ÷ size⌋)."""
    height, width = values.shape[0] // size, values.shape[1] // size
    blocks = values[: height * size, : width * size].reshape(height, size, width, size)
    return POOLS[kind](blocks, axis=(1, 3))


def block(values: np.ndarray, row: int, column: int, size: int = 2) -> np.ndarray:
    """The size × size values that output (row, column) is made of."""
    return values[row * size : (row + 1) * size, column * size : (column + 1) * size]


def shifted(values: np.ndarray, down: int, right: int) -> np.ndarray:
    """Moved by whole pixels; what stands at the edge comes in."""
    rows, columns = (np.arange(side) for side in values.shape)
    return values[(rows - down).clip(0, rows[-1])][:, (columns - right).clip(0, columns[-1])]


def convolved(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A 3 × 3 convolution of the same size, with the edge of the picture repeated around it: zeros would be the strongest edge."""
    return convolve(np.pad(picture, 1, "edge"), kernel)


def kept(before: np.ndarray, after: np.ndarray) -> float:
    """How alike two maps are: their correlation, 1 for the same pattern, 0 for nothing in common (1 for the same flat map)."""
    before, after = before - before.mean(), after - after.mean()
    length = float(np.linalg.norm(before) * np.linalg.norm(after))
    return float((before * after).sum() / length) if length > 1e-9 else float(np.allclose(before, after))
