"""Before a training begins: does one batch go through, how long will all take, and which learning rate suits.

The rate is looked for as L. N. Smith does (Cyclical learning rates for training neural networks, WACV 2017): it grows from
step to step, and the loss shows where learning begins and where it breaks down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from imgrec import hardware
from imgrec.batches import grown
from imgrec.data import Dataset
from imgrec.recipe import Recipe
from imgrec.train import Training
from imgrec.weights import Start

STEPS = 80  # of the search for a rate
LOWEST, HIGHEST = 1e-5, 3.0
SMALL, LARGE = 0.5, 96  # share of a side to begin with; pixels of a side from which on that is advised
BROKEN = 3.0  # the search ends where the loss is so many times its lowest


@dataclass(frozen=True)
class Preflight:
    """What a look ahead found."""

    seconds: float  # that the whole training will take, about
    memory: int  # bytes held while a batch goes through
    precision: str
    rates: np.ndarray  # float64 (n,), tried
    losses: np.ndarray  # float64 (n,), smoothed, at each rate
    suggested: float  # learning rate
    growing: float  # share of the time if the pictures begin with SMALL of their side; 1 where that is no use


def look_ahead(
    recipe: Recipe, dataset: Dataset, start: Start | None = None, progress: Callable[[float], None] | None = None
) -> Preflight:
    """Try a few steps of a training that is then thrown away. ``progress`` hears the share done; what it raises ends it.

    Raises what `Training` raises, with the same words as the training itself would.
    """
    training = Training(replace(recipe, schedule="constant", warmup=0.0), dataset, start)
    for _ in training.extract_features():
        pass
    training.unfreeze()
    batches = training.order().tensor_split(training.steps)
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    losses: list[float] = []
    began = counted = time.perf_counter()
    for number, rate in enumerate(rates):
        training.learning_rate = float(rate)
        loss = training.learn(batches[number % len(batches)])
        losses.append(loss)
        if number == 3:
            counted = time.perf_counter()  # the first steps prepare what the others use
        if progress:
            progress((number + 1) / STEPS)
        if not np.isfinite(loss) or (number > 10 and smooth(losses)[-1] > BROKEN * min(smooth(losses))):
            break
    seconds = (time.perf_counter() - (counted if len(losses) > 4 else began)) / max(len(losses) - 4, 1)
    kept = np.isfinite(losses)
    smoothed = smooth(np.array(losses)[kept].tolist())
    size, least = training.pipeline.size, getattr(training.model, "least", 0)  # smaller pictures than that are enlarged
    tried, all_of_it = (cost(size, recipe.start_small, epochs, least) for epochs in (1, recipe.epochs))
    return Preflight(
        seconds * training.steps * recipe.epochs * all_of_it / tried, hardware.used_bytes(training.device), training.precision.name,
        rates[: len(losses)][kept], smoothed, suggest(rates[: len(losses)][kept], smoothed), growing(training),
    )  # fmt: skip


def cost(size: int, first: float, epochs: int, least: int = 0) -> float:
    """How long the epochs take whose pictures begin with ``first`` of their side, beside as many whole ones: as the pixels, of
    which the network sees ``least`` along a side."""
    sides = [max(min(least, size), grown(size, first, epoch / epochs)) for epoch in range(epochs)]
    return float(np.mean([(side / size) ** 2 for side in sides]))


def growing(training: Training) -> float:
    """See `Preflight`: for pictures that are small already, and networks for one size or a frozen part, it is no use."""
    recipe, size = training.recipe, training.pipeline.size
    use = size >= LARGE and recipe.start_small == 1 and recipe.freeze == "none"
    return (
        cost(size, SMALL, recipe.epochs, getattr(training.model, "least", 0))
        if use and training.accepts(grown(size, SMALL, 0.0))
        else 1.0
    )


def smooth(losses: list[float], keep: float = 0.85) -> np.ndarray:
    """The running mean of the losses, each counting for ``keep`` of the one after it, float64 (n,)."""
    average, smoothed = 0.0, []
    for number, loss in enumerate(losses, 1):
        average = keep * average + (1 - keep) * loss
        smoothed.append(average / (1 - keep**number))
    return np.array(smoothed)


def suggest(rates: np.ndarray, losses: np.ndarray) -> float:
    """A third of the rate at which the loss was lowest, to one digit: fast, with some distance from where it breaks."""
    return float(f"{rates[int(losses.argmin())] / 3:.1g}") if len(losses) else LOWEST
