"""A network from a table of layers, as people put it together in the browser: parsed, checked shape by shape, built.

It is written as ``custom:conv 32,relu,max 2,conv 64,relu,max 2,dense 128,relu``; the last dense layer, with one output
per class, is added by itself. Options follow a layer's number: ``conv 32 kernel=5 stride=2 padding=0``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from torch import Tensor, nn

from imgrec.language import listed, mark, tr
from imgrec.models.pooling import MaxPool2d
from imgrec.models.shelf import SHELF, Card, ModelError

PREFIX = "custom:"
EXAMPLE = "conv 32,relu,max 2,conv 64,relu,max 2,dense 128,relu"
MOST_LAYERS, MOST_WEIGHTS = 100, 200_000_000


@dataclass(frozen=True)
class Kind:
    """A row of KINDS: ``make(maps, number, options)`` gives a layer for so many maps (or features) coming in."""

    help: str
    make: Callable[[int, float, dict[str, int]], nn.Module]
    number: tuple[str, float, float, float] | None = None  # what its number is, default, least, most
    options: dict[str, tuple[int, int]] | None = None  # name → least and most
    flat: bool = False  # works on features, not on maps
    both: bool = False  # works on maps and on features


ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
WINDOW = {"kernel": (1, 31), "stride": (1, 16), "padding": (0, 15)}


def _conv(maps: int, number: float, options: dict[str, int]) -> nn.Module:
    kernel = options.get("kernel", 3)
    return nn.Conv2d(maps, int(number), kernel, options.get("stride", 1), options.get("padding", kernel // 2))


def _pool(layer: type[nn.Module]) -> Callable[[int, float, dict[str, int]], nn.Module]:
    return lambda maps, number, options: layer(int(number), options.get("stride", int(number)))


KINDS: dict[str, Kind] = {
    "conv": Kind(mark("Convolution; its number is that of its maps."), _conv, ("maps", 32, 1, 2048), WINDOW),
    "max": Kind(mark("Max pooling: the largest value of each window."), _pool(MaxPool2d), ("window", 2, 1, 16), {"stride": (1, 16)}),
    "avg": Kind(mark("Average pooling: the mean of each window."), _pool(nn.AvgPool2d), ("window", 2, 1, 16), {"stride": (1, 16)}),
    "global": Kind(mark("Average over the whole of each map."), lambda maps, number, options: nn.AdaptiveAvgPool2d(1)),
    "norm": Kind(mark("Batch norm: each map to mean 0 and deviation 1."), lambda maps, number, options: nn.BatchNorm2d(maps)),
    "dropout": Kind(
        mark("Switches a share off while learning."), lambda maps, number, options: nn.Dropout(number), ("share", 0.5, 0, 0.95), both=True,
    ),
    "dense": Kind(
        mark("Every feature to every output."), lambda maps, number, options: nn.Linear(maps, int(number)), ("outputs", 128, 1, 16384),
        flat=True,
    ),
    **{
        name: Kind(mark("Activation."), lambda maps, number, options, layer=layer: layer(), both=True)
        for name, layer in ACTIVATIONS.items()
    },
}  # fmt: skip


class CustomCNN(nn.Module):
    """The layers of a specification, then ``head``. (N, C, S, S) → (N, classes). Raises ModelError."""

    def __init__(self, specification: str, classes: int, channels: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        shape: tuple[int, ...] = (channels, size, size)
        weights = 0.0
        for place, (kind, number, options) in enumerate(parse(specification), 1):
            row, name = KINDS[kind], f"layer {place} ({kind})"
            if row.flat and len(shape) > 1:
                self.layers.append(nn.Flatten())
                shape = (shape[0] * shape[1] * shape[2],)
            if not row.flat and not row.both and len(shape) == 1:
                raise ModelError(
                    tr("{name} works on maps, but a dense layer came before it; put it before that.", name=name)
                )
            weights += _weights(kind, shape[0], number, options)
            if weights > MOST_WEIGHTS:  # before it is made; the file may come from a stranger
                raise ModelError(
                    tr(
                        "With {name} there would be {weights:,.0f} weights; use fewer maps or pool more.",
                        name=name,
                        weights=weights,
                    )
                )
            layer = row.make(shape[0], number, options)
            shape = _after(layer, shape, name)
            self.layers.append(layer)
        if len(shape) > 1:
            self.layers.append(nn.Flatten())
        weights += prod(shape) * classes
        if weights > MOST_WEIGHTS:
            raise ModelError(
                tr(
                    "With the last layer, from {features:,} features to {classes:,} classes, there would be {weights:,.0f} "
                    "weights; use fewer maps or pool more.",
                    features=prod(shape),
                    classes=classes,
                    weights=weights,
                )
            )
        self.head = nn.Linear(prod(shape), classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers(images))


def _weights(kind: str, maps: int, number: float, options: dict[str, int]) -> float:
    if kind not in ("conv", "dense"):
        return 2.0 * maps
    return maps * number * (options.get("kernel", 3) ** 2 if kind == "conv" else 1)


def _after(layer: nn.Module, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """The shape that a layer makes of a shape, computed without numbers."""
    if isinstance(layer, nn.Linear):
        return (layer.out_features,)
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return (shape[0], 1, 1)
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return shape
    pair = [value if isinstance(value, int) else value[0] for value in (layer.kernel_size, layer.stride, layer.padding)]
    kernel, stride, padding = pair
    side = (shape[1] + 2 * padding - kernel) // stride + 1
    if side < 1:
        raise ModelError(
            tr(
                "{name} has a window of {kernel} pixels, but its maps are {shape} × {shape} by then; pool less "
                "before it.",
                name=name,
                kernel=kernel,
                shape=shape[1],
            )
        )
    return (getattr(layer, "out_channels", shape[0]), side, side)


def parse(specification: str) -> list[tuple[str, float, dict[str, int]]]:
    """(kind, number, options) of every layer. Raises ModelError with the place and what was expected."""
    parts = [part.split() for part in specification.split(",") if part.strip()]
    if len(parts) > MOST_LAYERS:
        raise ModelError(
            tr("The network has {parts} layers; give at most {most_layers}.", parts=len(parts), most_layers=MOST_LAYERS)
        )
    return [_layer(place, words) for place, words in enumerate(parts, 1)]


def _layer(place: int, words: list[str]) -> tuple[str, float, dict[str, int]]:
    kind, name = words[0], f"layer {place} ({words[0][:20]})"
    if kind not in KINDS:
        raise ModelError(tr("{name} is none of {kinds}.", name=name, kinds=listed(KINDS)))
    row, number, options = KINDS[kind], 0.0, {}
    if row.number:
        what, number, least, most = row.number
        if len(words) > 1 and "=" not in words[1]:
            number = _within(f"{name}: {what}", words.pop(1), least, most)
    for word in words[1:]:
        option, _, value = word.partition("=")
        if option not in (row.options or {}):
            raise ModelError(
                tr(
                    "{name} has no option {option!r}; it knows {known}."
                    if row.options
                    else "{name} has no option {option!r}.",
                    name=name,
                    option=option[:20],
                    known=listed(row.options or ()),
                )
            )
        options[option] = int(_within(f"{name}: {option}", value, *row.options[option], whole=True))
    if options.get("padding", 0) >= options.get("kernel", 3):
        raise ModelError(
            tr("{name}: padding is {padding}; give less than the kernel.", name=name, padding=options["padding"])
        )
    return kind, number, options


def _within(name: str, text: str, least: float, most: float, whole: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most or ((whole or most > 1) and value != int(value)):
        raise ModelError(
            tr(
                "{name} is {text!r}; give a whole number from {least:g} to {most:g}."
                if most > 1
                else "{name} is {text!r}; give a number from {least:g} to {most:g}.",
                name=name,
                text=text[:20],
                least=least,
                most=most,
            )
        )
    return value


def custom(name: str) -> Card:
    """The card of ``custom:LAYERS``."""
    specification = name.removeprefix(PREFIX)

    def build(classes: int, channels: int, size: int) -> CustomCNN:
        return CustomCNN(specification, classes, channels, size)

    convolutions = [place for place, (kind, _, _) in enumerate(parse(specification)) if kind == "conv"]
    return replace(SHELF["custom"], name=name, build=build, smallest=1, explains=_last(convolutions))


def _last(places: list[int]) -> str | None:
    return f"layers.{places[-1]}" if places else None


SHELF["custom"] = Card(
    "custom", mark("Your own CNN"), 2026, mark("put together in the browser"), mark("Layer by layer what you make of it."),
    lambda classes, channels, size: CustomCNN(EXAMPLE, classes, channels, size), smallest=4, explains="layers.3",
)  # fmt: skip
