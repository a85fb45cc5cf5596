"""Likely label errors: networks learn from a part of a set and are asked about the rest, so that none has seen what it judges.

Confident learning, after C. Northcutt, L. Jiang and I. Chuang, Journal of Artificial Intelligence Research 70 (2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from imgrec.coach import PHOTO
from imgrec.data import Dataset
from imgrec.data.dataset import LEFT_OUT
from imgrec.predict import Predictor
from imgrec.recipe import Recipe
from imgrec.train import Epoch, Training
from imgrec.weights import Start

FOLDS = 4
# How each network learns: long enough to know the classes, too short to learn errors by heart. For photos one that has seen
# others begins, and finds more in a fifth of the time.
RECIPE, PHOTOS = Recipe(epochs=8), Recipe.from_values({"epochs": 4}, "few")


@dataclass(frozen=True)
class Suspects:
    """Every picture that is not left out, the least believable label first."""

    positions: np.ndarray  # int64 (N,), in the data set
    suggested: np.ndarray  # int64 (N,), the class that the others speak for
    margin: np.ndarray  # float32 (N,), probability of its label less that of the likeliest other class; -1 to 1
    flagged: np.ndarray  # bool (N,), whether confident learning takes the label for wrong


def recipe_for(dataset: Dataset) -> Recipe:
    """How networks learn to judge the labels of a data set."""
    return PHOTOS if dataset.channels == 3 and dataset.image_size >= PHOTO else RECIPE


def find(
    dataset: Dataset, recipe: Recipe, progress: Callable[[float], None] | None = None, start: Start | None = None
) -> Suspects:
    """Judge every label by networks that have not seen it. ``recipe`` says how each of FOLDS networks learns, and ``start``
    with which weights.

    ``progress`` hears the share done, 0 to 1; what it raises ends the search.
    """
    probabilities = out_of_sample(dataset, recipe, progress, start)
    labels = dataset.labels[dataset.kept]
    own = probabilities[np.arange(len(labels)), labels]
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -1
    margin = own - others.max(1)
    order = np.argsort(margin, kind="stable")
    return Suspects(
        dataset.kept[order],
        others.argmax(1)[order],
        margin[order].astype(np.float32),
        confident(probabilities, labels)[order],
    )


def out_of_sample(
    dataset: Dataset, recipe: Recipe, progress: Callable[[float], None] | None = None, start: Start | None = None
) -> np.ndarray:
    """Softmax probabilities float32 (N, classes) of all pictures that are not left out, each by a network that was
    trained without it."""
    kept, fold_of = dataset.kept, _folds(dataset.labels[dataset.kept], recipe.seed)
    probabilities = np.zeros((len(kept), len(dataset.classes)), np.float32)
    for fold in range(FOLDS):
        splits = np.full(len(dataset), LEFT_OUT, np.uint8)
        splits[kept[fold_of != fold]] = 0
        training = Training(recipe, replace(dataset, splits=splits), start)
        for event in training.fit():
            if progress:
                part = event.epoch if isinstance(event, Epoch) else event.epoch - 1 + event.step / event.steps
                progress((fold + part / recipe.epochs) / FOLDS)
        judge = Predictor(training.model, training.passport, device=recipe.device)
        probabilities[fold_of == fold] = judge.probabilities(dataset.images[kept[fold_of == fold]])
    return probabilities


def confident(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which labels confident learning takes for wrong, bool (N,).

    A picture counts for a class if its probability is at least the mean that pictures labelled so reach. Its label is
    wrong if it counts for another class, and for none more than for that.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    own = probabilities[np.arange(len(labels)), labels]
    threshold = np.bincount(labels, own, classes) / np.maximum(counts, 1)
    counted = np.where(probabilities >= threshold, probabilities, 0)
    return (counted.max(1) > 0) & (counted.argmax(1) != labels)


def _folds(labels: np.ndarray, seed: int) -> np.ndarray:
    """A fold for every picture, the classes spread evenly over all of them."""
    order = np.random.default_rng(seed).permutation(len(labels))
    ranked = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), np.int64)
    folds[ranked] = np.arange(len(labels)) % FOLDS
    return folds
