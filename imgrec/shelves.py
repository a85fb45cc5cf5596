"""The shelves a training chooses from: optimisers, losses, schedules. One row adds one; forms, checks and tests read them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.nn import functional

from imgrec.language import mark
from imgrec.muon import Muon
from imgrec.optimisers import SGD, Adam, AdamW


@dataclass(frozen=True)
class Choice:
    """A row of a shelf: what people read, and the function behind it."""

    title: str
    help: str
    make: Callable


def _fused(groups: list[dict[str, Any]]) -> bool | None:
    """Whether one kernel updates all weights: twice as fast on the CPU, and on CUDA it saves hundreds of launches."""
    return (
        True if all(weight.device.type in ("cpu", "cuda") for group in groups for weight in group["params"]) else None
    )


def _on_gpu(groups: list[dict[str, Any]]) -> bool:
    """Whether steps may be recorded, so that all an optimiser counts must lie on the device."""
    return all(weight.is_cuda for group in groups for weight in group["params"])


WHOLE_SET = "gradient-descent"  # the optimiser whose batch is the whole training set

OPTIMISERS = {
    "adamw": Choice(
        mark("AdamW"),
        mark("Adapts the step of every weight; a good first choice."),
        lambda weights, r: AdamW(
            weights, r.learning_rate, weight_decay=r.weight_decay, fused=_fused(weights), capturable=_on_gpu(weights)
        ),
    ),
    "adam": Choice(
        "Adam",
        mark("Like AdamW, with the weight decay inside the gradient."),
        lambda weights, r: Adam(
            weights, r.learning_rate, weight_decay=r.weight_decay, fused=_fused(weights), capturable=_on_gpu(weights)
        ),
    ),
    "momentum": Choice(
        mark("SGD with Nesterov momentum"),
        mark("Rolls downhill like a ball; wants a higher rate, about 0.05."),
        lambda weights, r: SGD(
            weights,
            r.learning_rate,
            momentum=r.momentum,
            weight_decay=r.weight_decay,
            nesterov=r.momentum > 0,
            fused=_fused(weights),
        ),
    ),
    "sgd": Choice(
        "SGD",
        mark("One step down the gradient of each batch, nothing else; wants a rate of about 0.1."),
        lambda weights, r: SGD(weights, r.learning_rate, weight_decay=r.weight_decay, fused=_fused(weights)),
    ),
    "muon": Choice(
        mark("Muon"),
        mark("Turns every weight matrix by the same share; fewest epochs for convolutions, wants a rate of about 0.1."),
        lambda weights, r: Muon(
            weights, r.learning_rate, r.momentum, r.weight_decay, _fused(weights), _on_gpu(weights)
        ),
    ),
    WHOLE_SET: Choice(
        mark("Gradient descent"),
        mark(
            "One step per epoch, down the gradient of all pictures together: the textbook's; wants a high rate, "
            "many epochs."
        ),
        lambda weights, r: SGD(weights, r.learning_rate, weight_decay=r.weight_decay, fused=_fused(weights)),
    ),
}

# A loss gives one value per picture, float32 (N,), from logits (N, classes), labels (N,) and the label smoothing.
LOSSES = {
    "cross-entropy": Choice(
        mark("Cross-entropy"),
        mark("How surprised the network is by the right answer; the standard for classes."),
        lambda logits, labels, smoothing: functional.cross_entropy(
            logits, labels, label_smoothing=smoothing, reduction="none"
        ),
    ),
    "mse": Choice(
        mark("Mean squared error"),
        mark("Squared distance of the probabilities to 1 for the right class and 0 for the others; for comparison."),
        lambda logits, labels, smoothing: functional.mse_loss(
            logits.softmax(1),
            functional.one_hot(labels, logits.shape[1]) * (1 - smoothing) + smoothing / logits.shape[1],
            reduction="none",
        ).mean(1),
    ),
}

# A schedule gives the share of the learning rate at a progress from 0 to 1.
SCHEDULES = {
    "one-cycle": Choice(
        mark("One cycle"),
        mark("Warms up over the first quarter, then falls to zero; fast and forgiving."),
        lambda p: 0.1 + 0.9 * p / 0.25 if p < 0.25 else 0.5 + 0.5 * math.cos(math.pi * (p - 0.25) / 0.75),
    ),
    "cosine": Choice(mark("Cosine"), mark("Falls gently from the full rate to zero."), lambda p: 0.5 + 0.5 * math.cos(math.pi * p)),
    "step": Choice(mark("Steps"), mark("A tenth of the rate after half, a hundredth after three quarters."), lambda p: 0.1 ** ((p >= 0.5) + (p >= 0.75))),
    "linear": Choice(mark("Linear"), mark("Falls evenly from the full rate to zero."), lambda p: 1 - p),
    "constant": Choice(mark("Constant"), mark("The same rate from first to last step."), lambda p: 1.0),
}  # fmt: skip
