"""What may be wrong with a data set: duplicates, near duplicates, leaks between splits, dark, bright, pale, blank,
blurry and odd-shaped pictures, and classes that can be told apart by brightness or shape alone. Pure functions of a Dataset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgrec.data.dataset import LEFT_OUT, SPLITS, UNLABELLED, Dataset
from imgrec.data.packs import Progress
from imgrec.language import mark

SLICE = 1024  # pictures read at a time, so that memory does not grow with the data set
SIDE = 32  # pixels of the grey picture that is measured
BANDS, BAND_BITS = 5, 13  # of a 65-bit row: hashes that differ in 4 bits or fewer agree in at least one band
MOST_BITS, MOST_DISTANCE = (
    12,
    0.12,
)  # near duplicates differ in at most so many bits and such a part of the contrast, in root mean square
FEWEST = 8  # pictures of a class, of which chance does not sort all to one side
CLEAR = 5.0  # robust standard deviations from the median that make an outlier


@dataclass(frozen=True)
class Measures:
    """A row per picture of the set, those that are left out too, so that no edit changes it: what findings rest on."""

    brightness: np.ndarray  # float32 (N,), mean, from 0 to 1
    low: np.ndarray  # float32 (N,), the 5th percentile of the grey levels, from 0 to 1
    high: np.ndarray  # float32 (N,), the 95th
    sharpness: np.ndarray  # float32 (N,), the share of fine detail in all contrast, as a logarithm
    exact: np.ndarray  # int32 (N,), equal for pictures whose pixels are equal, -1 where there is no other
    alike: np.ndarray  # int32 (N,), equal for pictures that show the same, -1 where there is no other


@dataclass(frozen=True)
class Kind:
    """A row of KINDS: ``find(dataset, measures)`` gives groups of positions; ``keep`` says how many of a group may stay."""

    title: str
    why: str
    find: Callable[[Dataset, Measures], list[np.ndarray]]
    keep: int = 0


def examine(dataset: Dataset, measures: Measures | None = None) -> dict[str, list[np.ndarray]]:
    """For each of KINDS the groups of positions that were found, int64; singles are groups of one. None is left out."""
    measures = measures or measure(dataset)
    return {name: kind.find(dataset, measures) for name, kind in KINDS.items()}


def measure(dataset: Dataset, progress: Progress | None = None) -> Measures:
    """One pass over the pictures, a slice at a time, and the search for pairs. ``progress`` hears (done, total)."""
    parts = []
    for start in range(0, len(dataset), SLICE):
        parts.append(_measured(np.ascontiguousarray(dataset.images[start : start + SLICE])))
        if progress:
            progress(min(start + SLICE, len(dataset)), len(dataset))
    dataset.let_go()
    hashes, small, digests, *columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    _, same, count = np.unique(digests, return_inverse=True, return_counts=True)
    exact = np.where(count[same] > 1, same, -1).astype(np.int32)
    return Measures(*columns, exact, _alike(hashes, small))


def aspects(dataset: Dataset) -> np.ndarray:
    """The logarithm of width ÷ height of each original, float64 (N,)."""
    width, height = np.maximum(dataset.sizes, 1).T
    return np.log(width / height)


def spurious(dataset: Dataset, measures: Measures | None = None) -> list[dict[str, str | float | list[str]]]:
    """Properties that give classes away without looking at the content: [{"property", "share", "classes"}].

    ``classes``: those on the smaller side of the cut between the classes that the property makes best. ``share``: of all
    pairs of a picture of theirs and one of the others, those in which the property tells which is which (the area under
    the ROC curve, 0.5 to 1); above 0.98 a network may learn the property instead of the thing.
    """
    measures = measures or measure(dataset)
    labels, found = dataset.labels[dataset.kept], []
    present, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    properties = {
        mark("brightness"): measures.brightness,
        mark("sharpness"): measures.sharpness,
        mark("shape"): aspects(dataset),
    }
    for name, values in properties.items():
        values = values[dataset.kept].astype(np.float64)
        if len(present) < 2 or values.var() < 1e-6:
            continue
        _, places, alike = np.unique(values, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(alike) - (alike - 1) / 2)[places]  # from 1; equals share the middle one
        sums = np.bincount(labels, ranks)
        order = np.argsort(sums / counts)  # cut after the first class, the second, …
        below, ranked = counts[order].cumsum()[:-1], sums[order].cumsum()[:-1]
        above = len(values) - below
        share = 1 - (ranked - below * (below + 1) / 2) / (below * above)  # pairs in order: Mann and Whitney's U
        share[np.minimum(below, above) < FEWEST] = 0
        if share.max() > 0.98:
            cut = int(share.argmax()) + 1
            side = min(order[:cut], order[cut:], key=len)
            classes = [dataset.classes[present[c]] for c in sorted(side)]
            found.append({"property": name, "share": float(share.max()), "classes": classes})
    return found


def _measured(images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Perceptual hash uint64, small grey picture uint8 (16, 16), digest uint64, brightness, low, high, sharpness of each
    of uint8 (N, S, S, C)."""
    grey = images.astype(np.float32) @ _weights(images.shape[3]) / 255  # (N, S, S)
    side = _areas(images.shape[1], SIDE)
    square = side @ grey @ side.T
    small = _areas(images.shape[1], 16) @ grey @ _areas(images.shape[1], 16).T
    low, high = np.percentile(grey.reshape(len(grey), -1), (5, 95), axis=1)
    detail = grey[:, 1:-1, 1:-1] * 4 - grey[:, :-2, 1:-1] - grey[:, 2:, 1:-1] - grey[:, 1:-1, :-2] - grey[:, 1:-1, 2:]
    sharpness = np.log((detail.var((1, 2)) + 1e-8) / (grey.var((1, 2)) + 1e-6))
    digests = [int.from_bytes(hashlib.blake2b(picture, digest_size=8).digest()) for picture in images]
    columns = (column.astype(np.float32) for column in (grey.mean((1, 2)), low, high, sharpness))
    return _hashes(square), (small * 255).round().astype(np.uint8), np.array(digests, np.uint64), *columns


