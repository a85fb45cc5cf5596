"""Looking at a data set: counts, sizes, channel statistics, mean pictures and how they vary. Pure functions of a Dataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgrec.data.dataset import SPLITS, Dataset, sample
from imgrec.data.health import KINDS, SLICE, aspects, examine, measure, spurious


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


def overview(dataset: Dataset, most: int = 0) -> dict[str, Any]:
    """Counts, sizes and channel statistics, JSON-able; the statistics of at most ``most`` pictures, or of all for 0."""
    mean, std = dataset.channel_statistics(None, most)
    return {
        "name": dataset.name,
        "images": len(dataset.kept),
        "left_out": len(dataset) - len(dataset.kept) - len(dataset.unlabelled),
        "unlabelled": len(dataset.unlabelled),
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "classes": dataset.counts(),
        "splits": {split: len(dataset.indices(split)) for split in SPLITS},
        "sizes": sizes(dataset),
        "aspect_ratios": aspect_ratios(dataset),
        "modes": dict(dataset.modes),
        "channels": dataset.channels,
        "channel_mean": mean.round(4).tolist(),
        "channel_std": std.round(4).tolist(),
        "imbalance": imbalance(dataset),
    }


def sizes(dataset: Dataset, most: int = 20) -> list[dict[str, int]]:
    """The commonest original sizes: [{"width", "height", "images"}], in pixels."""
    width, height = dataset.sizes[dataset.kept].astype(np.int64).T
    found, counts = np.unique(width << 32 | height, return_counts=True)  # one number each, much faster than rows
    order = np.argsort(-counts, kind="stable")[:most].tolist()
    return [
        {"width": int(found[i]) >> 32, "height": int(found[i]) & 0xFFFFFFFF, "images": int(counts[i])} for i in order
    ]


def aspect_ratios(dataset: Dataset) -> list[dict[str, float | None]]:
    """How many originals are how wide: [{"from", "to", "images"}] in equal steps of the logarithm of width ÷ height.

    The middle bin, 0.93 to 1.07, holds the squares; the widest have no "to".
    """
    step, reach = np.log(1.15), 10
    bins = np.clip(np.round(aspects(dataset)[dataset.kept] / step), -reach, reach).astype(int) + reach
    counts = np.bincount(bins, minlength=2 * reach + 1)
    edge = [0.0, *np.exp((np.arange(1, 2 * reach + 1) - reach - 0.5) * step).round(3).tolist(), None]
    used = np.flatnonzero(counts)
    return [{"from": edge[i], "to": edge[i + 1], "images": int(counts[i])} for i in used]


def imbalance(dataset: Dataset) -> float:
    """Pictures of the largest class ÷ pictures of the smallest that has any; 1 where there are none."""
    counts = np.bincount(dataset.labels[dataset.kept], minlength=len(dataset.classes))
    return float(counts.max() / counts[counts > 0].min()) if len(dataset.kept) else 1.0


def class_pictures(dataset: Dataset, most: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The mean picture of each class and its standard deviation, both uint8 (classes, H, W, C).

    The mean is what softmax regression can see at best. The deviation, at most half of the scale, is drawn twice as
    bright. Of at most ``most`` pictures, drawn at random, or of all for 0.
    """
    chosen = sample(dataset.kept, most)
    sums = np.zeros((2, len(dataset.classes), *dataset.images.shape[1:]), np.float64)
    for start in range(0, len(chosen), SLICE):
        part = chosen[start : start + SLICE]
        pictures, labels = dataset.images[part].astype(np.float32), dataset.labels[part]
        for label in np.unique(labels):
            sums[0, label] += pictures[labels == label].sum(0)
            sums[1, label] += np.square(pictures[labels == label]).sum(0, dtype=np.float64)
    dataset.let_go()
    counts = np.maximum(np.bincount(dataset.labels[chosen], minlength=len(dataset.classes)), 1).reshape(-1, 1, 1, 1)
    mean = sums[0] / counts
    deviation = np.sqrt(np.maximum(sums[1] / counts - mean**2, 0))
    return mean.round().astype(np.uint8), np.minimum(2 * deviation, 255).round().astype(np.uint8)
