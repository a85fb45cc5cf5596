"""The data sets that come with imgrec: scikit-learn's ``digits``, and ``shapes``, drawn by its neighbour."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from imgrec.data import shapes
from imgrec.data.dataset import Dataset, DatasetError, stratify
from imgrec.images import as_pillow, fit
from imgrec.language import mark, tr
from imgrec.recipe import RecipeError, parse_options

BUILT_IN = {"digits": mark("Handwritten digits, small"), "shapes": mark("Drawn shapes with masks")}  # name: title
DIGITS = mark("UCI optical recognition of handwritten digits (Alpaydin, Kaynak), by way of scikit-learn; CC BY 4.0.")
SHAPES = mark("Drawn by imgrec; free of any licence. Options: shapes:size=64,difficulty=hard.")


def about(name: str) -> tuple[int, int, int, int, str]:
    """Pictures, classes, size in pixels, channels and origin of a built-in set, without drawing it."""
    if name == "digits":
        return 1797, 10, 8, 1, DIGITS
    defaults = shapes.parse({})
    return defaults["count"], len(shapes.SHAPES), defaults["size"], 3, SHAPES


def open_builtin(name: str, size: int = 0, resize: str = "crop", channels: int = 0) -> Dataset:
    """``digits`` or ``shapes``, the latter perhaps with options: ``shapes:size=64,difficulty=hard``.

    ``size`` and ``channels`` 0 are the set's own. Kept in memory; the arrays are read-only. Raises DatasetError.
    """
    dataset = _drawn(name)
    own = (dataset.image_size, dataset.channels)
    wanted = (size or own[0], channels or own[1])
    return dataset if wanted == own else _resized(name, *wanted, resize)


@lru_cache(maxsize=3)
def _drawn(name: str) -> Dataset:
    kind, _, text = name.partition(":")
    try:
        options = parse_options(text)
        if kind == "digits":
            if options:
                raise DatasetError(
                    tr("The data set digits has no options; ask for 'digits' instead of {name!r}.", name=name)
                )
            return _locked(digits())
        return _locked(replace(shapes.dataset(**shapes.parse(options)), name=name))
    except RecipeError as error:
        raise DatasetError(str(error)) from None


@lru_cache(maxsize=2)  # of 1,797 digits at 224 pixels each takes 270 MB
def _resized(name: str, size: int, channels: int, resize: str) -> Dataset:
    dataset = _drawn(name)
    images = np.empty((len(dataset), size, size, channels), np.uint8)
    for index, pixels in enumerate(dataset.images):
        images[index] = fit(as_pillow(pixels), size, channels, resize)
    rows = np.arange(size) * dataset.image_size // size  # nearest neighbour; the drawn pictures are square
    masks = None if dataset.masks is None else dataset.masks[:, rows][:, :, rows]
    return _locked(replace(dataset, images=images, masks=masks))


def digits() -> Dataset:
    """1,797 handwritten digits of 8 × 8 pixels in 16 grey levels, spread to 0 to 255."""
    package = importlib.util.find_spec("sklearn")  # found, not imported, which takes a second for this one file
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",")  # 64 values from 0 to 16, and the label
    labels = table[:, -1].astype(np.int64)
    images = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return Dataset(
        name="digits",
        classes=tuple("0123456789"),
        images=images,
        labels=labels,
        splits=stratify(labels, groups=[picture.tobytes() for picture in images]),
        sizes=np.full((len(labels), 2), 8, np.int32),
        files=[f"digit-{index:04d}" for index in range(len(labels))],
        source=DIGITS,
    )


def _locked(dataset: Dataset) -> Dataset:
    for array in (dataset.images, dataset.labels, dataset.splits, dataset.sizes, dataset.masks):
        if array is not None:
            array.flags.writeable = False  # the same arrays go to everybody who asks
    return dataset
