"""The networks that made history on ImageNet, as torchvision builds them, for any classes, colours and picture size.

torchvision takes a moment to import, so that happens when one of them is built.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from functools import partial
from types import ModuleType

from torch import Tensor, nn
from torch.nn import functional

from imgrec.language import mark
from imgrec.models.shelf import SHELF, Card

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which the weights expect


class Family(nn.Module):
    """A torchvision network whose last layer is ours. (N, C, S, S) → (N, classes).

    Grey pictures go into all three channels; pictures smaller than ``least`` pixels are enlarged first, since the
    network halves them five times. Larger ones may have any size, as a training that begins with smaller pictures wants it.
    """

    def __init__(
        self, builder: str, last: str, least: int, options: Mapping[str, object], classes: int, channels: int, size: int
    ) -> None:
        super().__init__()
        self.fixed = builder.startswith("vit")  # it has a position for every patch of a 224-pixel picture
        self.least = 224 if self.fixed else least
        self.backbone = torchvision_models().get_model(builder, weights=None, **options)
        whole, _, name = last.rpartition(".")
        dense = self.backbone.get_submodule(last)
        setattr(self.backbone.get_submodule(whole), name, nn.Identity())
        for layer in self.backbone.modules():
            if isinstance(
                layer, nn.BatchNorm2d
            ):  # MobileNet v3's 0.01 is meant for days: after minutes its means are still
                layer.momentum = max(layer.momentum, 0.1)  # those it began with, and its answers those of chance
        if builder.startswith("resnet"):  # pooled before ReLU: the same result, for the largest stays the largest,
            network = self.backbone  # with a quarter of the work
            network.relu, network.maxpool = network.maxpool, network.relu
        self.head = nn.Linear(dense.in_features, classes)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        if images.shape[-1] < self.least or (self.fixed and images.shape[-1] > self.least):
            images = functional.interpolate(images, (self.least, self.least), mode="bilinear", antialias=True)
        return self.head(self.backbone(images))


def torchvision_models() -> ModuleType:
    """torchvision.models, without torch's compiler, which nobody here asks for and which takes longer to import than all
    else together: torchvision wants one function of it, to be called in a pooling layer that none of these networks has.

    That function is lent a place to be found in while torchvision is imported, and brings the compiler when it is called.
    """
    wanted = "torch._dynamo.utils"
    if "torchvision" in sys.modules or wanted in sys.modules:
        return importlib.import_module("torchvision.models")
    lent = ModuleType(wanted)

    def compiler(name: str):
        if name.startswith("__"):  # who looks through all modules, as `inspect` does, wants no compiler
            raise AttributeError(name)
        if sys.modules.get(wanted) is lent:
            del sys.modules[wanted]
        return getattr(importlib.import_module(wanted), name)

    lent.is_compile_supported = lambda device: compiler("is_compile_supported")(device)
    lent.__getattr__ = compiler  # whatever else is asked for meanwhile
    sys.modules[wanted] = lent
    try:
        return importlib.import_module("torchvision.models")
    finally:
        if sys.modules.get(wanted) is lent:
            del sys.modules[wanted]


def imagenet_state(name: str, state: Mapping[str, Tensor] | None = None) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """ImageNet weights of a model of the shelf by our layers' names, and the names of the 1,000 classes.

    ``state``: a torchvision file's content; without it torchvision's own file is read, or downloaded to torch's hub
    folder. Raises what torchvision raises: OSError, RuntimeError.
    """
    vision = torchvision_models()
    builder, last, _, options = SHELF[name].build.args
    known = vision.get_model_weights(builder).DEFAULT
    if state is None:
        options = {key: value for key, value in options.items() if key != "init_weights"}
        if "aux_logits" in options:  # torchvision reads the side exits and drops them by itself
            options = {"transform_input": False}
        network = vision.get_model(builder, weights=known, progress=False, **options)
    else:
        network = vision.get_model(builder, weights=None, **options)
        network.load_state_dict({k: v for k, v in state.items() if not k.startswith(("AuxLogits.", "aux1.", "aux2."))})
    own = {
        f"head.{key.removeprefix(last + '.')}" if key.startswith(last + ".") else f"backbone.{key}": value
        for key, value in network.state_dict().items()
        if not key.startswith(("AuxLogits.", "aux1.", "aux2."))
    }
    return own, tuple(known.meta["categories"])


def _shelve(
    name: str, title: str, year: int, paper: str, idea: str, builder: str, last: str, explains: str, least: int = 32,
    **options: object,
) -> None:  # fmt: skip
    build = partial(Family, builder, last, least, options)
    SHELF[name] = Card(name, title, year, paper, idea, build, explains=f"backbone.{explains}", pretrained=True)


_shelve(
    "alexnet", "AlexNet", 2012, "A. Krizhevsky, I. Sutskever and G. Hinton, ImageNet classification with deep convolutional "
    "neural networks, NeurIPS 2012", mark("Deep, with ReLU and dropout, on two GPUs: the network with which deep learning took off."),
    "alexnet", "classifier.6", "features.11", 96,
)  # fmt: skip
_shelve(
    "vgg11", "VGG-11 with batch norm", 2014, "K. Simonyan and A. Zisserman, Very deep convolutional networks for large-scale image "
    "recognition, arXiv:1409.1556", mark("Nothing but 3×3 convolutions, one after the other: depth beats large windows."),
    "vgg11_bn", "classifier.6", "features.27",
)  # fmt: skip
_shelve(
    "googlenet", "GoogLeNet", 2014, "C. Szegedy et al., Going deeper with convolutions, arXiv:1409.4842",
    mark("Windows of several sizes side by side, and a mean over each map instead of huge dense layers."),
    "googlenet", "fc", "inception5b", 64, aux_logits=False, init_weights=True,
)  # fmt: skip
_shelve(
    "inception-v3", "Inception v3", 2015, "C. Szegedy et al., Rethinking the Inception architecture for computer vision, "
    "arXiv:1512.00567", mark("Large windows taken apart into 1×n and n×1 ones: more depth for the same work."),
    "inception_v3", "fc", "Mixed_7c", 160, aux_logits=False, init_weights=True,
)  # fmt: skip
for depth, where in ((18, "layer4"), (50, "layer4")):
    _shelve(
        f"resnet{depth}", f"ResNet-{depth}", 2015, "K. He et al., Deep residual learning for image recognition, arXiv:1512.03385",
        mark("Every block adds to what came in, so gradients also have a direct way back to the first layers of even a very deep network."),
        f"resnet{depth}", "fc", where, 64,
    )  # fmt: skip
_shelve(
    "densenet121", "DenseNet-121", 2016, "G. Huang et al., Densely connected convolutional networks, arXiv:1608.06993",
    mark("Every layer sees the maps of all layers before it, so each needs to add only a few."),
    "densenet121", "classifier", "features", 64,
)  # fmt: skip
_shelve(
    "mobilenet-v2", "MobileNet v2", 2018, "M. Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, "
    "arXiv:1801.04381", mark("A block widens by 1×1, filters each map by itself, narrows again and adds: little work, small enough for phones."),
    "mobilenet_v2", "classifier.1", "features", 64,
)  # fmt: skip
_shelve(
    "mobilenet-v3-small", "MobileNet v3 small", 2019, "A. Howard et al., Searching for MobileNetV3, arXiv:1905.02244",
    mark("A search found the layers, with squeeze-and-excitation and a cheap smooth activation."),
    "mobilenet_v3_small", "classifier.3", "features", 64,
)  # fmt: skip
_shelve(
    "efficientnet-b0", "EfficientNet-B0", 2019, "M. Tan and Q. Le, EfficientNet: rethinking model scaling, arXiv:1905.11946",
    mark("Depth, width and picture size grow together, from a small base that a search found."),
    "efficientnet_b0", "classifier.1", "features", 64,
)  # fmt: skip
_shelve(
    "convnext-tiny", "ConvNeXt tiny", 2022, "Z. Liu et al., A ConvNet for the 2020s, arXiv:2201.03545",
    mark("A ResNet with the habits of transformers: large separate windows, few activations, layer norm."),
    "convnext_tiny", "classifier.2", "features", 32,
)  # fmt: skip
_shelve(
    "vit-b-16", "Vision transformer B/16", 2020, "A. Dosovitskiy et al., An image is worth 16×16 words, arXiv:2010.11929",
    mark("196 patches look at each other, without convolutions after the one that cuts them out; it needs very much data, or weights from it."),
    "vit_b_16", "heads.head", "encoder.layers.encoder_layer_11.ln_1",
)  # fmt: skip
_shelve(
    "swin-t", "Swin transformer tiny", 2021, "Z. Liu et al., Swin transformer: hierarchical vision transformer using shifted "
    "windows, arXiv:2103.14030", mark("Patches look at their neighbours in windows that shift from layer to layer, and merge on the way."),
    "swin_t", "head", "norm", 64,
)  # fmt: skip
