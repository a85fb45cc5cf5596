"""The gradients of pictures with the channels last come back with the channels last.

Where maps are flattened or averaged, torch's gradient comes with the channels first, and what stands before that then goes
through both in different orders, number by number: ReLU takes ten times as long, and longer the less it can guess.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def channels_last(images: Tensor) -> Tensor:
    """(N, C, H, W), the same numbers."""
    return images.contiguous(memory_format=torch.channels_last)


def steady(images: Tensor) -> Tensor:
    """The same pictures (N, C, H, W); if their channels are last, so will be those of their gradient."""
    last = images.ndim == 4 and images.is_contiguous(memory_format=torch.channels_last)
    if last and images.requires_grad and not torch.compiler.is_compiling():
        images.register_hook(channels_last)
    return images


class Flatten(nn.Flatten):
    """(N, C, H, W) → (N, C · H · W)."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(steady(images))


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """(N, C, H, W) → (N, C, output, output)."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(steady(images))
