"""How good a trained network is on pictures it never learned from, beside what guessing would reach."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from imgrec.data import Dataset, DatasetError
from imgrec.predict import Predictor


def evaluate(predictor: Predictor, dataset: Dataset, split: str = "test") -> dict[str, Any]:
    """Accuracy and its kin on one split, JSON-able.

    ``interval`` is Wilson's 95 % interval (1927) of the accuracy; ``majority_accuracy`` is what always naming the
    commonest training class would reach; ``confusion[i][j]`` counts pictures of class i taken for class j;
    ``pictures`` lists position, label, prediction and its probability of each. Raises DatasetError on an empty split.
    """
    from sklearn import metrics  # 1 s to import, needed only here

    where = dataset.indices(split)
    if not len(where):
        raise DatasetError(f"{dataset.name} has no {split} pictures to evaluate on.")
    if dataset.classes != predictor.classes:
        raise DatasetError(
            f"{dataset.name} has other classes than {predictor.name} was trained on; evaluate on its own data set."
        )
    probabilities = predictor.probabilities(dataset.images[where])
    labels, predicted = dataset.labels[where], probabilities.argmax(1)
    every = np.arange(len(dataset.classes))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    true_probability = probabilities[np.arange(len(where)), labels]
    hits = int((predicted == labels).sum())
    commonest = np.bincount(dataset.labels[dataset.indices("train")], minlength=len(every)).argmax()
    return {
        "split": split,
        "images": len(where),
        "accuracy": hits / len(where),
        "interval": wilson(hits, len(where)),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "majority_accuracy": float((labels == commonest).mean()),
        "loss": float(-np.log(np.maximum(true_probability, 1e-12)).mean()),
        "classes": [
            {"name": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
            for name, p, r, f, n in zip(dataset.classes, precision, recall, f1, support, strict=True)
        ],
        "confusion": metrics.confusion_matrix(labels, predicted, labels=every).tolist(),
        "pictures": {
            "position": where.tolist(),
            "label": labels.tolist(),
            "predicted": predicted.tolist(),
            "probability": [round(float(p), 5) for p in probabilities.max(1)],
        },
    }


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share; z 1.96 gives 95 %."""
    share, spread = hits / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, middle - half), min(1.0, middle + half)
