"""When our kernels for a GPU can be used, and how they are started. What they compute is in `kernels`."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor

BLOCK = 4096  # numbers that a program holds
PARTS = 256  # of the pixels that are summed up side by side, then together
MOST = 2**31  # numbers in one tensor, for the kernels count in int32


@lru_cache
def kernels() -> ModuleType | None:
    """All of them; None where Triton is not installed. They are compiled when they first run."""
    try:
        from imgrec.models import kernels
    except ImportError:
        return None
    return kernels


def usable(images: Tensor) -> bool:
    """Whether kernels can work on these pictures (N, C, H, W): on a GPU, with the channels last in memory."""
    last = images.is_cuda and images.ndim == 4 and images.is_contiguous(memory_format=torch.channels_last)
    return last and images.numel() < MOST and not torch.compiler.is_compiling() and kernels() is not None


def each(kernel, pixels: int, channels: int, *rest, widest: int = 256) -> None:
    """Start a kernel over all pixels and channels, a block in each program."""
    columns = min(widest, 1 << (channels - 1).bit_length())
    rows = BLOCK // columns
    kernel[-(-pixels // rows), -(-channels // columns)](*rest, pixels, channels, ROWS=rows, COLUMNS=columns)


def in_parts(kernel, pixels: int, channels: int, *rest) -> None:
    """Start a kernel that sums over PARTS of the pixels."""
    columns = min(64, 1 << (channels - 1).bit_length())
    rows = BLOCK // columns
    share = -(-pixels // (PARTS * rows)) * rows  # pixels in a part, whole blocks
    kernel[PARTS, -(-channels // columns)](*rest, pixels, channels, share, ROWS=rows, COLUMNS=columns)


def together(kernel, pixels: int, channels: int, *rest) -> None:
    """Start a kernel that adds up what the PARTS gave."""
    kernel[(-(-channels // 16),)](*rest, pixels, channels, PARTS=PARTS, COLUMNS=16)
