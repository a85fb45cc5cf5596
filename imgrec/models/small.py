"""Small networks of ours, made to be read: the seed CNN and the baseline it has to beat."""

from torch import Tensor, nn

from imgrec.models.shelf import register


@register(
    "softmax-regression",
    title="Softmax regression",
    year=1958,
    paper="D. R. Cox, The regression analysis of binary sequences, J. Royal Statistical Society B 20(2), 1958",
    idea="One weight per pixel and class: the baseline that every network must beat.",
)
class SoftmaxRegression(nn.Module):
    """A linear layer on the pixels. (N, C, S, S) → (N, classes)."""

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels * size * size, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))


@register(
    "seed-cnn",
    title="Seed CNN",
    year=1998,
    paper="after LeNet-5: Y. LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998",
    idea="Two rounds of convolution and pooling find parts wherever they are; two dense layers put them together.",
    smallest=4,
    explains="features.3",
)
class SeedCNN(nn.Module):
    """conv 3×3-32, pool, conv 3×3-64, pool, fc-128, fc-classes. (N, C, S, S) → (N, classes)."""

    def __init__(self, classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.dense = nn.Sequential(nn.Linear(64 * (size // 4) ** 2, 128), nn.ReLU())
        self.head = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.dense(self.features(images).flatten(1)))
