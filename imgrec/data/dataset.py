"""A data set in memory or memory-mapped: pictures, labels, splits. Where it comes from is its neighbours' business."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from imgrec.language import listed, tr

SPLITS = ("train", "validation", "test")
UNLABELLED = 254  # the split of a picture that waits for a label
LEFT_OUT = 255  # the split of a picture that somebody excluded


class DatasetError(ValueError):
    """A data set that cannot be opened or imported; the message names it, the reason and the way out."""


class Unsorted(DatasetError):
    """Pictures that do not lie in two classes or more; they can be imported without labels."""


@dataclass(frozen=True)
class Dataset:
    """Pictures of one size with a label and a split each.

    ``images`` is uint8 (N, H, W, C) with C 1 or 3, possibly a memory map; ``labels`` int64 (N,) indexes ``classes``;
    ``splits`` uint8 (N,) indexes SPLITS, or is UNLABELLED, where the label is -1, or LEFT_OUT; ``sizes`` int32 (N, 2)
    holds each original's width and height in pixels, ``modes`` how many pictures came in which kind of file;
    ``masks`` bool (N, H, W), where it is known, is true on the object; ``files`` names each picture for people.
    """

    name: str
    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    sizes: np.ndarray
    files: Sequence[str]
    source: str = ""  # where it comes from and under which licence, one sentence
    masks: np.ndarray | None = None
    modes: Mapping[str, int] = field(default_factory=dict)  # such as {"JPEG, RGB": 58, "PNG, RGBA": 2}
    known_fingerprint: str = field(default="", repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        return self.images.shape[3]

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.images.shape[1]

    @cached_property
    def kept(self) -> np.ndarray:
        """The positions of all pictures that have a label and are not left out, int64, ascending."""
        return np.flatnonzero(self.splits < len(SPLITS))

    @cached_property
    def unlabelled(self) -> np.ndarray:
        """The positions of all pictures that wait for a label, int64, ascending."""
        return np.flatnonzero(self.splits == UNLABELLED)

    def indices(self, split: str) -> np.ndarray:
        """The positions of one split's pictures, int64, ascending. Raises DatasetError for what is no split."""
        if split not in SPLITS:
            raise DatasetError(tr("split is {split!r}; choose one of {splits}.", split=split, splits=listed(SPLITS)))
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures per class and split: {class: {split: n}}."""
        return counted(self.classes, self.labels[self.kept], self.splits[self.kept])

    def channel_statistics(self, split: str | None = "train", most: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation per channel, each float64 (C,), in units of 0 to 1. One pass in slices.

        With ``most``, over at most so many pictures, drawn at random.
        """
        chosen = sample(self.kept if split is None else self.indices(split), most)
        total, squares, pixels = np.zeros(self.channels), np.zeros(self.channels), 0
        for start in range(0, len(chosen), 1024):
            part = self.images[chosen[start : start + 1024]].reshape(-1, self.channels)
            levels = np.stack([np.bincount(part[:, c], minlength=256) for c in range(self.channels)])  # exact and cheap
            value = np.arange(256) / 255
            total, squares, pixels = total + levels @ value, squares + levels @ value**2, pixels + len(part)
        self.let_go()
        mean = total / max(pixels, 1)
        return mean, np.sqrt(np.maximum(squares / max(pixels, 1) - mean**2, 0))

    def shrunk(self, positions: np.ndarray, side: int) -> np.ndarray:
        """The means of at most ``side`` × ``side`` areas of these pictures, float32 (n, side² C) from 0 to 1."""
        chosen = []
        edges = np.linspace(0, self.image_size, min(side, self.image_size) + 1).round().astype(int)
        area = np.diff(edges)
        for start in range(0, len(positions), 512):
            part = self.images[positions[start : start + 512]].astype(np.float32) / 255
            rows = np.add.reduceat(part, edges[:-1], axis=1) / area[:, None, None]
            chosen.append((np.add.reduceat(rows, edges[:-1], axis=2) / area[:, None]).reshape(len(part), -1))
        return np.concatenate(chosen) if chosen else np.zeros((0, 1), np.float32)

    def let_go(self) -> None:
        """Give back the memory of mapped pictures after a pass over them; whoever asks again reads them again."""
        mapped = getattr(self.images, "_mmap", None)
        if hasattr(mapped, "madvise"):
            mapped.madvise(mmap.MADV_DONTNEED)

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 (16 hex digits) over classes, labels, splits and pixels: the same data, the same fingerprint."""
        if self.known_fingerprint:
            return self.known_fingerprint
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for array in (self.labels, self.splits, self.images):
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()[:16]


def sample(positions: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of the positions, drawn from a seed, in their order; all of them for 0."""
    if not most or len(positions) <= most:
        return positions
    return np.sort(np.random.default_rng(0).choice(positions, most, replace=False))


def counted(classes: Sequence[str], labels: np.ndarray, splits: np.ndarray) -> dict[str, dict[str, int]]:
    """Pictures per class and split: {class: {split: n}}. Every picture must have both."""
    cells = np.bincount(labels * len(SPLITS) + splits, minlength=len(classes) * len(SPLITS))
    rows = zip(classes, cells.reshape(-1, len(SPLITS)).tolist(), strict=True)
    return {name: dict(zip(SPLITS, row, strict=True)) for name, row in rows}


def stratify(
    labels: np.ndarray, groups: Sequence | None = None, given: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """A split for every picture, uint8 (N,), drawn in each class from a seed: 70 % train, 10 % validation, 20 % test.

    ``given`` (N,) holds splits that came with the data, 255 where none did; validation and test stay. What did not come
    of these two is drawn from the others, training pictures or not (10 %, 20 %). Pictures of one ``groups`` value (exact
    duplicates) are drawn together, even if their labels differ.
    """
    labels = np.asarray(labels)
    splits = np.zeros(len(labels), np.uint8) if given is None else np.array(given, np.uint8)
    splits[splits == 255] = 0
    has_validation, has_test = (splits == 1).any(), (splits == 2).any()
    share_test, share_validation = 0.0 if has_test else 0.2, 0.0 if has_validation else 0.1
    free = np.flatnonzero(splits == 0)
    values = np.arange(len(labels)) if groups is None else np.asarray(groups)
    _, first, group_of = np.unique(values[free], return_index=True, return_inverse=True)
    class_of = labels[free[first]]  # a group counts for the class of its first picture
    split_of = np.zeros(len(first), np.uint8)
    generator = np.random.default_rng(seed)
    for label in np.unique(class_of):
        drawn = generator.permutation(np.flatnonzero(class_of == label))
        cut = np.cumsum([round(share_test * len(drawn)), round(share_validation * len(drawn))])
        split_of[drawn[: cut[0]]], split_of[drawn[cut[0] : cut[1]]] = 2, 1
    splits[free] = split_of[group_of]
    return splits
