"""What a training feeds its network: a split's pictures where they are wanted, augmented, normalised, mixed if asked."""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from imgrec import augment, hardware
from imgrec.data import Dataset
from imgrec.recipe import Recipe
from imgrec.weights import Preprocess

MOST_MAPPED = 2**28  # bytes of a set on disk that are kept in memory at a time


class Pixels:
    """One split's pictures and labels where the training wants them: on the device if they fit, else read batch by batch,
    each while the one before it is learned from."""

    def __init__(self, dataset: Dataset, split: str, device: torch.device) -> None:
        self.device, self.dataset = device, dataset
        self.where = torch.from_numpy(dataset.indices(split))
        self.labels = torch.from_numpy(dataset.labels[self.where.numpy()]).to(device)
        size = len(self.where) * dataset.images[:1].nbytes
        self.resident = self._pick(self.where).to(device) if size < hardware.free_bytes(device) // 4 else None
        self.reader = ThreadPoolExecutor(1) if self.resident is None else None
        self.ahead: list[tuple[Tensor, Future[Tensor]]] = []  # at most two: the batch in hand and the next
        self.mapped = 0  # bytes read since the last that were given back

    def __len__(self) -> int:
        return len(self.where)

    def position(self, indices: Tensor) -> Tensor:
        """The pictures' positions in the whole data set, which key their augmentation."""
        return self.where[indices]

    def images(self, indices: Tensor) -> Tensor:
        """uint8 (N, C, H, W) on the device, for positions within the split."""
        if self.resident is None:
            batch = self._stream(indices).to(self.device, non_blocking=True)
        else:
            batch = self.resident.index_select(0, indices.to(self.device))  # whole pictures, ten times as fast as [...]
        return batch.permute(0, 3, 1, 2)

    def expect(self, indices: Tensor) -> None:
        """Begin to read what is asked for next; nothing is to be done for pictures on the device."""
        if self.reader:
            self.ahead = [*self.ahead[-1:], (indices, self.reader.submit(self._read, self.where[indices]))]

    def _stream(self, indices: Tensor) -> Tensor:
        found = [reading for expected, reading in self.ahead if _same(expected, indices)]
        batch = found[0].result() if found else self._read(self.where[indices])
        self.mapped += batch.nbytes
        if self.mapped > MOST_MAPPED:
            self.dataset.let_go()
            self.mapped = 0
        return batch

    def _pick(self, positions: Tensor) -> Tensor:
        return torch.from_numpy(self.dataset.images[positions.numpy()])

    def _read(self, positions: Tensor) -> Tensor:
        pictures = self._pick(positions)
        return pictures.pin_memory() if self.device.type == "cuda" else pictures


class Pipeline:
    """Training pictures as a recipe feeds them to its network: augmented, small at first if asked, normalised.

    All chance is a function of the recipe's seed, the epoch and the picture.
    """

    def __init__(self, recipe: Recipe, pixels: Pixels, preprocess: Preprocess) -> None:
        self.recipe, self.pixels, self.size = recipe, pixels, preprocess.size
        self.plan = augment.parse(recipe.augment)
        scale, shift = preprocess.scale_and_shift(pixels.device)
        self.scale_row, self.shift_row = (values.repeat(self.size) for values in (scale, shift))

    def feed(self, batch: Tensor, epoch: int) -> dict[str, Tensor]:
        """What steps are told of their pictures: ``batch``, positions within the split, int64 (N,), and if these are on the
        device what is drawn for each, there as well; else that is drawn when they are at hand."""
        if self.pixels.resident is None:
            return {"batch": batch}
        device = self.pixels.device
        positions = self.pixels.position(batch).to(device)
        return {"batch": batch.to(device), **augment.draw(self.plan, positions, self.recipe.seed, epoch)}

    def inputs(self, feed: dict[str, Tensor], epoch: int) -> Tensor:
        """The pictures of a feed, float32 (N, C, H, W)."""
        images, draws = self.pixels.images(feed["batch"]), {name: feed[name] for name in feed if name != "batch"}
        if self.plan and not draws:
            draws = augment.draw(self.plan, self.pixels.position(feed["batch"]), self.recipe.seed, epoch)
        images, side = augment.apply(images, draws), self.side(epoch)
        return self._normalised(shrunk(images, side) if side < images.shape[-1] else images)

    def plain(self, pixels: Pixels, batch: Tensor) -> Tensor:
        """Pictures of any split without augmentation, float32 (N, C, H, W)."""
        return self._normalised(augment.as_floats(pixels.images(batch)))

    def side(self, epoch: int) -> int:
        """Pixels along a side of the pictures in this epoch: with ``start_small`` fewer at first."""
        return grown(self.size, self.recipe.start_small, epoch / self.recipe.epochs)

    def _normalised(self, images: Tensor) -> Tensor:
        """As `Preprocess.normalise`, to the bit, with the channels last in memory: whole rows at once, not three values."""
        count, channels, height, width = images.shape
        rows = images.permute(0, 2, 3, 1).reshape(count * height, width * channels)
        values = rows.shape[1]  # a row of smaller pictures needs fewer
        rows = torch.addcmul(self.shift_row[:values], rows, self.scale_row[:values])
        return rows.view(count, height, width, channels).permute(0, 3, 1, 2)


