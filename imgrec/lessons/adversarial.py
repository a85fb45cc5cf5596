"""The fast gradient sign method (Goodfellow, Shlens and Szegedy, arXiv:1412.6572): one step up the loss, as long for every value."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def nudge(logits: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """Which way every pixel of pictures in 0..1, float (N, C, H, W), makes the loss grow: −1, 0 or 1, same shape."""
    with torch.inference_mode(False), torch.enable_grad():
        given = images.clone().requires_grad_(True)
        loss = functional.cross_entropy(logits(given), labels.clone())
        (gradient,) = torch.autograd.grad(loss, given)
    return gradient.sign()


def nudged(images: Tensor, direction: Tensor, strength: float) -> Tensor:
    """The pictures with every value moved by ``strength`` of white that way, still in 0..1."""
    return (images + strength * direction).clamp(0, 1)
