"""How fast our batched augmentation is beside kornia's, which does the same with a separate draw per picture.

``python -m benchmarks.augmentation`` needs kornia (``pip install kornia``) and takes turns between the two on batches in
memory: flip, rotation, shift, scale, brightness, contrast, saturation. Then flip and shift alone, the usual pair for
small pictures. Prints pictures per second and the ratio.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

BATCHES = {"128 of 32 px": (128, 32), "32 of 224 px": (32, 224)}
ROUNDS, REPEATS = 5, 10


def rate(work: Callable[[torch.Tensor, int], torch.Tensor], images: torch.Tensor) -> float:
    """Pictures per second."""
    work(images, 0)
    began = time.perf_counter()
    for number in range(REPEATS):
        work(images, number)
    return REPEATS * len(images) / (time.perf_counter() - began)


def main() -> int:
    try:
        from kornia import augmentation as kornia
    except ImportError:
        print("kornia is not installed; `pip install kornia` brings it.")
        return 2
    from imgrec.augment import parse

    all_plan = "flip_horizontal=0.5,rotate=15,shift=0.1,scale=0.2,brightness=0.2,contrast=0.2,saturation=0.3"
    whole = torch.nn.Sequential(
        kornia.RandomHorizontalFlip(0.5),
        kornia.RandomAffine(15.0, (0.1, 0.1), (0.83, 1.2), padding_mode="reflection", p=1.0),
        kornia.ColorJiggle(0.2, 0.2, 0.3, 0.0, p=1.0),
    )
    pair = torch.nn.Sequential(
        kornia.RandomHorizontalFlip(0.5), kornia.RandomAffine(0.0, (0.1, 0.1), padding_mode="reflection", p=1.0)
    )
    for title, plan, theirs in (("all seven", all_plan, whole), ("flip, shift", "flip_horizontal=0.5,shift=0.1", pair)):
        for batch, (count, side) in BATCHES.items():
            mine, other = contest(parse(plan), theirs, torch.rand(count, 3, side, side))
            print(
                f"  {title:12} {batch:13} ours {mine:8,.0f}/s  kornia {other:8,.0f}/s  ours ÷ kornia {mine / other:.1f}"
            )
    return 0


def contest(plan: dict[str, float], theirs: torch.nn.Module, images: torch.Tensor) -> tuple[float, float]:
    """Medians of our rate and theirs, taken in turns."""
    from imgrec.augment import augment

    indices = torch.arange(len(images))
    mine, other = [], []
    for _ in range(ROUNDS):
        mine.append(rate(lambda x, epoch: augment(x, plan, indices, 0, epoch), images))
        other.append(rate(lambda x, _: theirs(x), images))
    return statistics.median(mine), statistics.median(other)


if __name__ == "__main__":
    sys.exit(main())
