"""How fast the training loop is, beside what people would pick instead: the seed CNN on 32-pixel pictures, on one machine.

``python -m benchmarks.training DATASET`` (an imported set, such as cifar10) takes turns between our loop, a plain loop of
torchvision transforms and a DataLoader, and a loop that does nothing but forward, backward and step on one resident
batch; fastai and Keras join in where they are installed (``--fastai PYTHON``, ``--keras PYTHON`` name an interpreter
that has them). All flip and shift by up to 4 pixels, in batches of 128. Exit status 1: a target was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
BATCH, WARM, STEPS = 128, 15, 60  # batches that are not counted, and that are
SHIFT = 4  # pixels
TARGETS = {"plain": 5.0, "fastai": 5.0, "keras": 2.0, "resident": 0.9}  # ours ÷ theirs, at least


def counted(step: Callable[[], object]) -> float:
    """Pictures per second of a step on BATCH pictures, once it is warm."""
    for _ in range(WARM):
        step()
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * BATCH / (time.perf_counter() - started)


def ours(name: str) -> float:
    """The product's own loop with its defaults, through the events it gives."""
    from imgrec.data import open_dataset
    from imgrec.recipe import Recipe
    from imgrec.train import Step, Training

    dataset = open_dataset(name)
    shift = SHIFT / dataset.image_size
    recipe = Recipe(
        dataset=name, batch_size=BATCH, augment=f"flip_horizontal=0.5,shift={shift}", epochs=2, optimiser="adamw"
    )
    steps = (event for event in Training(recipe, dataset).fit() if isinstance(event, Step))
    return counted(lambda: next(steps))


def resident(name: str) -> float:
    """Our network on one batch that never changes, in the precision that our loop chooses: the most there is to reach."""
    import torch

    from imgrec.data import open_dataset
    from imgrec.recipe import Recipe
    from imgrec.train import Training

    training = Training(Recipe(dataset=name, batch_size=BATCH, epochs=15), open_dataset(name))
    batch = torch.arange(BATCH)
    inputs, labels = training.inputs(batch, 0), training.train.labels[batch]
    model, optimiser = training.model.train(), torch.optim.AdamW(training.model.parameters())

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(model(inputs).float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return counted(step)


def plain(place: str) -> float:
    """What tutorials teach: ImageFolder, torchvision's transforms picture by picture, two workers, float32."""
    import torch
    from torch import nn
    from torchvision import datasets, transforms

    change = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(32, padding=SHIFT),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.25,) * 3),
        ]
    )
    loader = iter(torch.utils.data.DataLoader(datasets.ImageFolder(place, change), BATCH, shuffle=True, num_workers=2))
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4096, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters())

    def step() -> None:
        images, labels = next(loader)
        loss = nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return counted(step)


FASTAI = """
import io, json, sys, time, torch
from pathlib import Path
from fastai.vision.all import *
from fastai.callback.core import Callback
place, batch, warm, steps = Path(sys.argv[1]), *map(int, sys.argv[2:5])
class Clock(Callback):
    count = 0
    def after_batch(self):
        if not self.training: return
        self.count += 1
        if self.count == warm: self.began = time.perf_counter()
        if self.count == warm + steps:
            print(json.dumps(steps * batch / (time.perf_counter() - self.began))); raise CancelFitException()
loaders = ImageDataLoaders.from_folder(place, valid_pct=0.01, bs=batch, num_workers=2, item_tfms=RandomCrop(32),
    batch_tfms=[Flip(), Normalize.from_stats((0.5,) * 3, (0.25,) * 3)])
model = torch.nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
    nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4096, 128), nn.ReLU(), nn.Linear(128, 10))
learner = Learner(loaders, model, loss_func=CrossEntropyLossFlat(), cbs=[Clock()])
with learner.no_bar(), learner.no_logging(): learner.fit(1)
"""

KERAS = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, tensorflow as tf
place, batch, warm, steps = sys.argv[1], *map(int, sys.argv[2:5])
data = keras.utils.image_dataset_from_directory(place, image_size=(32, 32), batch_size=batch, verbose=0)
data = data.map(lambda x, y: (x / 255, y), tf.data.AUTOTUNE).cache().repeat().prefetch(tf.data.AUTOTUNE)
layers = keras.layers
model = keras.Sequential([layers.Input((32, 32, 3)), layers.RandomFlip("horizontal"), layers.RandomTranslation(0.125, 0.125),
    layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D(), layers.Conv2D(64, 3, padding="same", activation="relu"),
    layers.MaxPooling2D(), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)])
model.compile("adamw", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(data, steps_per_epoch=200, epochs=1, verbose=0)
began = time.perf_counter()
model.fit(data, steps_per_epoch=steps * 3, epochs=1, verbose=0)
print(json.dumps(3 * steps * batch / (time.perf_counter() - began)))
"""


def unpack(name: str, place: Path) -> None:
    """Training pictures as they came, in a folder per class, which the others read."""
    from imgrec.data import open_dataset, original

    dataset = open_dataset(name)
    for position in dataset.indices("train")[:: max(1, len(dataset.indices("train")) // 12_000)].tolist():
        folder = place / str(int(dataset.labels[position]))
        folder.mkdir(parents=True, exist_ok=True)
        content = original(name, position)
        (folder / f"{position}.{'png' if content.startswith(bytes([0x89])) else 'jpg'}").write_bytes(content)


def measured(command: list[str], **environment: str) -> float:
    """What a process of its own prints last: pictures per second."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> int:
    """Take turns, print medians and spread, and the ratios."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fastai", help="a Python that has fastai")
    parser.add_argument("--keras", help="a Python that has TensorFlow and Keras")
    parser.add_argument("--one", choices=("ours", "plain", "resident"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps({"ours": ours, "resident": resident, "plain": plain}[options.one](options.dataset)))
        return 0
    with tempfile.TemporaryDirectory() as place:
        unpack(options.dataset, Path(place))
        numbers = [place, *map(str, (BATCH, WARM, STEPS))]
        contenders = {
            name: [sys.executable, "-m", "benchmarks.training", source, "--one", name]
            for name, source in (("ours", options.dataset), ("resident", options.dataset), ("plain", place))
        }
        if options.fastai:
            contenders["fastai"] = [options.fastai, "-c", FASTAI, *numbers]
        if options.keras:
            contenders["keras"] = [options.keras, "-c", KERAS, *numbers]
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, command in contenders.items():
                rates[name].append(measured(command))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"  {name:9} {middle[name]:8,.0f} pictures/s  (from {min(values):,.0f} to {max(values):,.0f})")
    met = True
    for name, target in TARGETS.items():
        if name in middle:
            ratio = middle["ours"] / middle[name]
            met &= ratio >= target
            print(f"  ours ÷ {name:9} {ratio:5.2f}   (target: {target})")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
