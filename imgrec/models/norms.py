"""Batch norm and the GELU behind it at once, for training on a GPU with the channels last.

torch reads a layer's numbers for their mean and variance, reads and writes them to normalise and again to bend, and as often
on the way back. Here each way reads them twice and writes them once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imgrec.models.launch import PARTS, each, in_parts, kernels, together, usable
from imgrec.models.layout import channels_last


class Shift(nn.BatchNorm2d):
    """Batch norm that learns a bias but no scale, and whose running statistics follow quickly."""

    def __init__(self, maps: int) -> None:
        super().__init__(maps, eps=1e-5, momentum=0.4)
        del self.weight
        self.register_buffer("weight", torch.ones(maps))


def bent(norm: Shift, bend: nn.GELU, images: Tensor) -> Tensor:
    """``bend(norm(images))`` with the same effect on the running statistics, (N, C, H, W) → the same."""
    learns = norm.training and torch.is_grad_enabled() and not (norm._forward_hooks or bend._forward_hooks)
    several = images.numel() > images.shape[1]  # a single value has no deviation, which torch says
    if not (learns and several and usable(images)):
        return bend(norm(images))
    norm.num_batches_tracked.add_(1)
    return _Bent.apply(images, norm.bias, norm.running_mean, norm.running_var, norm.eps, norm.momentum)


class _Bent(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images, bias, running_mean, running_var, eps, momentum) -> Tensor:
        mean, scale = statistics(images, running_mean, running_var, eps, momentum)
        ctx.save_for_backward(images, bias, mean, scale)
        return forward(images, bias, mean, scale)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return *backward(gradient, *ctx.saved_tensors), None, None, None, None


def statistics(
    images: Tensor, running_mean: Tensor, running_var: Tensor, eps: float, momentum: float
) -> tuple[Tensor, Tensor]:
    """Each map's mean and 1 / deviation, float32 (C,); the running ones follow, in place."""
    (pixels, channels), sums = _size(images), _empty(images, PARTS, 2)
    mean, scale = _empty(images, 2)
    in_parts(kernels().moments, pixels, channels, images, sums)
    together(kernels().finish, pixels, channels, images, sums, running_mean, running_var, mean, scale, eps, momentum)
    return mean, scale


def forward(images: Tensor, bias: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """GELU of the normalised pictures, as long or short numbers as theirs."""
    answer = torch.empty_like(images)
    each(kernels().bend, *_size(images), images, bias, mean, scale, answer, widest=64)
    return answer


def backward(gradient: Tensor, images: Tensor, bias: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the pictures, numbers as theirs, and of the bias, float32 (C,)."""
    gradient = channels_last(gradient)
    (pixels, channels), sums, totals = _size(images), _empty(images, PARTS, 2), _empty(images, 2)
    before = torch.empty_like(images)
    in_parts(kernels().slopes, pixels, channels, gradient, images, bias, mean, scale, sums)
    together(kernels().add, pixels, channels, sums, totals)
    each(kernels().unbend, pixels, channels, gradient, images, bias, mean, scale, totals, before, widest=64)
    return before, totals[0]


def _size(images: Tensor) -> tuple[int, int]:
    """Pixels and channels."""
    return images.numel() // images.shape[1], images.shape[1]


def _empty(images: Tensor, *sizes: int) -> Tensor:
    return torch.empty(*sizes, images.shape[1], device=images.device)
