"""How fast the training loop is, beside what people would pick instead, on one machine.

``python -m benchmarks.training DATASET`` (an imported set, such as cifar10) takes turns between our loop, a plain loop of
torchvision transforms and a DataLoader, and a loop that does nothing but forward, backward and step on one resident
batch; fastai and Keras join in where they are installed (``--fastai PYTHON``, ``--keras PYTHON`` name an interpreter
that has them). All train the seed CNN on 32-pixel pictures, flip and shift by up to 4 pixels, in batches of 128.

``--photos`` trains ResNet-18 on 224-pixel pictures in batches of 32 instead. ``--accuracy`` trains ours and the plain
loop for six epochs each from ``--seeds`` seeds and compares their test accuracy and their time. Of photos, ours trains for
four epochs only, with pictures that begin with half their side and grow, and the plain loop is tested after each epoch,
outside its time: when is it as accurate as ours at its end? Exit status 1: a target was missed.
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
from dataclasses import dataclass
from pathlib import Path

from imgrec.jobs import ENVIRONMENT

ROOT = Path(__file__).parent.parent
BATCH, WARM, STEPS = 128, 15, 60  # batches that are not counted, and that are
TARGETS = {"plain": 5.0, "fastai": 5.0, "keras": 2.0, "resident": 0.9}  # ours ÷ theirs, at least
EPOCHS, FEWER, SEEDS, NOISE = 6, 4, 3, 0.01  # to compare accuracies; how far they may be apart


@dataclass(frozen=True)
class Task:
    """What is trained. ``shift`` in pixels."""

    model: str
    size: int
    shift: int
    batch: int
    warm: int
    steps: int

    def counted(self, step: Callable[[], object]) -> float:
        """Pictures per second of a step, once it is warm."""
        for _ in range(self.warm):
            step()
        started = time.perf_counter()
        for _ in range(self.steps):
            step()
        return self.steps * self.batch / (time.perf_counter() - started)


SMALL = Task("seed-cnn", 32, 4, BATCH, WARM, STEPS)
PHOTOS = Task("resnet18", 224, 16, 32, 2, 8)


Whole = list[
    tuple[float, float]
]  # of a whole training: test accuracy and seconds so far, at its end or after each epoch


def ours(name: str, task: Task, seed: int | None = None, **settings: float) -> float | Whole:
    """The product's own loop with its defaults, through the events it gives (small pictures at the rate of the others); with a
    seed, a whole training, of EPOCHS epochs unless ``settings`` say otherwise."""
    from imgrec.data import open_dataset
    from imgrec.evaluate import evaluate
    from imgrec.predict import Predictor
    from imgrec.recipe import Recipe
    from imgrec.train import Step, Training

    dataset = open_dataset(name, task.size)
    as_others = {"learning_rate": 0.001, "schedule": "constant"} if task is SMALL else {}
    recipe = Recipe(
        dataset=name, model=task.model, image_size=task.size, batch_size=task.batch, seed=seed or 0, optimiser="adamw",
        augment=f"flip_horizontal=0.5,shift={task.shift / task.size}",
        **{"epochs": 2 if seed is None else EPOCHS, **as_others, **settings},
    )  # fmt: skip
    training = Training(recipe, dataset)
    steps = (event for event in training.fit() if isinstance(event, Step))
    if seed is None:
        return task.counted(lambda: next(steps))
    began = time.perf_counter()
    for _ in steps:
        pass
    seconds = time.perf_counter() - began
    return [(evaluate(Predictor(training.averaged, training.passport), dataset)["accuracy"], seconds)]


def growing(name: str, task: Task, seed: int) -> Whole:
    """Ours, with pictures that grow, and fewer passes over them."""
    return ours(name, task, seed, epochs=FEWER, start_small=0.5)


def resident(name: str, task: Task) -> float:
    """Our network on one batch that never changes, in the precision that our loop chooses: the most there is to reach."""
    import torch

    from imgrec.data import open_dataset
    from imgrec.recipe import Recipe
    from imgrec.train import Training

    recipe = Recipe(dataset=name, model=task.model, image_size=task.size, batch_size=task.batch, epochs=15)
    training = Training(recipe, open_dataset(name, task.size))
    batch = torch.arange(task.batch)
    inputs, labels = training.inputs(batch, 0), training.train.labels[batch]
    model, optimiser = training.model.train(), torch.optim.AdamW(training.model.parameters())

    def step() -> None:
        with training.precision.autocast():
            loss = torch.nn.functional.cross_entropy(model(inputs).float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return task.counted(step)


def plain(place: str, task: Task, seed: int | None = None) -> float | Whole:
    """What tutorials teach: ImageFolder, torchvision's transforms picture by picture, two workers, float32."""
    import torch
    from torch import nn
    from torchvision import datasets, models, transforms

    torch.manual_seed(seed or 0)
    fit = [transforms.Resize(task.size), transforms.CenterCrop(task.size)] if task is PHOTOS else []
    finish = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)]
    vary = [transforms.RandomHorizontalFlip(), transforms.RandomCrop(task.size, padding=task.shift)]
    folder = datasets.ImageFolder(str(Path(place) / "train"), transforms.Compose([*fit, *vary, *finish]))
    loader = torch.utils.data.DataLoader(folder, task.batch, shuffle=True, num_workers=2)
    if task is PHOTOS:
        model = models.resnet18(num_classes=len(folder.classes))
    else:
        model = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(4096, 128), nn.ReLU(), nn.Linear(128, len(folder.classes)),
        )  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters())

    def learn(images: torch.Tensor, labels: torch.Tensor) -> None:
        loss = nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    if seed is None:
        batches = iter(loader)
        return task.counted(lambda: learn(*next(batches)))
    test = datasets.ImageFolder(str(Path(place) / "test"), transforms.Compose([*fit, *finish]))
    known, seconds = torch.utils.data.DataLoader(test, 128), 0.0
    after: Whole = []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        for images, labels in loader:
            learn(images, labels)
        seconds += time.perf_counter() - began
        model.eval()
        with torch.no_grad():
            hits = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in known)
        model.train()
        after.append((hits / len(test), seconds))
    return after


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


