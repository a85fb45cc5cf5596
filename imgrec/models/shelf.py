"""What a model on the shelf is: a card with its story, and a builder. The networks themselves are in the files beside."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from imgrec.hooks import listening
from imgrec.language import listed, tr
from imgrec.models.convolution import Conv2d
from imgrec.models.layout import AdaptiveAvgPool2d, Flatten
from imgrec.models.relu import ReLU
from imgrec.recipe import RecipeError

# Layers of torch, and ours with the same results.
QUICKER = {nn.Conv2d: Conv2d, nn.AdaptiveAvgPool2d: AdaptiveAvgPool2d, nn.Flatten: Flatten, nn.ReLU: ReLU}


class ModelError(RecipeError):
    """A model that is unknown or cannot be built as asked; the message says what to change."""


@dataclass(frozen=True)
class Card:
    """A model's story and how to build it.

    ``build(classes, channels, size)`` gives a network from normalised pictures (N, channels, size, size) to logits
    (N, classes); its last layer is called ``head``. ``explains`` names the layer whose maps Grad-CAM reads, or is None.
    """

    name: str
    title: str
    year: int
    paper: str
    idea: str
    build: Callable[[int, int, int], nn.Module]
    smallest: int = 1  # picture size in pixels
    explains: str | None = None
    pretrained: bool = False  # whether torchvision has ImageNet weights for it


SHELF: dict[str, Card] = {}


def register(name: str, **story) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Put a network on the shelf under ``name``; ``story`` is the rest of its Card."""

    def add(network: type[nn.Module]) -> type[nn.Module]:
        SHELF[name] = Card(name=name, build=network, **story)
        return network

    return add


def card(name: str) -> Card:
    """The card of that name; ``custom:LAYERS`` makes one. Raises ModelError with close matches."""
    if name.startswith("custom:"):
        from imgrec.models.custom import custom  # it builds on this file

        return custom(name)
    if name not in SHELF:
        close = [near for near in SHELF if name and near.startswith(name)] or difflib.get_close_matches(
            name, SHELF, n=3
        )
        raise ModelError(
            tr(
                "There is no model {name!r}; did you mean {close}?"
                if close
                else "There is no model {name!r}; choose one of {close}.",
                name=name,
                close=listed(close or SHELF),
            )
        )
    return SHELF[name]


def build(name: str, classes: int, channels: int, size: int, seed: int = 0) -> nn.Module:
    """The network with weights drawn from ``seed``; the caller's random state stays as it was. Raises ModelError."""
    chosen = card(name)
    if size < chosen.smallest:
        raise ModelError(
            tr(
                "{title} needs pictures of at least {smallest} pixels; these have {size}. Set image_size.",
                title=chosen.title,
                smallest=chosen.smallest,
                size=size,
            )
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = chosen.build(classes, channels, size)
    for layer in network.modules():
        layer.__class__ = QUICKER.get(type(layer), type(layer))  # weights and names stay
    return network


def layers(name: str, classes: int, channels: int, size: int) -> list[dict[str, str | int]]:
    """What every layer gives for one picture, in the order they come: [{"layer", "shape", "parameters"}], without numbers;
    ours go by the names of the torch layers they are.

    An attention is one layer: it reads the weights of the dense layers inside it, and does not call them.
    """
    rows: list[dict[str, str | int]] = []

    def note(layer: nn.Module, _: object, given: object) -> None:
        given = given[0] if isinstance(given, tuple) else given  # nn.MultiheadAttention also gives who heeded whom
        if isinstance(given, torch.Tensor):
            learned = sum(weights.numel() for weights in layer.parameters())
            kind = next(kind.__name__ for kind in type(layer).__mro__ if not kind.__module__.startswith("imgrec"))
            rows.append({"layer": kind, "shape": list(given.shape[1:]), "parameters": learned})

    with torch.device("meta"):
        network = card(name).build(classes, channels, size).eval()
        attentions = [layer for layer in network.modules() if type(layer).__name__.endswith("Attention")]
        inside = {part for attention in attentions for part in attention.modules()}
        leaves = [layer for layer in network.modules() if not any(True for _ in layer.children())]
        heard = [*attentions, *(layer for layer in leaves if layer not in inside)]
        with listening((layer for layer in heard if not isinstance(layer, nn.Identity | nn.Dropout)), note):
            network(torch.empty(1, channels, size, size))
    return rows


def operations(name: str, classes: int, channels: int, size: int) -> int:
    """Multiply-adds for one picture, counted while its shapes run through the network without any numbers."""
    return _operations(name, channels, size) + (classes - 1) * _parameters(name, channels, size)[2]


def parameters(name: str, classes: int, channels: int, size: int, head: bool = False) -> int:
    """How many numbers the network learns, or its last layer alone; computed from its shapes without using memory."""
    every, last, _ = _parameters(name, channels, size)
    return (last if head else every) + (classes - 1) * last


# For one class, since only the last layer grows with their number, and a change of it shall not count all networks anew.


@lru_cache(maxsize=2000)
def _operations(name: str, channels: int, size: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = card(name).build(1, channels, size).eval()
        network(torch.empty(1, channels, size, size))
    return counter.get_total_flops() // 2


@lru_cache(maxsize=2000)
def _parameters(name: str, channels: int, size: int) -> tuple[int, int, int]:
    """Of the network, of its last layer, and of that without the bias."""
    with torch.device("meta"):
        network = card(name).build(1, channels, size)
    return tuple(
        sum(p.numel() for p in part)
        for part in (network.parameters(), network.head.parameters(), [network.head.weight])
    )
