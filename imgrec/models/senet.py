"""Squeeze-and-excitation: a residual network that weighs its own maps; torchvision has none."""

import torch
from torch import Tensor, nn

from imgrec.language import mark
from imgrec.models.layout import steady
from imgrec.models.relu import relu
from imgrec.models.shelf import register


class Excite(nn.Module):
    """Each map is weighed by what all maps say on average. (N, C, H, W) → the same, maps scaled by 0 to 1."""

    def __init__(self, maps: int, squeeze: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(maps, max(maps // squeeze, 4))
        self.excite = nn.Linear(max(maps // squeeze, 4), maps)

    def forward(self, maps: Tensor) -> Tensor:
        means = maps.mean((2, 3))
        weights = torch.sigmoid(self.excite(relu(self.squeeze(means))))
        return maps * weights[:, :, None, None]


class Block(nn.Module):
    """Two 3×3 convolutions whose weighed result is added to what came in."""

    def __init__(self, before: int, maps: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, maps, 3, stride, 1, bias=False),
            nn.BatchNorm2d(maps),
            nn.ReLU(),
            nn.Conv2d(maps, maps, 3, 1, 1, bias=False),
            nn.BatchNorm2d(maps),
            Excite(maps),
        )
        same = stride == 1 and before == maps
        self.skip = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, maps, 1, stride, bias=False), nn.BatchNorm2d(maps))
        )

    def forward(self, maps: Tensor) -> Tensor:
        return relu(self.path(maps) + self.skip(maps), inplace=True)


@register(
    "se-resnet18",
    title="SE-ResNet-18",
    year=2017,
    paper="J. Hu, L. Shen and G. Sun, Squeeze-and-excitation networks, arXiv:1709.01507",
    idea=mark("A tiny network inside every block decides which maps matter for this very picture."),
    explains="blocks",
)
class SEResNet(nn.Module):
    """The depth of ResNet-18; pictures up to 64 pixels begin with a 3×3 window instead of two halvings.

    (N, C, S, S) → (N, classes).
    """

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__()
        if size <= 64:
            first = [nn.Conv2d(channels, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        else:
            first = [nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1), nn.ReLU()]
        self.first = nn.Sequential(*first)
        widths, blocks, before = (64, 128, 256, 512), [], 64
        for stage, maps in enumerate(widths):
            blocks += [Block(before, maps, 2 if stage else 1), Block(maps, maps, 1)]
            before = maps
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(512, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(steady(self.blocks(self.first(images))).mean((2, 3)))