def _weights(channels: int) -> np.ndarray:
    return np.array([1.0] if channels == 1 else [0.299, 0.587, 0.114], np.float32)


def _areas(size: int, target: int) -> np.ndarray:
    """The matrix (target, size) that averages pixels over equal areas, also when it enlarges."""
    edges, cuts = np.arange(size + 1) / size, np.arange(target + 1) / target
    overlap = np.minimum(edges[None, 1:], cuts[1:, None]) - np.maximum(edges[None, :-1], cuts[:-1, None])
    return (np.maximum(overlap, 0) * target).astype(np.float32)


def _hashes(square: np.ndarray) -> np.ndarray:
    """The perceptual hash of C. Zauner (2010): which of the lowest 64 frequencies lie over their median; uint64 (N,)."""
    from scipy.fft import dctn  # scipy takes a while to import, and most commands do without

    waves = dctn(square, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(square), 64)
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def _alike(hashes: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Near duplicates: perceptual hashes that nearly agree, confirmed by the small grey pictures. See Measures.alike."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = _candidates(hashes)
    pairs = pairs[np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]) <= MOST_BITS]
    values = small - small.mean((1, 2), dtype=np.float32, keepdims=True)  # whatever their brightness and contrast
    contrast = values.std((1, 2))
    values /= np.maximum(contrast, 1e-6)[:, None, None]
    least, most = contrast[pairs].min(1), contrast[pairs].max(1)
    pairs = pairs[(least > 0) & (most <= 2 * least)]
    distance = np.sqrt(((values[pairs[:, 0]] - values[pairs[:, 1]]) ** 2).mean((1, 2)))
    pairs = pairs[distance < MOST_DISTANCE]
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(hashes),) * 2)
    _, group = connected_components(graph, directed=False)
    return np.where(np.bincount(group)[group] > 1, group, -1).astype(np.int32)


def _candidates(hashes: np.ndarray, most: int = 12) -> np.ndarray:
    """Pairs (P, 2) of rows that agree in a band of bits; in a crowded band each meets only its nearest neighbours."""
    found = [np.zeros((0, 2), np.int64)]
    for band in range(BANDS):
        value = (hashes >> np.uint64(band * BAND_BITS)) & np.uint64(2**BAND_BITS - 1)
        order = np.lexsort((hashes, value))
        for step in range(1, most + 1):
            same = value[order[:-step]] == value[order[step:]]
            if not same.any():
                break
            found.append(np.stack([order[:-step][same], order[step:][same]], axis=1))
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _present(dataset: Dataset) -> np.ndarray:
    return np.flatnonzero(dataset.splits != LEFT_OUT)


def _groups(dataset: Dataset, group_of: np.ndarray) -> list[np.ndarray]:
    """The positions of each group of two or more that are not left out, the largest group first."""
    members = np.flatnonzero((group_of >= 0) & (dataset.splits != LEFT_OUT))
    members = members[np.argsort(group_of[members], kind="stable")]
    runs = np.split(members, np.flatnonzero(np.diff(group_of[members])) + 1)
    return sorted((run for run in runs if len(run) > 1), key=len, reverse=True)


def _exact(dataset: Dataset, measures: Measures) -> list[np.ndarray]:
    return _groups(dataset, measures.exact)


