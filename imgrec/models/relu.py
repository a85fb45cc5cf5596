"""ReLU as torch's, but quicker in bfloat16 on a CPU, where torch turns every number into float32 and back.

A bfloat16 is negative where the integer of its sixteen bits is, so ReLU is a comparison of integers: four times as fast from
the cache. Negative numbers are -32768 (for -0) to -128 (for minus infinity); above them, to -1, is what is not a number and
stays, as torch's does, that a training that fails is seen to fail.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

LARGEST_NEGATIVE = -128  # as an integer


class ReLU(nn.ReLU):
    """Numbers of any shape → the same, with zero for the negative."""

    def forward(self, numbers: Tensor) -> Tensor:
        return relu(numbers, self.inplace)


def relu(numbers: Tensor, inplace: bool = False) -> Tensor:
    """The same numbers, with zero for the negative."""
    short = numbers.dtype == torch.bfloat16 and numbers.device.type == "cpu"
    if short and not torch.compiler.is_compiling():
        return _Rectified.apply(numbers, inplace)
    return functional.relu(numbers, inplace)


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx, numbers: Tensor, inplace: bool) -> Tensor:
        threshold = torch.threshold_ if inplace else torch.threshold
        answer = threshold(numbers.view(torch.int16), LARGEST_NEGATIVE, 0).view(torch.bfloat16)
        if inplace:
            ctx.mark_dirty(numbers)
            answer = numbers
        ctx.save_for_backward(answer)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        [answer] = ctx.saved_tensors
        before = torch.ops.aten.threshold_backward(gradient.view(torch.int16), answer.view(torch.int16), 0)
        return before.view(torch.bfloat16), None
