"""What the layers save that take torch's place while a CPU learns in bfloat16: small maps side by side, depthwise filters in
float32, gradients in the order of their pictures.

``python -m benchmarks.layers`` takes turns between each network as it is built and the same with torch's own layers: forward
and backward for batches of 32 pictures, median seconds. Without AMX and bfloat16 there is little to see.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

from imgrec import hardware
from imgrec.models import build
from imgrec.models.shelf import QUICKER

CASES = (
    ("resnet18", 64), ("resnet18", 128), ("resnet18", 224), ("resnet50", 64), ("mobilenet-v2", 64), ("mobilenet-v2", 224),
    ("mobilenet-v3-small", 64), ("efficientnet-b0", 64), ("convnext-tiny", 64),
)  # fmt: skip
BATCH, WARM, ROUNDS, STEPS = 32, 2, 7, 2


def torchs(name: str, size: int) -> nn.Module:
    """The network with torch's own layers."""
    network, before = build(name, 10, 3, size), {ours: torchs for torchs, ours in QUICKER.items()}
    for layer in network.modules():
        layer.__class__ = before.get(type(layer), type(layer))
    return network


def seconds(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Of a pass forward and backward."""
    began = time.perf_counter()
    for _ in range(STEPS):
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = functional.cross_entropy(network(images).float(), labels)
        loss.backward()
    return (time.perf_counter() - began) / STEPS


def compared(case: tuple[str, int]) -> tuple[float, float]:
    """Median seconds of the network as it is built, and with torch's own layers."""
    hardware.keep_memory()
    (name, size), labels = case, torch.arange(BATCH) % 10
    images = torch.randn(BATCH, 3, size, size).contiguous(memory_format=torch.channels_last)
    both = [
        made.to(memory_format=torch.channels_last).train() for made in (build(name, 10, 3, size), torchs(name, size))
    ]
    times = [[seconds(network, images, labels) for network in both] for _ in range(WARM + ROUNDS)][WARM:]
    return tuple(statistics.median(column) for column in zip(*times, strict=True))


def main() -> None:
    """Print each network's times and their ratio."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:  # memory for one network only
        for (name, size), (ours, theirs) in zip(CASES, fresh.imap(compared, CASES, 1), strict=True):
            print(
                f"  {name:20} {size:4} px  {1000 * ours:7.0f} ms, with torch's layers {1000 * theirs:7.0f}: "
                f"{theirs / ours:.2f} times"
            )


if __name__ == "__main__":
    main()
