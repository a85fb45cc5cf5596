"""Looking at a data set: counts, sizes, channel statistics, mean pictures. Pure functions of a Dataset."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from imgrec.data.dataset import SPLITS, Dataset
from imgrec.data.health import KINDS, examine, measure, slices, spurious


def inspect(dataset: Dataset) -> dict[str, Any]:
    """What there is to know about a data set, JSON-able: `overview`, and what may be wrong with it.

    ``findings`` holds for each kind groups of file names; ``suspects`` all files that are odd by themselves.
    """
    measures = measure(dataset)
    groups = examine(dataset, measures)
    found = {kind: [[dataset.files[i] for i in group] for group in of_kind] for kind, of_kind in groups.items()}
    alone = {name for kind, of_kind in found.items() if not KINDS[kind].keep for group in of_kind for name in group}
    return {
        **overview(dataset),
        "duplicates": found["duplicates"],
        "leaks": found["leaks"],
        "suspects": sorted(alone),
        "findings": found,
        "spurious": spurious(dataset, measures),
    }


def overview(dataset: Dataset) -> dict[str, Any]:
    """Counts, sizes and channel statistics, JSON-able."""
    mean, std = dataset.channel_statistics(None)
    return {
        "name": dataset.name,
        "images": len(dataset.kept),
        "left_out": len(dataset) - len(dataset.kept),
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "classes": dataset.counts(),
        "splits": {split: len(dataset.indices(split)) for split in SPLITS},
        "sizes": sizes(dataset),
        "channels": dataset.channels,
        "channel_mean": mean.round(4).tolist(),
        "channel_std": std.round(4).tolist(),
        "imbalance": imbalance(dataset),
    }


def sizes(dataset: Dataset, most: int = 20) -> list[dict[str, int]]:
    """The commonest original sizes: [{"width", "height", "images"}], in pixels."""
    counted = Counter(map(tuple, dataset.sizes[dataset.kept].tolist()))
    return [{"width": w, "height": h, "images": n} for (w, h), n in counted.most_common(most)]


def imbalance(dataset: Dataset) -> float:
    """Pictures of the largest class ÷ pictures of the smallest that has any."""
    counts = np.bincount(dataset.labels[dataset.kept], minlength=len(dataset.classes))
    return float(counts.max() / counts[counts > 0].min())


def class_means(dataset: Dataset) -> np.ndarray:
    """The mean picture of each class, uint8 (classes, H, W, C): what softmax regression can see at best."""
    sums = np.zeros((len(dataset.classes), *dataset.images.shape[1:]), np.float64)
    for chosen in slices(dataset):
        part, labels = dataset.images[chosen], dataset.labels[chosen]
        for label in np.unique(labels):
            sums[label] += part[labels == label].sum(0, dtype=np.float64)
    counts = np.bincount(dataset.labels[dataset.kept], minlength=len(dataset.classes)).reshape(-1, 1, 1, 1)
    return (sums / np.maximum(counts, 1)).round().astype(np.uint8)
