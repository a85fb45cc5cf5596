"""What a training feeds its network: a split's pictures where they are wanted, mixed if asked, and the chance behind it."""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from imgrec import hardware
from imgrec.data import Dataset

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
        """float32 (N, C, H, W) in 0..1 on the device, for positions within the split."""
        if self.resident is None:
            batch = self._stream(indices).to(self.device, non_blocking=True)
        else:
            batch = self.resident[indices.to(self.device)]
        return batch.permute(0, 3, 1, 2).float().div_(255)

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
