"""Convolution, number by number: a window slides over a picture, is multiplied with a kernel and summed.

(As everywhere in deep learning this is cross-correlation: the kernel is not flipped.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgrec.language import mark, tr

KERNELS: dict[str, np.ndarray] = {
    mark("Edges, vertical"): np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float),
    mark("Edges, horizontal"): np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], float),
    mark("Outline"): np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], float),
    mark("Blur"): np.full((3, 3), 1 / 9).round(3),
    mark("Sharpen"): np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], float),
    mark("Emboss"): np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], float),
    mark("Nothing"): np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], float),
}


@dataclass(frozen=True)
class Window:
    """One position of the kernel: what it sees (k, k), the products with the kernel (k, k) and their sum."""

    seen: np.ndarray
    products: np.ndarray
    total: float


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Positions a kernel finds along one side: ⌊(size + 2·padding − kernel) ÷ stride⌋ + 1."""
    return (size + 2 * padding - kernel) // stride + 1


def convolve(picture: np.ndarray, kernel: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
    """float (H, W) with a kernel (k, k) → (H', W'), zeros around the picture. Raises ValueError if nothing fits."""
    padded = np.pad(picture, padding)
    if min(padded.shape) < len(kernel):
        raise ValueError(
            tr(
                "A {kernel}×{kernel} kernel does not fit on {height}×{width} pixels; add padding.",
                kernel=len(kernel),
                height=padded.shape[0],
                width=padded.shape[1],
            )
        )
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)[::stride, ::stride]
    return np.einsum("ijkl,kl->ij", windows, kernel)


def window(picture: np.ndarray, kernel: np.ndarray, row: int, column: int, stride: int = 1, padding: int = 0) -> Window:
    """The one step that makes output (row, column)."""
    padded, k = np.pad(picture, padding), len(kernel)
    seen = padded[row * stride : row * stride + k, column * stride : column * stride + k]
    return Window(seen, seen * kernel, float((seen * kernel).sum()))


def relu(values: np.ndarray) -> np.ndarray:
    """What is below zero becomes zero."""
    return np.maximum(values, 0)


def max_pool(values: np.ndarray, size: int = 2) -> np.ndarray:
    """The largest of each size×size block, (H, W) → (⌊H ÷ size⌋, ⌊W ÷ size⌋)."""
    height, width = values.shape[0] // size, values.shape[1] // size
    return values[: height * size, : width * size].reshape(height, size, width, size).max((1, 3))
