"""Pictures are numbers: channels, values, and normalisation, step by step."""

from __future__ import annotations

import numpy as np


def channel(picture: np.ndarray, number: int) -> np.ndarray:
    """One channel of uint8 (H, W, C) as a coloured picture uint8 (H, W, 3): red, green or blue alone; grey for C = 1."""
    if picture.shape[2] == 1:
        return np.repeat(picture, 3, 2)
    alone = np.zeros_like(picture)
    alone[..., number] = picture[..., number]
    return alone


def cut(picture: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    """The window of ``side`` pixels at (row, column), kept inside the picture: uint8 (side, side, C)."""
    row = min(max(row, 0), picture.shape[0] - side)
    column = min(max(column, 0), picture.shape[1] - side)
    return picture[row : row + side, column : column + side]


def statistics(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel of uint8 (N, H, W, C), in units of 0 to 1, each (C,)."""
    values = pictures.reshape(-1, pictures.shape[-1]) / 255
    return values.mean(0), values.std(0)


def normalise(values: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """(x − mean) ÷ deviation for values from 0 to 1, (…, C)."""
    return (values - mean) / deviation
