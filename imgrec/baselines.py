"""What came before networks, on the same pictures: a linear classifier, a tree and a nearest neighbour, from scikit-learn.

They read the bare pixels, so they show how much a convolution is worth. Large sets are thinned out, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgrec.data import Dataset, DatasetError
from imgrec.data.dataset import sample
from imgrec.language import mark, tr

MOST_PICTURES = 10_000  # to learn from, and to be tested on
MOST_VALUES = 1000  # per picture; larger ones are made smaller
FEW_VALUES = 300  # the same for what is solved at once


@dataclass(frozen=True)
class Method:
    """A row of METHODS; ``make`` gives a scikit-learn classifier for so many pictures to learn from."""

    title: str
    year: int
    paper: str
    idea: str
    make: Callable[[int], object]


def _svm(_: int) -> object:
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learner = SGDClassifier("hinge", alpha=0.001, average=True, max_iter=40, tol=None, random_state=0, n_jobs=-1)
    return make_pipeline(StandardScaler(), learner)


def _tree(_: int) -> object:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(min_samples_leaf=3, random_state=0)


def _neighbours(pictures: int) -> object:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(min(5, pictures), weights="distance", algorithm="brute", n_jobs=-1)


METHODS: dict[str, Method] = {
    "linear-svm": Method(
        mark("Linear SVM"), 1995, "C. Cortes and V. Vapnik, Support-vector networks, Machine Learning 20, 1995",
        mark("One plane per class through the space of all pixels, as far from the nearest pictures as it goes."), _svm,
    ),
    "decision-tree": Method(
        mark("Decision tree"), 1984, "L. Breiman et al., Classification and Regression Trees, 1984",
        mark("Twenty questions: is this pixel brighter than that value?"), _tree,
    ),
    "nearest-neighbours": Method(
        mark("5 nearest neighbours"), 1967, "T. Cover and P. Hart, Nearest neighbor pattern classification, IEEE Trans. IT 13, 1967",
        mark("Whatever the five most similar pictures are, pixel by pixel."), _neighbours,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Baseline:
    """How one method did. Accuracies from 0 to 1; ``pictures`` it learned from, ``seconds`` for learning and the test."""

    method: str
    accuracy: float
    balanced_accuracy: float
    tested: int
    pictures: int
    seconds: float


def linear(dataset: Dataset, ridge: float = 0.01) -> float | None:
    """The test accuracy of a ridge classifier on the pixels, solved in one step; None where it cannot learn or be tested.

    It takes at most MOST_PICTURES pictures and a second, so every result can stand beside it.
    """
    train, test = (sample(dataset.indices(split), MOST_PICTURES) for split in ("train", "test"))
    if not len(test) or len(np.unique(dataset.labels[train])) < 2:
        return None
    side = int((FEW_VALUES / dataset.channels) ** 0.5)
    known, asked = dataset.shrunk(train, side), dataset.shrunk(test, side)
    mean, wanted = known.mean(0), 2 * np.eye(len(dataset.classes), dtype=np.float32)[dataset.labels[train]] - 1
    known = known - mean
    square = known.T @ known / len(known)
    if not np.trace(square) > 0:  # all pictures are the same
        return None
    weights = np.linalg.solve(
        square + ridge * np.trace(square) / len(square) * np.eye(len(square)),
        known.T @ (wanted - wanted.mean(0)) / len(known),
    )
    answers = ((asked - mean) @ weights + wanted.mean(0)).argmax(1)
    return float((answers == dataset.labels[test]).mean())


def baselines(
    dataset: Dataset, on_progress: Callable[[float, str], None] | None = None, methods: tuple[str, ...] = tuple(METHODS)
) -> list[Baseline]:
    """Each method learns from the training pictures and is tested on the test pictures.

    ``on_progress`` hears the share done and what comes next; what it raises ends it. Raises DatasetError if a split is empty or
    there is only one class to learn.
    """
    from sklearn import metrics

    train, test = (sample(dataset.indices(split), MOST_PICTURES) for split in ("train", "test"))
    for split, where in (("training", train), ("test", test)):
        if not len(where):
            raise DatasetError(tr("{name} has no {split} pictures.", name=dataset.name, split=tr(split)))
    if len(np.unique(dataset.labels[train])) < 2:
        raise DatasetError(tr("{name} has training pictures of only one class.", name=dataset.name))
    side = int((MOST_VALUES / dataset.channels) ** 0.5)
    known, asked = dataset.shrunk(train, side), dataset.shrunk(test, side)
    found = []
    for number, name in enumerate(methods):
        if on_progress:
            on_progress(
                number / len(methods),
                tr("{method} learns from {n:,} pictures", method=tr(METHODS[name].title), n=len(train)),
            )
        began, learner = time.perf_counter(), METHODS[name].make(len(train))
        learner.fit(known, dataset.labels[train])
        answers, truth = learner.predict(asked), dataset.labels[test]
        recalls = metrics.recall_score(truth, answers, labels=np.unique(truth), average=None, zero_division=0)
        accuracy, seconds = float((answers == truth).mean()), time.perf_counter() - began
        found.append(Baseline(name, accuracy, float(recalls.mean()), len(test), len(train), seconds))
    return found
