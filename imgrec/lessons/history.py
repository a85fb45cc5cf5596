"""A short history: the idea of each network as boxes and arrows, and what came before, learned from points on a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgrec.language import mark


@dataclass(frozen=True)
class Sketch:
    """Boxes (x, y, words) and arrows from box to box by number; data flows to the right."""

    boxes: tuple[tuple[float, float, str], ...]
    arrows: tuple[tuple[int, int], ...]


def _row(*words: str, more: tuple[tuple[int, int], ...] = ()) -> Sketch:
    """Boxes one after another, and ``more`` arrows, which pass over boxes."""
    return Sketch(
        tuple((float(x), 0.0, word) for x, word in enumerate(words)),
        (*((x, x + 1) for x in range(len(words) - 1)), *more),
    )


IN, SUM, JOINED = mark("in"), "+", mark("side by side")
DENSE, POOL, CONV = mark("dense"), mark("pooling"), mark("conv")
SKETCHES: dict[str, Sketch] = {  # by the network of the shelf
    "seed-cnn": _row(mark("picture"), CONV, POOL, CONV, POOL, DENSE),
    "alexnet": _row(mark("picture"), CONV, "ReLU", POOL, "dropout", DENSE),
    "vgg11": _row(IN, "3 × 3", "3 × 3", POOL, "3 × 3", "3 × 3", POOL),
    "googlenet": Sketch(
        ((0, 0, IN), (1, 1.5, "1 × 1"), (1, 0.5, "3 × 3"), (1, -0.5, "5 × 5"), (1, -1.5, POOL), (2, 0, JOINED)),
        tuple((0, i) for i in range(1, 5)) + tuple((i, 5) for i in range(1, 5)),
    ),
    "resnet18": _row(IN, CONV, CONV, SUM, "ReLU", more=((0, 3),)),
    "densenet121": _row(IN, CONV, CONV, CONV, JOINED, more=((0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4))),
    "se-resnet18": _row(mark("maps"), mark("mean of each"), DENSE, mark("0 to 1"), "×", more=((0, 4),)),
    "mobilenet-v2": _row(mark("maps"), mark("3 × 3, each map alone"), mark("1 × 1, all maps"), mark("maps")),
    "efficientnet-b0": Sketch(
        ((0, 0, mark("a small network")), (1, 1, mark("deeper")), (1, 0, mark("wider")), (1, -1, mark("more pixels")), (2, 0, mark("all at once"))),
        ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)),
    ),
    "vit-b-16": _row(mark("patches"), mark("each as a word"), mark("who heeds whom"), DENSE, mark("class")),
}  # fmt: skip

RULES, NEAREST, TREE, MACHINE = mark("Rules by hand"), mark("Nearest neighbours"), mark("Decision trees"), mark("Support vector machines")  # fmt: skip
BEFORE = (RULES, NEAREST, TREE, MACHINE)


def points(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Two kinds of things by two measurements from −2 to 2: float (60, 2) and their kind 0 or 1 (60,)."""
    draws, kind = np.random.default_rng(seed), np.arange(60) % 2
    return (draws.normal(0, 0.55, (60, 2)) + np.where(kind[:, None], 0.65, -0.65)).clip(-1.95, 1.95), kind


def says(method: str, seen: np.ndarray, kind: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """What one of BEFORE, which has seen points (N, 2) of these kinds (N,), says of others (M, 2): 0 or 1, (M,)."""
    if method == RULES:  # somebody looked at a few of them and wrote this down
        return ((asked[:, 0] > 0.2) | (asked[:, 1] > 1)).astype(int)
    if method == NEAREST:
        return kind[((asked[:, None] - seen) ** 2).sum(2).argmin(1)]
    if method == TREE:
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(max_depth=3, random_state=0).fit(seen, kind).predict(asked)
    from sklearn.svm import SVC

    return SVC(kernel="linear").fit(seen, kind).predict(asked)
