"""How good the preset ``fast`` is, beside the network and the recipe of airbench94, on the same pictures in one run.

``python -m benchmarks.cifar DATASET --seeds 5`` (an imported CIFAR-10) takes turns: our command line with
``--preset fast``, and K. Jordan's recipe of 2024 (94 % in 2.59 s on an A100: network, Muon, rates, whitening, alternating
flips, six views), written anew here from https://github.com/KellerJordan/cifar10-airbench. Both learn from the same
training pictures in bfloat16 and are judged on the same test pictures. Exit status 1: ours is less accurate on average.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BATCH, EPOCHS = 2000, 8
BIAS_RATE, HEAD_RATE, FILTER_RATE = 0.053, 0.67, 0.24
DECAY = 2e-6 * BATCH
WHITEN_EPOCHS = 3  # in which the first layer's bias learns


def ours(name: str, seed: int) -> tuple[float, float]:
    """Test accuracy and seconds of the whole command."""
    from imgrec.runs import delete_run, open_run

    began = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "imgrec",
        "train",
        "--dataset",
        name,
        "--preset",
        "fast",
        "--seed",
        str(seed),
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, told = time.perf_counter() - began, json.loads(done.stdout.strip().splitlines()[-1])
    delete_run(open_run(told["run"]))
    return told["test_accuracy"], seconds


def yardstick(name: str, seed: int) -> tuple[float, float]:
    """The same for airbench94's recipe; its clock starts when the pictures are loaded."""
    import torch
    from torch import nn
    from torch.nn import functional

    from imgrec.data import open_dataset

    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = open_dataset(name)
    pixels, labels = {}, {}
    for split in ("train", "test"):
        where = dataset.indices(split)
        pixels[split] = torch.from_numpy(dataset.images[where]).to(device).permute(0, 3, 1, 2).float() / 255
        labels[split] = torch.from_numpy(dataset.labels[where]).to(device)
    began = time.perf_counter()
    mean = torch.tensor((0.4914, 0.4822, 0.4465), device=device)[:, None, None]
    deviation = torch.tensor((0.2470, 0.2435, 0.2616), device=device)[:, None, None]
    train, test = ((pixels[split] - mean) / deviation for split in ("train", "test"))

    def norm(maps: int) -> nn.BatchNorm2d:
        layer = nn.BatchNorm2d(maps, eps=1e-12, momentum=0.4)
        layer.weight.requires_grad_(False)
        return layer

    def conv(before: int, maps: int) -> nn.Conv2d:
        layer = nn.Conv2d(before, maps, 3, padding="same", bias=False)
        nn.init.dirac_(layer.weight.data[:before])
        return layer

    def group(before: int, maps: int) -> list[nn.Module]:
        return [conv(before, maps), nn.MaxPool2d(2), norm(maps), nn.GELU(), conv(maps, maps), norm(maps), nn.GELU()]

    whiten = nn.Conv2d(3, 24, 2)
    body = nn.Sequential(nn.GELU(), *group(24, 64), *group(64, 256), *group(256, 256), nn.MaxPool2d(3), nn.Flatten())
    head = nn.Linear(256, 10, bias=False)
    head.weight.data.div_(head.weight.data.std())
    network = nn.Sequential(whiten, body, head).to(device, memory_format=torch.channels_last)
    whiten.weight.requires_grad_(False)
    patches = functional.unfold(train[:5000], 2).transpose(1, 2).flatten(0, 1)
    values, vectors = torch.linalg.eigh((patches.T @ patches / len(patches)).cpu())
    filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2)
    whiten.weight.data.copy_(torch.cat([filters, -filters]))

    def answer(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return network(images.contiguous(memory_format=torch.channels_last)).float() / 256

    matrices = [p for p in body.parameters() if p.ndim == 4]
    biases = [p for layer in body if isinstance(layer, nn.BatchNorm2d) for p in (layer.bias,)]
    rest = torch.optim.SGD(
        [
            {"params": [whiten.bias], "first": BIAS_RATE, "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
            {"params": biases, "first": BIAS_RATE, "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
            {"params": [head.weight], "first": HEAD_RATE, "lr": HEAD_RATE, "weight_decay": DECAY / HEAD_RATE},
        ],
        lr=BIAS_RATE, momentum=0.85, nesterov=True,
    )  # fmt: skip
    moments = [torch.zeros_like(p) for p in matrices]

    def turned(gradient: torch.Tensor) -> torch.Tensor:
        x = gradient.flatten(1).bfloat16()
        x = x / (x.norm() + 1e-7)
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        for _ in range(3):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return (x.T if tall else x).reshape(gradient.shape).to(gradient.dtype)

    mirrored = torch.rand(len(train), device=device) < 0.5
    base = torch.where(mirrored[:, None, None, None], train.flip(3), train)
    grown = functional.pad(base, (2, 2, 2, 2), "reflect")
    steps, step = len(train) // BATCH, 0
    for epoch in range(EPOCHS):
        network.train()
        order = torch.randperm(len(train), device=device)
        offsets = torch.randint(0, 5, (len(train), 2), device=device)
        at = torch.arange(32, device=device)
        for batch in order[: steps * BATCH].split(BATCH):
            rows, columns = ((offsets[batch, axis, None] + at) for axis in (0, 1))
            images = grown[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
            images = images.flip(3) if epoch % 2 else images  # every other epoch the other side
            loss = functional.cross_entropy(
                answer(images), labels["train"][batch], label_smoothing=0.2, reduction="sum"
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
    hits = 0
    with torch.no_grad():
        for images, truth in zip(test.split(500), labels["test"].split(500), strict=True):
            wide = functional.pad(images, (1, 1, 1, 1), "reflect")
            moved = (wide[:, :, :32, :32], wide[:, :, 2:, 2:])
            logits = 0.5 * both(answer, images) + 0.25 * sum(both(answer, view) for view in moved)
            hits += int((logits.argmax(1) == truth).sum())
    return hits / len(test), time.perf_counter() - began


def both(answer, images):
    """The mean of the answers for pictures and their mirror images."""
    return (answer(images) + answer(images.flip(3))) / 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(yardstick(options.dataset, options.one)))
        return 0
    results: dict[str, list[tuple[float, float]]] = {"ours": [], "yardstick": []}
    for seed in range(options.first, options.first + options.seeds):
        results["ours"].append(ours(options.dataset, seed))
        command = [sys.executable, "-m", "benchmarks.cifar", options.dataset, "--one", str(seed)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        results["yardstick"].append(tuple(json.loads(done.stdout.strip().splitlines()[-1])))
        for name, pairs in results.items():
            print(f"  seed {seed}  {name:9} {pairs[-1][0]:.2%} in {pairs[-1][1]:.0f} s", flush=True)
    means = {}
    for name, pairs in results.items():
        accuracies, seconds = zip(*pairs, strict=True)
        means[name] = statistics.mean(accuracies)
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        print(f"  {name:9} {means[name]:.2%} ± {spread:.2%} in {statistics.median(seconds):.0f} s")
    return 0 if means["ours"] >= means["yardstick"] else 1


if __name__ == "__main__":
    sys.exit(main())
