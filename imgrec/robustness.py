"""How a network bears pictures that get worse, and whether it notices pictures of things it never learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from imgrec.augment import apply, to_pixels, to_tensor
from imgrec.data import Dataset, DatasetError
from imgrec.data.dataset import sample
from imgrec.language import listed, mark, tr
from imgrec.predict import Predictor

MOST = 600  # pictures that are tried, of each kind
STRANGERS = ("digits", "shapes", "noise")  # always there, and rarely what a network has learned


@dataclass(frozen=True)
class Change:
    """A row of CHANGES: how much of it, and in which unit; the first level changes nothing."""

    title: str
    unit: str
    levels: tuple[float, ...]


CHANGES = {  # named as on the shelf of augmentations
    "noise": Change(mark("Noise"), mark("share of white"), (0.0, 0.05, 0.1, 0.2, 0.3)),
    "blur": Change(mark("Blur"), mark("share of the side"), (0.0, 0.015, 0.03, 0.06, 0.09)),
    "rotate": Change(mark("Rotation"), mark("degrees"), (0.0, 10.0, 20.0, 45.0, 90.0)),
    "contrast": Change(mark("Contrast"), mark("share left"), (1.0, 0.7, 0.5, 0.3, 0.15)),
    "brightness": Change(mark("Brightness"), mark("share left"), (1.0, 0.7, 0.5, 0.3, 0.15)),
}


def robustness(
    predictor: Predictor, dataset: Dataset, on_progress: Callable[[float, str], None] | None = None
) -> list[dict[str, float | str]]:
    """Accuracy on the test pictures as they get worse: [{"change", "level", "accuracy"}].

    ``on_progress`` hears the share done and what comes next; what it raises ends it. Raises DatasetError without test pictures.
    """
    where = sample(dataset.indices("test"), MOST)
    if not len(where):
        raise DatasetError(tr("{name} has no test pictures.", name=dataset.name))
    pictures, rows = dataset.images[where], []
    right = np.array(predictor.columns(dataset))[dataset.labels[where]]  # what should be answered
    total = sum(len(change.levels) for change in CHANGES.values())
    for name, change in CHANGES.items():
        for level in change.levels:
            if on_progress:
                on_progress(len(rows) / total, listed((tr(change.title).lower(), f"{level:g} {tr(change.unit)}")))
            said = predictor.probabilities(worsened(pictures, name, level)).argmax(1)
            rows.append({"change": name, "level": level, "accuracy": float((said == right).mean())})
    return rows


def worsened(pictures: np.ndarray, name: str, level: float) -> np.ndarray:
    """Pictures uint8 (N, H, W, C) after that much of a change, the same kind."""
    images = to_tensor(pictures)
    if name == "blur":
        level *= images.shape[-1]
    drawn = torch.full((len(images), 1), level)
    if name == "noise":  # its other two numbers are keys for the grain
        keys = torch.rand(len(images), 2, generator=torch.Generator().manual_seed(0))
        drawn = torch.cat([drawn, keys], 1)
    return to_pixels(apply(images, {name: drawn}))


def rejected(predictor: Predictor) -> list[dict[str, float | str]]:
    """How many pictures of other things are called none of these: [{"pictures", "rejected", "images"}]; needs a threshold."""
    wanted, rows = predictor.passport.preprocess, []
    for name in STRANGERS:
        if name == "noise":
            shape = (200, wanted.size, wanted.size, wanted.channels)
            pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        else:
            dataset = predictor.dataset(name)
            if set(dataset.classes) & set(predictor.classes):
                continue  # not strangers
            pictures = dataset.images[sample(dataset.kept, MOST // 2)]
        known = predictor.is_known(predictor.features(pictures))
        rows.append({"pictures": name, "rejected": float((~known).mean()), "images": len(pictures)})
    return rows
