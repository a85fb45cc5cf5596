"""Invariance: one picture, changed more and more, so that one can see when a network changes its mind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imgrec.images import as_pillow
from imgrec.language import mark


@dataclass(frozen=True)
class Change:
    """One way to change a picture uint8 (H, W, C): ``apply(picture, value)`` for ``values``, of which ``none`` leaves it."""

    title: str
    unit: str
    values: tuple[float, ...]
    none: float
    apply: Callable[[np.ndarray, float], np.ndarray]


def _turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    image = as_pillow(picture)
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).mean(0).round().astype(int).tolist()
    turned = image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=edge[0] if len(edge) == 1 else tuple(edge))
    return np.asarray(turned).reshape(picture.shape)


def _moved(picture: np.ndarray, share: float) -> np.ndarray:
    by = round(share * picture.shape[1])
    grown = np.pad(picture, ((0, 0), (max(by, 0), max(-by, 0)), (0, 0)), "edge")
    return grown[:, : picture.shape[1]] if by >= 0 else grown[:, -picture.shape[1] :]


def _dimmed(picture: np.ndarray, factor: float) -> np.ndarray:
    return (picture * factor).clip(0, 255).round().astype(np.uint8)


def _noisy(picture: np.ndarray, share: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 255 * share, picture.shape)
    return (picture + noise).clip(0, 255).round().astype(np.uint8)


CHANGES = {
    "rotate": Change(mark("Rotate"), mark("degrees"), tuple(range(-90, 91, 10)), 0.0, _turned),
    "shift": Change(mark("Shift to the right"), mark("share of the side"), tuple(i / 20 for i in range(-8, 9)), 0.0, _moved),
    "dim": Change(mark("Dim or brighten"), mark("times as bright"), tuple(i / 10 for i in range(1, 21)), 1.0, _dimmed),
    "noise": Change(mark("Add noise"), mark("share of white"), tuple(i / 20 for i in range(0, 11)), 0.0, _noisy),
}  # fmt: skip


def sweep(picture: np.ndarray, kind: str) -> np.ndarray:
    """The picture uint8 (H, W, C) changed by every value of that kind of CHANGES, uint8 (N, H, W, C)."""
    change = CHANGES[kind]
    return np.stack([change.apply(picture, value) for value in change.values])


def right_answers(
    classify: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray, labels: np.ndarray, kind: str
) -> list[float]:
    """For each value of that kind of CHANGES the share of the pictures uint8 (N, H, W, C) whose likeliest class stays the
    right one; ``classify`` gives probabilities (N, classes)."""
    change = CHANGES[kind]
    answers = (classify(np.stack([change.apply(one, value) for one in pictures])) for value in change.values)
    return [float((answer.argmax(1) == labels).mean()) for answer in answers]


def steady(probabilities: np.ndarray, label: int) -> float:
    """For how many of the changes (N, classes) the class ``label`` stays the likeliest, as a share."""
    return float((probabilities.argmax(1) == label).mean())
