"""How good and how quick the preset ``fast`` is, beside the network and the recipe of airbench94, on the same pictures.

``python -m benchmarks.cifar DATASET --seeds 5`` (an imported CIFAR-10) takes turns: our command line with
``--preset fast``, and K. Jordan's recipe of 2024 (94 % in 2.59 s on an A100: network, Muon, rates, whitening, alternating
flips, six views), written anew here from https://github.com/KellerJordan/cifar10-airbench. Both learn from the same
training pictures and are judged on the same test pictures; every training is a process of its own. ``--warm`` counts as
airbench does: in one process, after a training of each that does not count, from pictures in the memory (ours) or on the
device (airbench's) to answers for all test pictures, looks at validation pictures left out; on a GPU airbench's network is in float16 and compiled, as it is
there. Exit status 1: ours is less accurate on average.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
BATCH, EPOCHS = 2000, 8
BIAS_RATE, HEAD_RATE, FILTER_RATE = 0.053, 0.67, 0.24
DECAY = 2e-6 * BATCH
WHITEN_EPOCHS = 3  # in which the first layer's bias learns
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def ours(name: str, seed: int, changes: list[str]) -> tuple[float, float]:
    """Test accuracy and seconds of the whole command."""
    from imgrec.runs import delete_run, open_run

    began = time.perf_counter()
    command = [sys.executable, "-m", "imgrec", "train", "--dataset", name, "--preset", "fast", "--seed", str(seed)]
    done = subprocess.run([*command, *changes, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, told = time.perf_counter() - began, json.loads(done.stdout.strip().splitlines()[-1])
    delete_run(open_run(told["run"]))
    return told["test_accuracy"], seconds


def ours_warm(name: str, changes: list[str]) -> Callable[[int], tuple[float, float]]:
    """The same without starting, files and looks at validation pictures: what `imgrec.train` and `imgrec.predict` take."""
    import numpy as np

    from imgrec import hardware
    from imgrec.data import open_dataset
    from imgrec.predict import Predictor
    from imgrec.recipe import Recipe
    from imgrec.train import Epoch, Training

    values = dict(zip((flag.removeprefix("--").replace("-", "_") for flag in changes[::2]), changes[1::2], strict=True))
    first = Recipe.from_values({"dataset": name}, "fast")
    values = {key: type(getattr(first, key))(value) for key, value in values.items()}
    dataset = open_dataset(name, first.image_size, first.resize)
    where = dataset.indices("test")
    test, labels = np.ascontiguousarray(dataset.images[where]), dataset.labels[where]

    def learn(seed: int) -> tuple[float, float]:
        began = time.perf_counter()
        training = Training(Recipe.from_values({"dataset": name, "seed": seed, **values}, "fast"), dataset)
        hardware.wait(training.device)
        seconds = time.perf_counter() - began
        seconds += sum(event.seconds for event in training.fit() if isinstance(event, Epoch))
        began = time.perf_counter()
        predictor = Predictor(training.model, training.passport, device=str(training.device))
        right = (predictor.probabilities(test).argmax(1) == labels).mean()
        return float(right), seconds + time.perf_counter() - began

    return learn


def yardstick(name: str) -> Callable[[int], tuple[float, float]]:
    """The same for airbench94's recipe; its clock starts when the pictures are on the device."""
    import torch
    from torch import nn
    from torch.nn import functional

    from imgrec import hardware
    from imgrec.data import open_dataset

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    kind = torch.float16 if on_gpu else torch.float32
    dataset = open_dataset(name)
    pixels, labels = {}, {}
    for split in ("train", "test"):
        where = dataset.indices(split)
        images = torch.from_numpy(dataset.images[where]).to(device)
        pixels[split] = (images.to(kind) / 255).permute(0, 3, 1, 2)  # channels last
        labels[split] = torch.from_numpy(dataset.labels[where]).to(device)
    mean, deviation = (torch.tensor(values, device=device, dtype=kind)[:, None, None] for values in (MEAN, DEVIATION))

    def norm(maps: int) -> nn.BatchNorm2d:
        layer = nn.BatchNorm2d(maps, eps=1e-12, momentum=0.4)
        layer.weight.requires_grad_(False)
        return layer

    def conv(before: int, maps: int) -> nn.Conv2d:
        return nn.Conv2d(before, maps, 3, padding="same", bias=False).to(kind)

    def group(before: int, maps: int) -> list[nn.Module]:
        return [conv(before, maps), nn.MaxPool2d(2), norm(maps), nn.GELU(), conv(maps, maps), norm(maps), nn.GELU()]

    whiten = nn.Conv2d(3, 24, 2).to(kind)
    whiten.weight.requires_grad_(False)
    body = nn.Sequential(nn.GELU(), *group(24, 64), *group(64, 256), *group(256, 256), nn.MaxPool2d(3), nn.Flatten())
    head = nn.Linear(256, 10, bias=False).to(kind)
    network = nn.Sequential(whiten, body, head).to(device, memory_format=torch.channels_last)
    if on_gpu:
        network.compile(mode="max-autotune")
    matrices = [p for p in body.parameters() if p.ndim == 4]
    biases = [layer.bias for layer in body if isinstance(layer, nn.BatchNorm2d)]

    def answer(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=not on_gpu and hardware.knows_bfloat16(device)):
            return network(images.contiguous(memory_format=torch.channels_last)) / 256

    def turned(gradient: torch.Tensor) -> torch.Tensor:
        x = gradient.flatten(1).bfloat16()
        x = x / (x.norm() + 1e-7)
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        for _ in range(3):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return (x.T if tall else x).reshape(gradient.shape).to(gradient.dtype)

    turned = torch.compile(turned) if on_gpu else turned

    def reset() -> None:
        for layer in network.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        with torch.no_grad():
            for weight in matrices:
                nn.init.dirac_(weight[: weight.shape[1]])
            head.weight.div_(head.weight.std())

    def learn(seed: int) -> tuple[float, float]:
        torch.manual_seed(seed)
        torch.backends.cudnn.benchmark = on_gpu  # as there; ours does without
        reset()
        rest = torch.optim.SGD(
            [
                {"params": [whiten.bias], "first": BIAS_RATE, "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
                {"params": biases, "first": BIAS_RATE, "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
                {"params": [head.weight], "first": HEAD_RATE, "lr": HEAD_RATE, "weight_decay": DECAY / HEAD_RATE},
            ],
            lr=BIAS_RATE, momentum=0.85, nesterov=True, fused=True,
        )  # fmt: skip
        moments = [torch.zeros_like(p) for p in matrices]
        hardware.wait(device)
        began = time.perf_counter()
        train = (pixels["train"] - mean) / deviation
        windows = train[:5000].float().unfold(2, 2, 1).unfold(3, 2, 1)
        patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2)
        whiten.weight.data.copy_(torch.cat([filters, -filters]))
        mirrored = torch.rand(len(train), device=device) < 0.5
        base = torch.where(mirrored[:, None, None, None], train.flip(3), train)
        grown = functional.pad(base, (2, 2, 2, 2), "reflect").permute(0, 2, 3, 1).contiguous()
        steps, step = len(train) // BATCH, 0
        for epoch in range(EPOCHS):
            network.train()
            order = torch.randperm(len(train), device=device)
            offsets = torch.randint(0, 5, (len(train), 2), device=device)
            at = torch.arange(32, device=device)
            for batch in order[: steps * BATCH].split(BATCH):
                rows, columns = ((offsets[batch, axis, None] + at) for axis in (0, 1))
                images = grown[batch[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
                images = images.flip(3) if epoch % 2 else images  # every other epoch the other side
                loss = functional.cross_entropy(
                    answer(images).float(), labels["train"][batch], label_smoothing=0.2, reduction="sum"
                )
                network.zero_grad(set_to_none=True)
                loss.backward()
                left = 1 - step / (EPOCHS * steps)
                for number, part in enumerate(rest.param_groups):
                    part["lr"] = part["first"] * (left if number else max(0.0, 1 - step / (WHITEN_EPOCHS * steps)))
                if step >= WHITEN_EPOCHS * steps:
                    whiten.bias.grad = None
                rest.step()
                with torch.no_grad():
                    for weight, moment in zip(matrices, moments, strict=True):
                        moment.mul_(0.6).add_(weight.grad)
                        ahead = weight.grad.add(moment, alpha=0.6)
                        weight.mul_(len(weight) ** 0.5 / weight.norm())
                        weight.add_(turned(ahead), alpha=-FILTER_RATE * left)
                step += 1
        network.eval()
        hits = torch.zeros((), device=device, dtype=torch.long)
        test = (pixels["test"] - mean) / deviation
        with torch.no_grad():
            for images, truth in zip(test.split(BATCH), labels["test"].split(BATCH), strict=True):
                wide = functional.pad(images, (1, 1, 1, 1), "reflect")
                logits = 0.5 * both(answer, images)
                for moved in (wide[:, :, :32, :32], wide[:, :, 2:, 2:]):
                    logits = logits + 0.25 * both(answer, moved)
                hits += (logits.argmax(1) == truth).sum()
        torch.backends.cudnn.benchmark = False
        return int(hits) / len(test), time.perf_counter() - began

    return learn


def both(answer, images):
    """The mean of the answers for pictures and their mirror images."""
    return (answer(images).clone() + answer(images.flip(3)).clone()) / 2


def taking_turns(options: argparse.Namespace, changes: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Accuracy and seconds of each training, ours and the yardstick's one after the other for every seed."""
    seeds = range(options.first, options.first + options.seeds)
    if options.warm:
        takers = {"ours": ours_warm(options.dataset, changes), "yardstick": yardstick(options.dataset)}
        for name, learn in takers.items():
            print(f"  warming up {name}: {learn(1000)[1]:.1f} s", flush=True)
    else:
        takers = {
            "ours": lambda seed: ours(options.dataset, seed, changes),
            "yardstick": lambda seed: alone(options.dataset, seed),
        }
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in takers}
    for seed in seeds:
        for name, learn in takers.items():
            results[name].append(learn(seed))
            print(f"  seed {seed}  {name:9} {results[name][-1][0]:.2%} in {results[name][-1][1]:.2f} s", flush=True)
    return results


def alone(name: str, seed: int) -> tuple[float, float]:
    """The yardstick in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.cifar", name, "--one", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="Anything else is for our training.")
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--warm", action="store_true", help="one process, the first training of each does not count")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options, changes = parser.parse_known_args()
    if options.one is not None:
        print(json.dumps(yardstick(options.dataset)(options.one)))
        return 0
    means = {}
    for name, pairs in taking_turns(options, changes).items():
        accuracies, seconds = zip(*pairs, strict=True)
        means[name] = statistics.mean(accuracies)
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        middle, least, most = statistics.median(seconds), min(seconds), max(seconds)
        print(f"  {name:9} {means[name]:.2%} ± {spread:.2%} in {middle:.2f} s ({least:.2f} to {most:.2f})")
    return 0 if means["ours"] >= means["yardstick"] else 1


if __name__ == "__main__":
    sys.exit(main())
