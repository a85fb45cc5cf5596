"""Convolution as torch's, but quicker while a CPU learns in bfloat16, where two kinds of it waste most of their time.

Small maps, on processors with AMX: these multiply tiles of sixteen rows, and torch fills a tile with one row of one map. Of
maps of 4 pixels, three quarters are wasted. So the pictures of a batch are laid side by side, with zeros between them, and a
row is as long as the batch.

A filter for each map (depthwise), but for 3×3 windows without steps: torch has no quick way back in bfloat16. In float32,
from and to bfloat16, it takes a half to a tenth of the time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from imgrec import hardware
from imgrec.models.layout import channels_last, steady

WIDEST = 7  # pixels of a map that comes out; those of 8 fill half a tile, which is enough
LEAST = 256  # maps that come in and go out; of fewer, moving the pictures takes as long as it saves


class Conv2d(nn.Conv2d):
    """(N, C, H, W) → (N, maps, H', W')."""

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self._shortened(images) and isinstance(self.padding, tuple):
            if self._depthwise():
                with torch.autocast("cpu", enabled=False):
                    return super()._conv_forward(images.float(), weight.float(), bias).to(torch.bfloat16)
            if self._small(images) and hardware.multiplies_bfloat16(images.device):
                return side_by_side(images, weight, bias, self.stride, self.padding)
        return super()._conv_forward(images, weight, bias)

    def _shortened(self, images: Tensor) -> bool:
        """Whether this learns from pictures (N, C, H, W) in bfloat16 on a CPU."""
        if images.device.type != "cpu" or images.ndim != 4 or not torch.is_grad_enabled():
            return False
        short = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        return short and self.weight.dtype == torch.float32 and not torch.compiler.is_compiling()

    def _depthwise(self) -> bool:
        """Whether each map has a filter of its own, of a kind that is slow."""
        quick = self.kernel_size == (3, 3) and self.stride == (1, 1)
        return self.groups == self.in_channels == self.out_channels > 1 and not quick

    def _small(self, images: Tensor) -> bool:
        """Whether the maps are small, and many enough."""
        plain = self.groups == 1 and self.dilation == (1, 1) and self.padding_mode == "zeros"
        whole = 1 < self.kernel_size[1] <= 2 * self.padding[1] + 1  # as many windows as pixels, or more
        many = min(self.in_channels, self.out_channels) >= LEAST and len(images) > 1
        return plain and whole and many and images.shape[-1] <= WIDEST * self.stride[1]


def side_by_side(
    images: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """The convolution of pictures (N, C, H, W) as that of one as wide as all of them; windows of up to twice the padding
    and one pixel."""
    count, width = len(images), images.shape[-1]
    gap = padding[1] + -(width + padding[1]) % stride[1]  # zeros, such that each begins where a window does
    rows = functional.pad(steady(images).permute(2, 0, 3, 1), (0, 0, 0, gap))  # (H, N, W + gap, C)
    wide = rows.flatten(1, 2)[None].permute(0, 3, 1, 2)
    answer = functional.conv2d(wide, weight, bias, stride, padding).permute(0, 2, 3, 1).squeeze(0)  # (H', all, maps)
    apart, inside = (width + gap) // stride[1], (width + 2 * padding[1] - weight.shape[3]) // stride[1] + 1
    parts = answer[:, : count * apart].unflatten(1, (count, apart))[:, :, :inside]  # (H', N, W', maps)
    return channels_last(parts.permute(1, 3, 0, 2))
