"""A short history: its milestones, the idea of each network as boxes and arrows, and what came before them, learned from
points on a plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgrec.language import mark


@dataclass(frozen=True)
class Sketch:
    """Boxes (x, y, words) and arrows from box to box by number; data flows to the right."""

    boxes: tuple[tuple[float, float, str], ...]
    arrows: tuple[tuple[int, int], ...]


def _row(*words: str, more: tuple[tuple[int, int], ...] = ()) -> Sketch:
    """Boxes one after another, and ``more`` arrows, which pass over boxes."""
    return Sketch(
        tuple((float(x), 0.0, word) for x, word in enumerate(words)),
        (*((x, x + 1) for x in range(len(words) - 1)), *more),
    )


IN, SUM, JOINED = mark("in"), "+", mark("side by side")
DENSE, POOL, CONV = mark("dense"), mark("pooling"), mark("conv")
BATCH_NORM = "batch norm"
SKETCHES: dict[str, Sketch] = {  # by the network of the shelf, or by the title of a milestone that shares one
    "seed-cnn": _row(mark("picture"), CONV, POOL, CONV, POOL, DENSE),
    "alexnet": _row(mark("picture"), CONV, "ReLU", POOL, "dropout", DENSE),
    "vgg11": _row(IN, "3 × 3", "3 × 3", POOL, "3 × 3", "…"),
    "googlenet": Sketch(
        ((0, 0, IN), (1, 1.5, "1 × 1"), (1, 0.5, "3 × 3"), (1, -0.5, "5 × 5"), (1, -1.5, POOL), (2, 0, JOINED)),
        tuple((0, i) for i in range(1, 5)) + tuple((i, 5) for i in range(1, 5)),
    ),
    "resnet18": _row(IN, CONV, CONV, SUM, "ReLU", more=((0, 3),)),
    "densenet121": _row(IN, CONV, CONV, CONV, JOINED, more=((0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4))),
    "se-resnet18": _row(mark("maps"), mark("mean of each"), DENSE, mark("0 to 1"), "×", more=((0, 4),)),
    BATCH_NORM: _row(CONV, mark("− mean, ÷ deviation"), "× γ, + β", "ReLU"),
    "mobilenet-v2": _row(IN, mark("1 × 1, wider"), mark("3 × 3, alone"), mark("1 × 1, narrower"), SUM, more=((0, 4),)),
    "efficientnet-b0": Sketch(
        ((0, 0, mark("a small network")), (1, 1, mark("deeper")), (1, 0, mark("wider")), (1, -1, mark("more pixels")), (2, 0, mark("all at once"))),
        ((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)),
    ),
    "vit-b-16": _row(mark("patches"), mark("each as a word"), mark("attention"), DENSE, mark("class")),
}  # fmt: skip

PERCEPTRON, RULES, NEAREST, TREE = mark("Perceptron"), mark("Rules by hand"), mark("Nearest neighbours"), mark("Decision trees")  # fmt: skip
BACKPROPAGATION, MACHINE = mark("Backpropagation"), mark("Support vector machines")


@dataclass(frozen=True)
class Milestone:
    """What was new in a year, and the paper that said so.

    ``network``: of the shelf, or "" for one of METHODS, which learns from points. Where they are empty, ``words`` and
    ``paper`` are those of the network's card, ``sketch`` is its name, and ``variant`` is its title: what the figures are of.
    """

    year: int
    title: str
    network: str = ""
    words: str = ""
    paper: str = ""
    sketch: str = ""
    variant: str = ""


MILESTONES = (
    Milestone(
        1958, PERCEPTRON, "",
        mark("A weighted sum and a threshold, learned: after every mistake the weights move a little towards the right answer. Where a straight line parts two kinds it finds one. Four heaps laid crosswise (XOR) no straight line parts: at best it gets three of them right. Minsky and Papert wrote in 1969 what a single layer cannot do, and many gave up on networks."),
        "F. Rosenblatt, The perceptron: a probabilistic model for information storage and organization in the brain, Psychological Review 65(6), 1958; M. Minsky and S. Papert, Perceptrons, MIT Press, 1969",
    ),
    Milestone(
        1966, RULES, "",
        mark("People wrote down what an eye, an edge or a corner is. It worked for the pictures they had thought of."),
        "S. Papert, The summer vision project, MIT AI memo 100, 1966",
    ),
    Milestone(
        1967, NEAREST, "",
        mark("No rules at all: look for the most similar known picture. No learning, and every pixel counts the same."),
        "T. Cover and P. Hart, Nearest neighbor pattern classification, IEEE Trans. IT 13, 1967",
    ),
    Milestone(
        1984, TREE, "",
        mark("Questions about single values, chosen by the data. Good for tables, weak for pictures."),
        "L. Breiman et al., Classification and Regression Trees, 1984",
    ),
    Milestone(
        1986, BACKPROPAGATION, "",
        mark("The heaps that no straight line parts, and a network with two layers: four hidden neurons draw a line each, and the last neuron puts them together, so the border bends. How every weight has to change, the chain rule says, from the error at the end back to the first layer. Others had found it before; Rumelhart, Hinton and Williams showed that hidden layers learn by it."),
        "D. Rumelhart, G. Hinton and R. Williams, Learning representations by back-propagating errors, Nature 323, 1986",
    ),
    Milestone(
        1995, MACHINE, "",
        mark("The widest gap between two classes. With features made by hand for fifteen years the best for most pictures but handwritten digits."),
        "C. Cortes and V. Vapnik, Support-vector networks, Machine Learning 20, 1995",
    ),
    Milestone(
        1998, "LeNet-5", "seed-cnn",
        mark("Convolution and pooling: the same small filter everywhere, learned instead of written. Fukushima's neocognitron of 1980 had both, but learned without backpropagation. LeCun's network of 1989 learned its filters by backpropagation, from handwritten postcodes; LeNet-5 is what came of it."),
        "K. Fukushima, Neocognitron, Biological Cybernetics 36, 1980; Y. LeCun et al., Backpropagation applied to handwritten zip code recognition, Neural Computation 1(4), 1989; Y. LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998",
        variant=mark("LeNet-5 with every map joined to every other"),
    ),
    Milestone(2012, "AlexNet", "alexnet", variant=mark("AlexNet in one column, as of 2014 (arXiv:1404.5997)")),
    Milestone(
        2014, "VGG", "vgg11",
        mark("Nothing but 3×3 convolutions, one after the other: depth beats large windows. What is drawn here has batch norm as well, which came a year later."),
    ),
    Milestone(2014, "GoogLeNet, Inception", "googlenet", variant=mark("GoogLeNet with batch norm, with 3 × 3 for 5 × 5, without the side exits")),
    Milestone(
        2015, mark("Batch normalisation"), "vgg11",
        mark("Each map loses its mean over the batch and is divided by its deviation; two weights for each map, γ and β, which are learned, scale and shift it again. Deep networks learn faster with it and forgive larger learning rates. In VGG-11 it is the grey boxes."),
        "S. Ioffe and C. Szegedy, Batch normalization: accelerating deep network training by reducing internal covariate shift, ICML 2015, arXiv:1502.03167",
        BATCH_NORM,
    ),
    Milestone(
        2015, "ResNet", "resnet18",
        mark("What a block computes, it adds to what came in; so gradients also have a direct way back to the first layers. Networks of up to 152 layers learned ImageNet in this way, and of more than a thousand CIFAR-10."),
    ),
    Milestone(2016, "DenseNet", "densenet121"),
    Milestone(2017, "SENet", "se-resnet18"),
    Milestone(
        2018, "MobileNet v2", "mobilenet-v2",
        mark("In MobileNet of 2017 each map is filtered by itself, then a 1×1 convolution mixes them: an eighth to a ninth of the work. New in v2: a block widens first, a 1×1 convolution makes many maps of few; each is filtered by itself; then a 1×1 makes few again, without an activation (linear bottleneck), and these are added to the few that came in (inverted residual)."),
        "A. Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications, arXiv:1704.04861; M. Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, arXiv:1801.04381",
    ),
    Milestone(2019, "EfficientNet", "efficientnet-b0"),
    Milestone(
        2020, mark("Vision transformer"), "vit-b-16",
        mark("The first layer cuts the picture into 196 patches and makes numbers of each; it could be written as a convolution whose stride is its kernel size, and it is drawn as one. From then on there is no convolution: patches look at each other (attention). It needs very much data, or weights from it."),
    ),
)  # fmt: skip

# What somebody wrote down who had seen a few points: a diamond lies to the right of the first or above the second.
RULE = (0.2, 1.0)
TURNS, STEPS, RATE, HIDDEN = 50, 500, 2.0, 4  # of the perceptron and of the network with two layers


def points(crosswise: bool, seed: int = 3, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Two kinds of things by two measurements from −2 to 2: float (count, 2) and their kind 0 or 1 (count,).

    Two long heaps that lean and touch, so that neither measurement alone tells them apart; or ``crosswise`` four, those
    across from each other of one kind (XOR).
    """
    draws, number = np.random.default_rng(seed).normal(size=(count, 2)), np.arange(count)
    kind = number % 2
    if crosswise:
        side = number // 2 % 2
        spread = 0.35 * draws + 0.9 * (2 * np.stack([side, side ^ kind], 1) - 1)
    else:
        across, along = 0.3 * draws[:, 0] + np.where(kind, 0.5, -0.5), 0.9 * draws[:, 1]
        spread = np.stack([across + along, across - along], 1) / np.sqrt(2)
    return spread.clip(-1.95, 1.95), kind


