"""A whole network, live: what every layer gives for a picture, and where one number of it comes from."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Wires:
    """What feeds the first maps of a layer: ``layer``, -1 for the picture, None where something lies between that is not
    shown; ``strengths`` float (maps, maps before), 0 to 1, the largest of which is 1."""

    layer: int | None
    strengths: np.ndarray


def wires(found: list[Layer], index: int, most: int) -> Wires:
    """The wires between the first ``most`` maps of a layer and of the one that feeds it: for a convolution the length of each
    kernel, for a dense layer of each map's weights, else 1 to the map at the same place."""
    layer, before = found[index], fed_by(found, index)
    maps = len(found[before].values) if before is not None and before >= 0 else len(layer.given)
    count, inputs = min(most, len(layer.values)), min(most, maps)
    strengths = np.zeros((count, inputs))
    if isinstance(layer.module, nn.Conv2d):
        weights = layer.module.weight[:count].detach().float().cpu().flatten(2).norm(dim=2).numpy()
        each, outputs = weights.shape[1], layer.module.out_channels // layer.module.groups
        for number in range(count):
            first = number // outputs * each
            last = min(first + each, inputs)
            strengths[number, first:last] = weights[number, : max(0, last - first)]
    elif isinstance(layer.module, nn.Linear) and layer.module.in_features % maps == 0:
        weights = layer.module.weight[:count].detach().float().cpu().view(count, maps, -1).norm(dim=2).numpy()
        strengths[:] = weights[:, :inputs]
    else:
        np.fill_diagonal(strengths, 1.0)
    return Wires(before, strengths / max(strengths.max(), 1e-9))


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


def receptive_field(found: list[Layer], index: int, row: int, column: int) -> tuple[int, int, int, int]:
    """Which pixels of the picture a value of layer ``index`` can see: top, left, height, width (beyond the edge it is cut off).

    Followed back through every layer before it that has a window; for a network without branches.
    """
    top = bottom = row
    left = right = column
    for layer in reversed(found[: index + 1]):
        module = layer.module
        if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            continue
        size, stride, padding = (_first(getattr(module, name)) for name in ("kernel_size", "stride", "padding"))
        reach = (size - 1) * _first(getattr(module, "dilation", 1))
        top, left = top * stride - padding, left * stride - padding
        bottom, right = bottom * stride - padding + reach, right * stride - padding + reach
    height, width = found[0].given.shape[1:]
    top, left, bottom, right = max(0, top), max(0, left), min(height - 1, bottom), min(width - 1, right)
    return top, left, bottom - top + 1, right - left + 1


def _first(value: int | str | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else 1 if isinstance(value, str) else value