def grown(size: int, first: float, done: float) -> int:
    """Pixels along a side after the share ``done`` of the epochs, in steps of four: from ``first`` of it to the whole ``size`` by
    two thirds."""
    share = first + (1 - first) * 1.5 * done
    return size if share >= 1 else min(size, max(4, 4 * math.floor(size * share / 4)))


def shrunk(images: Tensor, side: int) -> Tensor:
    """Square pictures (N, C, S, S) at a smaller side, as torch's bilinear interpolation with antialias gives them, but as
    two products with what it makes of a diagonal: torch's kernel takes a GPU as long as the network does."""
    size = images.shape[-1]
    diagonal = torch.eye(size, device=images.device)[None, None]
    weights = functional.interpolate(diagonal, (side, size), mode="bilinear", antialias=True)[0, 0]
    return weights @ images @ weights.T


def split_feed(feed: dict[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    """A feed in so many parts, equal to within one picture."""
    parts = zip(*(values.tensor_split(count) for values in feed.values()), strict=True)
    return [dict(zip(feed, part, strict=True)) for part in parts]


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same piece of memory; quicker than comparing what is in it."""
    return one.data_ptr() == other.data_ptr() and len(one) == len(other)


def seed_of(*parts: int) -> int:
    """One well-mixed 63-bit seed from several numbers."""
    mixed = 0
    for part in parts:
        mixed = (mixed * 6364136223846793005 + int(part) + 1442695040888963407) % 2**63
    return mixed


def mix(inputs: Tensor, kind: str, seed: int) -> tuple[Tensor, Tensor, float]:
    """The inputs (N, C, H, W) mixed with others of the batch, which ones (N,), and the share that each keeps of itself.

    ``kind`` "mixup" blends two pictures (Zhang et al. 2018), "cutmix" pastes a window of one into the other (Yun et al.
    2019).
    """
    draws = np.random.default_rng(seed)
    kept = float(draws.beta(0.4, 0.4) if kind == "mixup" else draws.uniform())
    others = torch.from_numpy(draws.permutation(len(inputs))).to(inputs.device)
    if kind == "mixup":
        return inputs * kept + inputs[others] * (1 - kept), others, kept
    height, width = inputs.shape[2:]
    tall, wide = round(height * math.sqrt(1 - kept)), round(width * math.sqrt(1 - kept))
    top, left = int(draws.integers(0, height - tall + 1)), int(draws.integers(0, width - wide + 1))
    inputs = inputs.clone(memory_format=torch.channels_last)
    inputs[:, :, top : top + tall, left : left + wide] = inputs[others, :, top : top + tall, left : left + wide]
    return inputs, others, 1 - tall * wide / (height * width)
