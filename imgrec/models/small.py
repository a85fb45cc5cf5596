"""Small networks of ours, made to be read: the seed CNNs and the baseline they have to beat."""

from itertools import pairwise

from torch import Tensor, nn

from imgrec.language import mark
from imgrec.models.layout import steady
from imgrec.models.pooling import MaxPool2d
from imgrec.models.shelf import register

LENET = mark(
    "after LeNet-5: Y. LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998"
)


@register(
    "softmax-regression",
    title=mark("Softmax regression"),
    year=1958,
    paper="D. R. Cox, The regression analysis of binary sequences, J. Royal Statistical Society B 20(2), 1958",
    idea=mark("One weight per pixel and class: the baseline that every network must beat."),
)
class SoftmaxRegression(nn.Module):
    """A linear layer on the pixels. (N, C, S, S) → (N, classes)."""

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels * size * size, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))


class PlainCNN(nn.Module):
    """Rounds of 3×3 convolution, pooling and ReLU, then perhaps a dense layer. (N, C, S, S) → (N, classes).

    ``maps``: of each convolution; ``pooled``: how many of them are followed by 2×2 max pooling; ``features``: of the
    dense layer, 0 for none.
    """

    def __init__(
        self, maps: tuple[int, ...], pooled: int, features: int, classes: int, channels: int, size: int
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        for place, (before, after) in enumerate(pairwise((channels, *maps))):
            self.features.append(nn.Conv2d(before, after, 3, padding=1))
            if place < pooled:
                self.features.append(MaxPool2d(2))  # before ReLU: the same result, for the largest stays the
            self.features.append(nn.ReLU())  # largest, with a quarter of the work; trains 1.6 times as fast
        flat = maps[-1] * (size // 2**pooled) ** 2
        self.dense = nn.Sequential(nn.Linear(flat, features), nn.ReLU()) if features else nn.Identity()
        self.head = nn.Linear(features or flat, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.dense(steady(self.features(images)).flatten(1)))


@register(
    "seed-cnn",
    title=mark("Seed CNN"),
    year=1998,
    paper=LENET,
    idea=mark(
        "Two rounds of convolution and pooling find parts wherever they are; two dense layers put them together."
    ),
    smallest=4,
    explains="features.2",
)
class SeedCNN(PlainCNN):
    """conv 3×3-32, pool, conv 3×3-64, pool, fc-128, fc-classes. (N, C, S, S) → (N, classes)."""

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__((32, 64), 2, 128, classes, channels, size)


@register(
    "seed-cnn-tiny",
    title=mark("Seed CNN, tiny"),
    year=1998,
    paper=LENET,
    idea=mark("One convolution, one pooling, one dense layer: the least that deserves the name."),
    smallest=2,
    explains="features.2",
)
class TinySeedCNN(PlainCNN):
    """conv 3×3-32, pool, fc-classes; meant for 28 × 28. (N, C, S, S) → (N, classes)."""

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__((32,), 1, 0, classes, channels, size)


@register(
    "seed-cnn-deep",
    title=mark("Seed CNN, deeper"),
    year=1998,
    paper=LENET,
    idea=mark("A third convolution sees further, and a small dense layer keeps the network light."),
    smallest=4,
    explains="features.5",
)
class DeepSeedCNN(PlainCNN):
    """conv 3×3-32, pool, conv 3×3-64, pool, conv 3×3-64, fc-64, fc-classes; meant for 28 × 28. (N, C, S, S) → (N, classes)."""

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__((32, 64, 64), 2, 64, classes, channels, size)


@register(
    "seed-cnn-photo",
    title=mark("Seed CNN for photos"),
    year=1998,
    paper=LENET,
    idea=mark(
        "Three rounds of convolution and pooling for large pictures; most of its weights lie in the first dense layer."
    ),
    smallest=8,
    explains="features.5",
)
class PhotoSeedCNN(PlainCNN):
    """conv 3×3-32, pool, conv 3×3-64, pool, conv 3×3-128, pool, fc-512, fc-classes; meant for 224 × 224.

    (N, C, S, S) → (N, classes).
    """

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__((32, 64, 128), 3, 512, classes, channels, size)
