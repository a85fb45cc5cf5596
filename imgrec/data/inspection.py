"""Looking at a data set: counts, sizes, channel statistics, mean pictures, duplicates. Pure functions of a Dataset."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from imgrec.data.dataset import SPLITS, Dataset

SLICE = 1024  # pictures read at a time, so that memory does not grow with the data set


def inspect(dataset: Dataset) -> dict[str, Any]:
    """What there is to know about a data set at a glance, JSON-able: the report behind the page and the command."""
    mean, std = dataset.channel_statistics(None)
    twins = duplicates(dataset)
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
        "duplicates": [[dataset.files[i] for i in group] for group in twins],
        "leaks": [[dataset.files[i] for i in group] for group in twins if len(set(dataset.splits[group])) > 1],
        "suspects": [dataset.files[i] for i in blank(dataset)],
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
    for chosen in _slices(dataset):
        part, labels = dataset.images[chosen], dataset.labels[chosen]
        for label in np.unique(labels):
            sums[label] += part[labels == label].sum(0, dtype=np.float64)
    counts = np.bincount(dataset.labels[dataset.kept], minlength=len(dataset.classes)).reshape(-1, 1, 1, 1)
    return (sums / np.maximum(counts, 1)).round().astype(np.uint8)


def duplicates(dataset: Dataset) -> list[np.ndarray]:
    """Groups of positions whose pixels are equal, largest first."""
    groups = defaultdict(list)
    for chosen in _slices(dataset):
        for i, picture in zip(chosen.tolist(), np.ascontiguousarray(dataset.images[chosen]), strict=True):
            groups[hashlib.blake2b(picture, digest_size=16).digest()].append(i)
    return sorted((np.array(group) for group in groups.values() if len(group) > 1), key=len, reverse=True)


def blank(dataset: Dataset, least: float = 4.0) -> np.ndarray:
    """Positions of pictures with hardly any contrast: the standard deviation of their pixels is under ``least`` of 255."""
    found = []
    for chosen in _slices(dataset):
        found.append(chosen[dataset.images[chosen].reshape(len(chosen), -1).std(1) < least])
    return np.concatenate(found) if found else np.zeros(0, int)


def _slices(dataset: Dataset) -> Iterator[np.ndarray]:
    """The positions of the kept pictures, SLICE at a time."""
    for start in range(0, len(dataset.kept), SLICE):
        yield dataset.kept[start : start + SLICE]
