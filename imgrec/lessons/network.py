"""A whole network, live: what every layer gives for a picture, and where one number of it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from imgrec.hooks import listening

MOST_MAPS = 64  # of a layer that are kept; of small maps as many as make MOST_NUMBERS
MOST_NUMBERS = 200_000


@dataclass(frozen=True)
class Layer:
    """What one layer gave: ``values`` float32 (maps, H, W), or (features,) for a dense one. ``given``: what came in."""

    name: str
    kind: str
    module: nn.Module
    given: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Origin:
    """Where one number comes from: for each map that comes in, the window it saw, the kernel, and the sum of their
    products; then the bias. The sums and the bias add up to ``total``. Pooling and activation have no kernel."""

    windows: np.ndarray  # float (maps in, k, k)
    kernels: np.ndarray | None
    sums: np.ndarray  # float (maps in,)
    bias: float
    total: float
    top: int  # place of the window in what came in
    left: int


@torch.inference_mode()
def layers(network: nn.Module, image: Tensor) -> list[Layer]:
    """Every convolution, pooling, activation and dense layer in the order they compute, for a normalised picture (1, C, H, W)."""
    names = {module: name for name, module in network.named_modules()}
    found: list[Layer] = []
    for module in names:
        if getattr(module, "inplace", False):  # it would write over what came in, which is to be shown
            module.inplace = False

    def note(module: nn.Module, given: tuple[Tensor, ...], gave: Tensor) -> None:
        if isinstance(gave, Tensor) and gave.ndim in (2, 4) and len(gave) == 1:
            came, left = (_kept(value[0]) for value in (given[0], gave))
            found.append(Layer(names[module], type(module).__name__, module, came, left))

    kept = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish, nn.BatchNorm2d, nn.Linear)  # fmt: skip
    with listening((module for module in network.modules() if isinstance(module, kept)), note):
        network(image)
    return found


def _kept(values: Tensor) -> np.ndarray:
    """A copy, since a shortcut is added to the very numbers that a layer gave."""
    most = max(MOST_MAPS, MOST_NUMBERS // max(1, values[0].numel()))
    return values[:most].float().cpu().numpy().copy()


def source(found: list[Layer], index: int) -> int | None:
    """Which layer gave exactly what comes into layer ``index``; None for the first, and where something else lies between."""
    came = found[index].given
    return next((i for i in reversed(range(index)) if np.array_equal(found[i].values, came)), None)


def shown_of(layer: Layer, most: int, also: int | None = None) -> list[int]:
    """Which ``most`` maps of a layer to show, in their order: the first, or of plain numbers those farthest from zero; ``also``
    is among them."""
    count = len(layer.values)
    order = np.argsort(-np.abs(layer.values), kind="stable").tolist() if layer.values.ndim == 1 else list(range(count))
    if also is not None and also < count:
        order = [also, *(number for number in order if number != also)]
    return sorted(order[:most])


def wires(found: list[Layer], index: int, into: Sequence[int], maps: int, of: Sequence[int]) -> np.ndarray:
    """How strong the maps ``of`` the ``maps`` that feed a layer come ``into`` some of its own, float (into, of), 0 to 1, the
    largest of which is 1: for a convolution the length of each kernel, for a dense layer of each map's weights, else 1 to the
    map at the same place."""
    module, into, of = found[index].module, np.asarray(into), np.asarray(of)
    strengths = (into[:, None] == of[None]).astype(float)
    if isinstance(module, nn.Conv2d):
        weights = module.weight[into].detach().float().cpu().flatten(2).norm(dim=2).numpy()
        each, outputs = weights.shape[1], module.out_channels // module.groups
        local = of[None] - into[:, None] // outputs * each  # the number within the map's group
        inside = (local >= 0) & (local < each)
        strengths = np.take_along_axis(weights, local.clip(0, each - 1), 1) * inside
    elif isinstance(module, nn.Linear) and module.in_features % maps == 0:
        weights = module.weight[into].detach().float().cpu().view(len(into), maps, -1).norm(dim=2).numpy()
        strengths = weights[:, of]
    return strengths / max(strengths.max(), 1e-9)


def fed_by(found: list[Layer], index: int) -> int | None:
    """As `source`, also where maps were laid out in a row; -1 for the first layer."""
    came = found[index].given.ravel()
    same = (i for i in reversed(range(index)) if np.array_equal(found[i].values.ravel(), came))
    return next(same, -1 if index == 0 else None)


def origin(layer: Layer, number: int, row: int, column: int) -> Origin | None:
    """Where the value at (row, column) of map ``number`` comes from; None for a layer that has no window.

    For a convolution with groups only the maps of its group come in.
    """
    module = layer.module
    if isinstance(module, nn.Conv2d):
        return _convolved(layer, module, number, row, column)
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        size, stride = (v if isinstance(v, int) else v[0] for v in (module.kernel_size, module.stride))
        padding = module.padding if isinstance(module.padding, int) else module.padding[0]
        top, left = row * stride - padding, column * stride - padding
        window = _window(layer.given[number], top, left, size, 1)
        total = float(layer.values[number, row, column])
        return Origin(window[None], None, np.array([total]), 0.0, total, top, left)
    return None


def _convolved(layer: Layer, module: nn.Conv2d, number: int, row: int, column: int) -> Origin | None:
    (size, wide), (stride, _), (dilation, _) = module.kernel_size, module.stride, module.dilation
    padding = module.padding[0] if not isinstance(module.padding, str) else dilation * (size - 1) // 2
    if size != wide or module.in_channels > len(layer.given):
        return None
    maps = module.in_channels // module.groups
    first = number // (module.out_channels // module.groups) * maps
    top, left = row * stride - padding, column * stride - padding
    windows = np.stack([_window(m, top, left, size, dilation) for m in layer.given[first : first + maps]])
    kernels = module.weight[number].detach().float().cpu().numpy()
    sums = (windows * kernels).sum((1, 2))
    bias = float(module.bias[number].detach()) if module.bias is not None else 0.0
    return Origin(windows, kernels, sums, bias, float(sums.sum()) + bias, top, left)


def _window(values: np.ndarray, top: int, left: int, size: int, dilation: int) -> np.ndarray:
    """size × size values from (top, left) on; zeros where it leaves the map."""
    rows, columns = (np.arange(size) * dilation + start for start in (top, left))
    inside = ((rows >= 0) & (rows < values.shape[0]))[:, None] & ((columns >= 0) & (columns < values.shape[1]))
    seen = values[np.clip(rows, 0, values.shape[0] - 1)[:, None], np.clip(columns, 0, values.shape[1] - 1)]
    return np.where(inside, seen, 0.0)


def receptive_field(found: list[Layer], index: int, row: int, column: int) -> tuple[int, int, int, int] | None:
    """Which pixels of the picture a value of layer ``index`` can see: top, left, height, width (beyond the edge it is cut off).

    Followed back from layer to layer; None where that is not possible, as behind a shortcut, where several ways meet.
    """
    top = bottom = row
    left = right = column
    while True:
        layer = found[index]
        module, (height, width) = layer.module, layer.given.shape[1:]
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            size, stride, padding = (_first(getattr(module, name)) for name in ("kernel_size", "stride", "padding"))
            reach = (size - 1) * _first(getattr(module, "dilation", 1))
            padding = reach // 2 if module.padding == "same" else padding
            top, left = top * stride - padding, left * stride - padding
            bottom, right = bottom * stride - padding + reach, right * stride - padding + reach
        elif isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):  # each cell of n sees the n-th part
            tall, wide = layer.values.shape[1:]
            top, bottom = top * height // tall, -(-(bottom + 1) * height // tall) - 1
            left, right = left * width // wide, -(-(right + 1) * width // wide) - 1
        top, left, bottom, right = max(0, top), max(0, left), min(height - 1, bottom), min(width - 1, right)
        if index == 0:
            return top, left, bottom - top + 1, right - left + 1
        if (before := source(found, index)) is None:
            return None
        index = before


def _first(value: int | str | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else 1 if isinstance(value, str) else value