def unpack(name: str, place: Path, splits: tuple[str, ...], most: int = 0) -> None:
    """Pictures as they came, in a folder per split and class, which the others read."""
    from imgrec.data import open_dataset, original

    dataset = open_dataset(name)
    for split in splits:
        where = dataset.indices(split)
        for position in where[:: max(1, len(where) // most) if most else 1].tolist():
            folder = place / split / str(int(dataset.labels[position]))
            folder.mkdir(parents=True, exist_ok=True)
            content = original(name, position)
            (folder / f"{position}.{'png' if content.startswith(bytes([0x89])) else 'jpg'}").write_bytes(content)


def measured(command: list[str], **environment: str):
    """What a process of its own prints last: pictures per second, or accuracy and seconds."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(options: argparse.Namespace, place: str) -> bool:
    """Take turns, print medians and spread, and the ratios; whether all targets were met."""
    photos = ["--photos"] if options.photos else []
    contenders = {
        name: [sys.executable, "-m", "benchmarks.training", source, "--one", name, *photos]
        for name, source in (("ours", options.dataset), ("resident", options.dataset), ("plain", place))
    }
    numbers = [str(Path(place) / "train"), *map(str, (BATCH, WARM, STEPS))]
    if options.fastai:
        contenders["fastai"] = [options.fastai, "-c", FASTAI, *numbers]
    if options.keras:
        contenders["keras"] = [options.keras, "-c", KERAS, *numbers]
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, command in contenders.items():
            own = ENVIRONMENT if name in ("ours", "resident") else {}  # as the product begins its trainings
            rates[name].append(measured(command, **own))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"  {name:9} {middle[name]:8,.0f} pictures/s  (from {min(values):,.0f} to {max(values):,.0f})")
    met = True
    for name, target in {**TARGETS, "plain": 4.0 if options.photos else TARGETS["plain"]}.items():
        if name in middle:
            ratio = middle["ours"] / middle[name]
            met &= ratio >= target
            print(f"  ours ÷ {name:9} {ratio:5.2f}   (target: {target})")
    return met


def accuracy(options: argparse.Namespace, place: str) -> bool:
    """Whether ours and the plain loop learn equally well, from several seeds, and how long they take."""
    sources = {"growing" if options.photos else "ours": options.dataset, "plain": place}
    found: dict[str, list[Whole]] = {name: [] for name in sources}
    for seed in range(options.seeds):
        for name, source in sources.items():
            command = [sys.executable, "-m", "benchmarks.training", source, "--one", name, "--seed", str(seed)]
            found[name].append(measured(command + ["--photos"] * options.photos))
    means = {}
    for name, runs in found.items():
        ends = [run[-1] for run in runs]
        means[name], seconds = (statistics.mean(column) for column in zip(*ends, strict=True))
        each = ", ".join(f"{share:.2%}" for share, _ in ends)
        print(f"  {name:8} {means[name]:.2%}  ({each}), {seconds:,.0f} s")
    for mine, theirs in zip(next(iter(found.values())), found["plain"], strict=True):
        [(share, seconds)] = mine
        sooner = next(
            (f"in {then / seconds:.2f} times as long" for other, then in theirs if other >= share - NOISE), None
        )
        never = f"not yet in {theirs[-1][1] / seconds:.2f} times as long"
        after = ", ".join(f"{other:.1%}" for other, _ in theirs)
        print(f"  {share:.2%} in {seconds:,.0f} s; plain ({after}) as accurate {sooner or never}")
    return all(share > means["plain"] - NOISE for share in means.values())


def main() -> int:
    """Compare speeds, or accuracies."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", action="store_true", help="ResNet-18 at 224 pixels")
    parser.add_argument("--accuracy", action="store_true", help="compare accuracies, not speeds")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--fastai", help="a Python that has fastai")
    parser.add_argument("--keras", help="a Python that has TensorFlow and Keras")
    parser.add_argument("--one", choices=("ours", "plain", "resident", "growing"), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        task = PHOTOS if options.photos else SMALL
        seed = () if options.one == "resident" else (options.seed,)
        contenders = {"ours": ours, "resident": resident, "plain": plain, "growing": growing}
        print(json.dumps(contenders[options.one](options.dataset, task, *seed)))
        return 0
    with tempfile.TemporaryDirectory() as place:
        if options.accuracy:
            unpack(options.dataset, Path(place), ("train", "test"))
            return 0 if accuracy(options, place) else 1
        unpack(options.dataset, Path(place), ("train",), 12_000)
        return 0 if compare(options, place) else 1


if __name__ == "__main__":
    sys.exit(main())
