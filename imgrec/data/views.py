"""Views: which pictures of a set are shown, and in which order. Fast enough for a million pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgrec.data.dataset import LEFT_OUT, SPLITS, UNLABELLED, Dataset
from imgrec.data.health import Measures, aspects
from imgrec.data.table import Names
from imgrec.language import mark, tr

PLACES = {
    **{split: number for number, split in enumerate(SPLITS)},
    "unlabelled": UNLABELLED,
    mark("left out"): LEFT_OUT,
}


@dataclass(frozen=True)
class Order:
    """A row of ORDERS: ``column(dataset, measures)`` is what pictures are sorted by, (N,)."""

    title: str
    column: Callable[[Dataset, Measures], np.ndarray]
    measured: bool = False  # whether it needs measures


@dataclass(frozen=True)
class View:
    """What is asked for. Nothing chosen means everything that is not left out."""

    classes: tuple[str, ...] = ()
    places: tuple[str, ...] = ()  # of PLACES
    text: str = ""  # a part of the file's name
    order: str = "mixed"  # a key of ORDERS
    descending: bool = False
    seed: int = 0  # of the mixed order


def select(dataset: Dataset, view: View, measures: Measures | None = None) -> np.ndarray:
    """The positions of the pictures in a view, in its order, int32 (n,). Classes that do not exist hold no picture.

    Raises ValueError for an order that needs measures without them.
    """
    places = [PLACES[place] for place in view.places]
    chosen = np.isin(dataset.splits, places) if places else dataset.splits != LEFT_OUT
    if view.classes:
        labels = [index for index, name in enumerate(dataset.classes) if name in view.classes]
        chosen &= np.isin(dataset.labels, labels) & (dataset.splits != UNLABELLED)
    positions = np.flatnonzero(chosen).astype(np.int32)
    if view.text:
        positions = np.intersect1d(positions, _containing(dataset, view.text), assume_unique=True).astype(np.int32)
    return _ordered(dataset, positions, view, measures)


def _containing(dataset: Dataset, text: str) -> np.ndarray:
    if isinstance(dataset.files, Names):
        return dataset.files.containing(text)
    return np.array([i for i, name in enumerate(dataset.files) if text.lower() in name.lower()], np.int64)


def _ordered(dataset: Dataset, positions: np.ndarray, view: View, measures: Measures | None) -> np.ndarray:
    if view.order == "mixed":
        return np.random.default_rng(view.seed).permutation(positions)
    order = ORDERS[view.order]
    if order.measured and measures is None:
        raise ValueError(tr("The order {order!r} needs measures; make them first.", order=view.order))
    values = order.column(dataset, measures)[positions]
    ranked = np.argsort(-values if view.descending else values, kind="stable")
    return positions[ranked]


ORDERS = {
    "mixed": Order(mark("mixed"), lambda d, m: np.arange(len(d))),
    "name": Order(mark("file name"), lambda d, m: np.arange(len(d))),  # as the import put them
    "class": Order(mark("class"), lambda d, m: d.labels),
    "pixels": Order(mark("size of the original"), lambda d, m: d.sizes.astype(np.int64).prod(1)),
    "aspect": Order(mark("width ÷ height"), lambda d, m: aspects(d)),
    "brightness": Order(mark("brightness"), lambda d, m: m.brightness, True),
    "contrast": Order(mark("contrast"), lambda d, m: m.high - m.low, True),
    "sharpness": Order(mark("sharpness"), lambda d, m: m.sharpness, True),
}
