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
    mark("Identity"): np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], float),
}


@dataclass(frozen=True)
class Window:
    """One position of the kernel: what it sees, the products with the kernel, both like the kernel, and their sum."""

    seen: np.ndarray
    products: np.ndarray
    total: float


def reach(kernel: int, dilation: int = 1) -> int:
    """Pixels along a side of the window: with gaps between its numbers a kernel reaches further."""
    return dilation * (kernel - 1) + 1


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Positions a kernel finds along one side: ⌊(size + 2·padding − dilation·(kernel − 1) − 1) ÷ stride⌋ + 1."""
    return (size + 2 * padding - reach(kernel, dilation)) // stride + 1


def receptive_field(layers: int, kernel: int, stride: int = 1, dilation: int = 1) -> int:
    """Pixels along a side that one number sees through so many convolutions of this kind, one after another."""
    return 1 + sum((reach(kernel, dilation) - 1) * stride**layer for layer in range(layers))


def strongest(result: np.ndarray, rim: int = 2) -> tuple[int, int]:
    """Row and column of the number furthest from zero, (H, W), not on the rim, where there is more than that."""
    inner = result[rim:-rim, rim:-rim] if min(result.shape) > 2 * rim else result
    row, column = np.unravel_index(np.abs(inner).argmax(), inner.shape)
    moved = rim if inner is not result else 0
    return int(row) + moved, int(column) + moved


def convolve(
    picture: np.ndarray, kernel: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1
) -> np.ndarray:
    """float (H, W) with a kernel (k, k), or (C, H, W) with (C, k, k), whose channels are added up → (H', W').

    Around the picture are zeros. Raises ValueError if nothing fits.
    """
    padded, side = _padded(picture, padding), reach(kernel.shape[-1], dilation)
    height, width = padded.shape[-2:]
    if min(height, width) < side:
        raise ValueError(
            tr(
                "A {kernel}×{kernel} kernel does not fit on {height}×{width} pixels; add padding.",
                kernel=side,
                height=height,
                width=width,
            )
        )
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(-2, -1))
    windows = windows[..., ::stride, ::stride, ::dilation, ::dilation]
    return np.einsum("cijkl,ckl->ij", windows.reshape(-1, *windows.shape[-4:]), kernel.reshape(-1, *kernel.shape[-2:]))


def window(
    picture: np.ndarray, kernel: np.ndarray, row: int, column: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Window:
    """The one step that makes output (row, column)."""
    rows, columns = (np.arange(kernel.shape[-1]) * dilation + stride * place for place in (row, column))
    seen = _padded(picture, padding)[..., rows[:, None], columns]
    return Window(seen, seen * kernel, float((seen * kernel).sum()))


def _padded(picture: np.ndarray, padding: int) -> np.ndarray:
    return np.pad(picture, [(0, 0)] * (picture.ndim - 2) + [(padding, padding)] * 2)


def relu(values: np.ndarray) -> np.ndarray:
    """What is below zero becomes zero."""
    return np.maximum(values, 0)