def says(method: str, seen: np.ndarray, kind: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """What one of METHODS, which has seen points (N, 2) of these kinds (N,), says of others (M, 2): 0 or 1, (M,)."""
    return METHODS[method](seen, kind, asked).astype(int)


def _one(values: np.ndarray) -> np.ndarray:
    """With a column of ones, whose weight is the bias."""
    return np.hstack([values, np.ones((len(values), 1))])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def _perceptron(seen: np.ndarray, kind: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Rosenblatt's rule: a mistake adds what was seen to the weights, or takes it away."""
    weights = np.zeros(3)
    for _ in range(TURNS):
        for point, right in zip(_one(seen), kind, strict=True):
            weights += (right - (point @ weights > 0)) * point
    return _one(asked) @ weights > 0


def _two_layers(seen: np.ndarray, kind: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """HIDDEN sigmoids and one more on top, by gradient descent on the cross-entropy from weights of seed 0."""
    draws, came = np.random.default_rng(0), _one(seen)
    first, last = draws.normal(size=(3, HIDDEN)), draws.normal(size=HIDDEN + 1)
    for _ in range(STEPS):
        hidden = _sigmoid(came @ first)
        error = (_sigmoid(_one(hidden) @ last) - kind) / len(kind)  # the loss by the last sum
        back = error[:, None] * last[:-1] * hidden * (1 - hidden)  # by the chain rule, the loss by the first sums
        last -= RATE * _one(hidden).T @ error
        first -= RATE * came.T @ back
    return _one(_sigmoid(_one(asked) @ first)) @ last > 0


def _rules(seen: np.ndarray, kind: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return (asked > RULE).any(1)


def _nearest(seen: np.ndarray, kind: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return kind[((asked[:, None] - seen) ** 2).sum(2).argmin(1)]


def _tree(seen: np.ndarray, kind: np.ndarray, asked: np.ndarray) -> np.ndarray:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=3, random_state=0).fit(seen, kind).predict(asked)


def _machine(seen: np.ndarray, kind: np.ndarray, asked: np.ndarray) -> np.ndarray:
    from sklearn.svm import SVC

    return SVC(kernel="linear").fit(seen, kind).predict(asked)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    PERCEPTRON: _perceptron, RULES: _rules, NEAREST: _nearest, TREE: _tree, BACKPROPAGATION: _two_layers, MACHINE: _machine,
}  # fmt: skip