def _near(dataset: Dataset, measures: Measures) -> list[np.ndarray]:
    return [
        group
        for group in _groups(dataset, measures.alike)
        if len(set(measures.exact[group])) > 1 or measures.exact[group[0]] < 0
    ]


def _copies(dataset: Dataset, measures: Measures) -> list[np.ndarray]:
    """Groups of copies, exact ones or not; of groups within others only these."""
    groups = [group for of in (measures.exact, measures.alike) for group in _groups(dataset, of)]
    held: dict[int, int] = {}  # position → the size of the largest group that holds it
    for group in groups:
        held |= {p: max(len(group), held.get(p, 0)) for p in group.tolist()}
    whole = [group for group in groups if any(held[p] == len(group) for p in group.tolist())]
    return list({tuple(sorted(group.tolist())): group for group in whole}.values())


def _leaks(dataset: Dataset, measures: Measures) -> list[np.ndarray]:
    copies = _copies(dataset, measures)
    return [group for group in copies if len(set(dataset.splits[group].tolist()) - {UNLABELLED}) > 1]


def _contradictions(dataset: Dataset, measures: Measures) -> list[np.ndarray]:
    copies = _copies(dataset, measures)
    return [group for group in copies if len(set(dataset.labels[group].tolist()) - {-1}) > 1]


def _singles(chosen: Callable[[Dataset, Measures], np.ndarray]) -> Callable[[Dataset, Measures], list[np.ndarray]]:
    """Groups of one of those present pictures that ``chosen`` marks, bool (N,)."""
    return lambda dataset, measures: list(_present(dataset)[chosen(dataset, measures)[_present(dataset)]][:, None])


def _outlying(dataset: Dataset, values: np.ndarray, least: float) -> np.ndarray:
    """How many robust standard deviations (1.48 MAD) each value lies from the median; ``least`` bounds the divisor."""
    present = values[_present(dataset)]
    middle = np.median(present)
    return (values - middle) / max(1.4826 * np.median(np.abs(present - middle)), least)


def _dark(measures: Measures) -> np.ndarray:
    return measures.high < 0.18


def _bright(measures: Measures) -> np.ndarray:
    return measures.low > 0.93


def _blank(measures: Measures) -> np.ndarray:
    return measures.high - measures.low <= 0.01


ALL = 2**31  # of a group that stay: people decide
KINDS: dict[str, Kind] = {
    "duplicates": Kind(mark("exact duplicates"), mark("The same picture twice teaches nothing new."), _exact, 1),
    "near_duplicates": Kind(mark("near duplicates"), mark("Resized, made brighter or saved again, they are the same picture."), _near, 1),
    "contradictions": Kind(
        mark("copies with different labels"), mark("The same picture under two names: at least one of them is wrong. Open them to relabel."),
        _contradictions, ALL,
    ),
    "leaks": Kind(
        mark("leaks across splits"), mark("Test accuracy would lie: the network saw these in training. Leave one side out."), _leaks, 1
    ),
    "dark": Kind(mark("too dark"), mark("Hardly any light in them."), _singles(lambda d, m: _dark(m) & ~_blank(m))),
    "bright": Kind(mark("too bright"), mark("Hardly anything but white."), _singles(lambda d, m: _bright(m) & ~_blank(m))),
    "pale": Kind(
        mark("low in contrast"), mark("Much flatter than the others, as through fog."),
        _singles(lambda d, m: (_outlying(d, np.log(m.high - m.low + 0.01), 0.2) < -CLEAR) & ~(_dark(m) | _bright(m) | _blank(m))),
    ),
    "blank": Kind(mark("nearly blank"), mark("There is no contrast in them."), _singles(lambda d, m: _blank(m))),
    "blurry": Kind(
        mark("blurry"), mark("Much less fine detail than the others."),
        _singles(lambda d, m: (_outlying(d, m.sharpness, 0.3) < -CLEAR) & ~_blank(m)),
    ),
    "odd_shape": Kind(
        mark("oddly shaped"), mark("Much wider or taller than the others; cropping may lose the thing itself."),
        _singles(lambda d, m: np.abs(_outlying(d, aspects(d), 0.1)) > CLEAR),
    ),
}  # fmt: skip


def advised(kind: str, groups: list[np.ndarray], splits: np.ndarray) -> list[int]:
    """Which positions to leave out: of a group all but one, where a test picture stays rather than a training one."""
    keep = KINDS[kind].keep
    test_first = (SPLITS.index("test") - np.array(splits, int)) % 256  # then validation, training, without a label
    return sorted({int(p) for group in groups for p in sorted(group, key=lambda p: (test_first[p], p))[keep:]})
