"""A network made for speed on pictures of 32 to 64 pixels: good after a few passes over the training pictures."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from imgrec.language import mark
from imgrec.models.convolution import Conv2d
from imgrec.models.norms import Shift, bent
from imgrec.models.pooling import AdaptiveMaxPool2d, MaxPool2d
from imgrec.models.shelf import register

PAPER = "K. Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498"
LEAST = 16  # pixels; smaller pictures are enlarged
STACK = 16  # maps that a GPU computes at a time
AT_ONCE = 5000 * 32**2  # pixels whose patches are held together, some 50 bytes for each


@register(
    "fast",
    title=mark("Fast"),
    year=2024,
    paper=PAPER,
    idea=mark(
        "The first layer is computed from the pictures instead of learned, and six convolutions start as near-identities."
    ),
    smallest=2,
    explains="groups.2.second",
)
class Fast(nn.Module):
    """Whitened 2×2 patches, three groups of two 3×3 convolutions (64, 256, 256 maps), the largest of each map, one
    dense layer. (N, C, S, S) → (N, classes).

    ``look_at`` computes the whitening from training pictures; before, its filters are random like any others.
    """

    maps = (64, 256, 256)

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.whiten, self.first = Whitening(channels), nn.GELU()
        maps = (2 * 4 * channels, *self.maps)
        self.groups = nn.Sequential(*(Group(*pair) for pair in pairwise(maps)))
        self.pool = AdaptiveMaxPool2d(1)
        self.head = nn.Linear(maps[-1], classes, bias=False)

    def look_at(self, images: Tensor) -> None:
        """Adapt the first layer to normalised pictures, float32 (N, C, S, S); a few thousand are enough."""
        self.whiten.look_at(images)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-1] < LEAST:
            images = functional.interpolate(images, (LEAST, LEAST), mode="bilinear")
        return self.head(self.pool(self.groups(self.first(self.whiten(images)))).flatten(1))


@register(
    "fast-small",
    title=mark("Fast, small"),
    year=2024,
    paper=PAPER,
    idea=mark("The same with a quarter of the maps: a few passes over MNIST in a minute, without a GPU."),
    smallest=2,
    explains="groups.2.second",
)
class FastSmall(Fast):
    """As `Fast`, with 32, 64 and 128 maps. (N, C, S, S) → (N, classes)."""

    maps = (32, 64, 128)


class Whitening(nn.Conv2d):
    """2×2 patches in the directions in which they differ, each scaled to variance 1, with both signs. (N, C, S, S) →
    (N, 8 · C, S − 1, S − 1).

    Neighbouring pixels are nearly equal; after this, what tells them apart is as large as what they share, and the
    layers behind learn from both at once. Only the biases learn. Where it trains on a GPU, which computes whole stacks of
    maps faster, maps of zeros fill the last one up.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2 * 4 * channels, 2)
        filters = self.weight.detach()
        del self.weight
        self.register_buffer("weight", filters)
        nn.init.zeros_(self.bias)

    def forward(self, images: Tensor) -> Tensor:
        if not (images.is_cuda and self.training):
            return super().forward(images)
        more = -len(self.weight) % STACK
        weight, bias = functional.pad(self.weight, (0, 0, 0, 0, 0, 0, 0, more)), functional.pad(self.bias, (0, more))
        return self._conv_forward(images, weight, bias)

    @torch.no_grad()
    def look_at(self, images: Tensor, least: float = 5e-4) -> None:
        """Principal components of the patches; ``least`` is added to the variances, so that noise is not blown up."""
        products, count = 0.0, 0
        for part in images.split(max(1, AT_ONCE // images[0, 0].numel())):
            windows = part.float().unfold(2, 2, 1).unfold(3, 2, 1)  # not functional.unfold, a kernel for every picture
            patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, 4 * images.shape[1])
            products, count = products + patches.T @ patches, count + len(patches)
        variances, directions = torch.linalg.eigh((products / count).cpu())
        filters = (directions / (variances.clamp(min=0) + least).sqrt()).T.view(-1, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([filters, -filters]))


class Group(nn.Module):
    """Convolution, 2×2 max pooling, convolution, each with batch norm and GELU. (N, C, S, S) → (N, maps, S/2, S/2)."""

    def __init__(self, before: int, maps: int) -> None:
        super().__init__()
        self.first, self.pool, self.first_norm, self.first_bend = (
            NearIdentity(before, maps),
            MaxPool2d(2),
            Shift(maps),
            nn.GELU(),
        )
        self.second, self.second_norm, self.second_bend = NearIdentity(maps, maps), Shift(maps), nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = bent(self.first_norm, self.first_bend, self.pool(self.first(x)))
        return bent(self.second_norm, self.second_bend, self.second(x))


class NearIdentity(Conv2d):
    """A 3×3 convolution that at first hands the maps on that come in, and adds random ones if it has more. Maps that come in
    beyond its own are zeros."""

    def __init__(self, before: int, maps: int) -> None:
        super().__init__(before, maps, 3, padding=1, bias=False)
        nn.init.dirac_(self.weight.data[:before])

    def forward(self, images: Tensor) -> Tensor:
        more = images.shape[1] - self.weight.shape[1]
        weight = functional.pad(self.weight, (0, 0, 0, 0, 0, more)) if more else self.weight
        return self._conv_forward(images, weight, None)
