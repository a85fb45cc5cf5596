"""The questions that the lessons ask, and that a page may ask while something else takes its time."""

from __future__ import annotations

from dataclasses import dataclass

from imgrec.language import mark


@dataclass(frozen=True)
class Question:
    """One question with some answers, of which the ``right``-th is; ``lesson`` is the address where it can be tried out."""

    lesson: str
    words: str
    options: tuple[str, ...]
    right: int
    because: str


QUESTIONS = {
    "pixels": Question(
        "learn_pixels",
        mark("What does a yellow lemon look like in the blue channel alone?"),
        (mark("Bright"), mark("Dark"), mark("As bright as in the green channel")),
        1,
        mark("Yellow is much red, much green and hardly any blue; only what is white or bluish is bright there."),
    ),
    "convolution": Question(
        "learn_convolution",
        mark("The numbers of a kernel add up to 0. What does it give where the picture is evenly grey?"),
        ("0", mark("The same grey"), mark("White")),
        0,
        mark("The same grey times numbers that add up to 0 is 0: such a kernel answers to changes, not to brightness."),
    ),
    "pooling": Question(
        "learn_pooling",
        mark("A thing moves by two pixels, and 2 × 2 max pooling follows. What happens to the map behind it?"),
        (mark("It stays the same"), mark("It moves along by one cell"), mark("It moves along by two cells")),
        1,
        mark(
            "Two pixels are one block, so the map moves along by a cell. Only smaller moves, within the blocks, change it little."
        ),
    ),
    "softmax": Question(
        "learn_softmax",
        mark("All four scores grow by 1. What happens to the probabilities?"),
        (mark("They grow"), mark("They stay the same"), mark("The largest grows, the others shrink")),
        1,
        mark("Only differences count: every power of e is multiplied by the same number, and so is their sum."),
    ),
    "network": Question(
        "learn_network",
        mark("The deeper a layer lies in the network, the …"),
        (
            mark("larger the part of the picture that a cell sees"),
            mark("smaller the part of the picture that a cell sees"),
            mark("more pixels it has"),
        ),
        0,
        mark(
            "Each pooling widens the receptive field, and each convolution whose kernel is larger than 1 × 1; move the layer and watch the frame grow."
        ),
    ),
    "gradient": Question(
        "learn_gradient",
        mark("An input is 0. What happens to the weights it is multiplied with?"),
        (mark("They grow"), mark("They shrink"), mark("Nothing: their gradient is 0")),
        2,
        mark("The gradient is blame × input. Set a feature to 0 and see its column."),
    ),
    "optimisers": Question(
        "learn_optimisers",
        mark("On the ravine at a rate of 0.4 plain gradient descent …"),
        (mark("arrives first"), mark("does not move"), mark("swings from side to side")),
        2,
        mark(
            "Across, the curvature is 5, and 2 ÷ 5 = 0.4 is the limit: each step jumps over the bottom to the same height on the other side. A smaller rate comes down, a larger one flies off."
        ),
    ),
    "fitting": Question(
        "learn_fitting",
        mark("The training loss falls, the validation loss rises. What helps most?"),
        (mark("More pictures"), mark("A larger network"), mark("More epochs")),
        0,
        mark("It learns by heart: give it more to learn from, or less room to remember."),
    ),
    "invariance": Question(
        "learn_invariance",
        mark("For which pictures would you not train with left and right flipped?"),
        (mark("Cats"), mark("Flowers"), mark("Letters and digits")),
        2,
        mark("A flipped b is a d: what does not matter depends on the question."),
    ),
    "transfer": Question(
        "learn_transfer",
        mark("Why may the backbone stay frozen?"),
        (
            mark("It has no weights"),
            mark("Its last layer knows the new classes"),
            mark("Edges and parts are useful for other pictures, too"),
        ),
        2,
        mark("The first layers find what all pictures have; the later a layer, the more it is about its own classes."),
    ),
    "history": Question(
        "learn_history",
        mark("What did ResNet's shortcut make possible?"),
        (mark("Very deep networks that still learn"), mark("Colour pictures"), mark("Smaller pictures")),
        0,
        mark("A block only adds to what came in, so gradients also have a direct way back to the first layers."),
    ),
    "trust": Question(
        "learn_trust",
        mark("Of 100 answers given with 99% confidence 80 are right. What does that mean?"),
        (
            mark("It is as sure as it should be"),
            mark("It is surer than it is right"),
            mark("It is right more often than it thinks"),
        ),
        1,
        mark("Softmax always adds up to 1; whether 99% means 99 of 100 right must be measured."),
    ),
}
