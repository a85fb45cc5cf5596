"""What ImageNet weights are worth on a small set of photos: MobileNet v2 frozen, fine-tuned, and from random weights.

``python -m benchmarks.transfer DATASET WEIGHTS.pth`` trains the head on a frozen backbone, then all layers from these
weights and from random ones for the same number of epochs, which is the same time; at last the frozen head on 5, 10, 20,
50 and 100 pictures per class, beside the preset ``few``, whose network comes with imgrec. Exit status 1: a target was
missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

MODEL = "mobilenet-v2"
CURVE = (5, 10, 20, 50, 100)
HEAD, FEATURES, MARGIN = 5.0, 60.0, 0.2  # seconds, seconds, accuracy


def trained(recipe, dataset, start) -> tuple[float, float, float]:
    """Test accuracy, seconds until the features were known, and seconds of the training after that."""
    from imgrec.evaluate import evaluate
    from imgrec.predict import Predictor
    from imgrec.train import Check, Training

    training, began = Training(recipe, dataset, start), time.perf_counter()
    looked = began
    for event in training.fit():
        if isinstance(event, Check) and event.epoch == 0:
            looked = time.perf_counter()
    seconds = time.perf_counter() - looked
    return evaluate(Predictor(training.averaged, training.passport), dataset)["accuracy"], looked - began, seconds


def cut(dataset, count: int, seed: int, left_out: int):
    """The data set with so many training pictures of each class, drawn from a seed."""
    splits, draws = dataset.splits.copy(), np.random.default_rng(seed)
    for label in range(len(dataset.classes)):
        where = dataset.indices("train")[dataset.labels[dataset.indices("train")] == label]
        splits[draws.permutation(where)[count:]] = left_out
    return replace(dataset, splits=splits)


def main() -> int:
    from imgrec.data import LEFT_OUT, open_dataset
    from imgrec.recipe import Recipe
    from imgrec.trainings import starting_weights
    from imgrec.weights import Start

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=4, help="of fine-tuning, and from random weights")
    options = parser.parse_args()
    dataset = open_dataset(options.dataset, options.size)
    start = Start.from_file(options.weights, MODEL)
    frozen = Recipe.from_values({"dataset": options.dataset, "image_size": options.size}, "transfer")
    accuracy, looking, head = trained(frozen, dataset, start)
    looked = len(dataset.indices("train")) + len(dataset.indices("validation"))
    print(f"  frozen: {accuracy:.1%}; features of {looked:,} photos in {looking:.1f} s, the head in {head:.1f} s")
    met = head < HEAD and looking * len(dataset.kept) / looked < FEATURES
    whole = replace(frozen, freeze="none", epochs=options.epochs, learning_rate=0.001)
    fine, _, seconds = trained(replace(whole, freeze="gradual", learning_rate=0.003), dataset, start)
    print(f"  fine-tuned: {fine:.1%} in {seconds:.0f} s ({options.epochs} epochs)", flush=True)
    random, _, seconds = trained(whole, dataset, None)
    print(f"  from random weights: {random:.1%} in {seconds:.0f} s")
    met &= fine > random + MARGIN
    few = Recipe.from_values({"dataset": options.dataset}, "few")
    ways = (
        ("frozen", replace(frozen, epochs=30), dataset, start),
        ("few", few, open_dataset(options.dataset, few.image_size), starting_weights(few)),
    )
    for count in CURVE:
        for name, recipe, pictures, weights in ways:
            accuracies = [trained(recipe, cut(pictures, count, seed, LEFT_OUT), weights)[0] for seed in range(3)]
            mean, spread = statistics.mean(accuracies), max(accuracies) - min(accuracies)
            print(f"  {count:3} pictures per class, {name}: {mean:.1%} (spread {spread:.1%})", flush=True)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
