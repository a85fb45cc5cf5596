"""Optimisers on landscapes that can be drawn: where each of them goes, step by step, with the very code of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from imgrec.language import mark, tr

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_WEIGHTS = 1_000_000  # of a network whose loss is drawn, at POINTS × POINTS places: each is a pass through it
POINTS = 21
REAL = mark("A real network")


@dataclass(frozen=True)
class Surface:
    """A row of SURFACES: height(x, y) works on numbers, arrays and tensors alike."""

    title: str
    help: str
    height: Callable
    formula: str  # of the height, as Python; empty if nobody could type it
    start: tuple[float, float]
    lowest: tuple[tuple[float, float], ...]
    enough: float = -np.inf  # a height at which one has arrived, wherever it is
    reach: float = 2.0  # it is drawn from −reach to reach


SURFACES: dict[str, Surface] = {
    "bowl": Surface(
        mark("Bowl"), mark("Equally steep in all directions: the way down is straight."),
        lambda x, y: x**2 + y**2, "x**2 + y**2", (-1.6, 1.2), ((0, 0),),
    ),
    "ravine": Surface(
        mark("Ravine"), mark("Steep across, nearly flat along: a rate that suits the one is too fast or too slow for the other."),
        lambda x, y: 0.1 * x**2 + 2.5 * y**2, "0.1 * x**2 + 2.5 * y**2", (-1.8, 0.9), ((0, 0),),
    ),
    "slanted": Surface(
        mark("Ravine, slanted"), mark("The same across both axes: now a rate for each weight, as RMSprop and Adam have one, helps less."),
        lambda x, y: 0.05 * (x + y) ** 2 + 1.25 * (y - x) ** 2, "0.05 * (x + y) ** 2 + 1.25 * (y - x) ** 2",
        (-1.91, -0.64), ((0, 0),),
    ),
    "saddle": Surface(
        mark("Saddle"), mark("Flat in the middle, with a way down on both sides: the gradient nearly vanishes."),
        lambda x, y: x**2 - y**2 + 0.25 * y**4, "x**2 - y**2 + 0.25 * y**4", (-1.5, 0.01), ((0, 2**0.5), (0, -(2**0.5))),
    ),
    "valley": Surface(
        mark("Bent valley"), mark("Rosenbrock's: the valley is found at once, its lowest point takes long."),
        lambda x, y: 0.05 * ((1 - x) ** 2 + 20 * (y - x**2) ** 2), "0.05 * ((1 - x) ** 2 + 20 * (y - x**2) ** 2)",
        (-1.2, 1.6), ((1, 1),),
    ),
    "pits": Surface(
        mark("Two pits"), mark("A shallow pit lies nearer than the deep one."),
        lambda x, y: 0.3 * (x**2 - 1) ** 2 + 0.2 * x + 0.5 * y**2, "0.3 * (x**2 - 1) ** 2 + 0.2 * x + 0.5 * y**2",
        (1.7, 1.3), ((-1.07, 0),),
    ),
}  # fmt: skip

RACERS: dict[str, Callable] = {  # a maker of a torch optimiser for weights and a rate
    mark("Gradient descent"): lambda weights, rate: _torchs().SGD(weights, rate),
    "Momentum": lambda weights, rate: _torchs().SGD(weights, rate, momentum=0.9),
    "RMSprop": lambda weights, rate: _torchs().RMSprop(weights, rate),
    "Adam": lambda weights, rate: _torchs().Adam(weights, rate),
}


def _torchs():
    from imgrec import optimisers  # and with it torch, which the first page does without

    return optimisers


@lru_cache(maxsize=64)
def path(surface: Surface, racer: str, rate: float, steps: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Where an optimiser goes from the surface's start: float (steps + 1, 3), x, y and height.

    ``noise`` is the deviation of what is added to each gradient, as small batches do. Stops where it leaves for infinity.
    """
    import torch

    place = torch.tensor(surface.start, dtype=torch.float64, requires_grad=True)
    optimiser, generator = RACERS[racer]([place], rate), torch.Generator().manual_seed(seed)
    passed = []
    for _ in range(steps + 1):
        height = surface.height(place[0], place[1])
        passed.append([*place.tolist(), height.item()])
        if not np.isfinite(passed[-1]).all() or abs(passed[-1][2]) > 1e6:
            break
        optimiser.zero_grad()
        height.backward()
        if noise:
            place.grad += noise * torch.randn(2, generator=generator, dtype=torch.float64)
        optimiser.step()
    return _shared(np.array(passed))


def curvature(surface: Surface) -> float:
    """The largest at the lowest place of a surface: how fast the slope grows in the direction where it grows fastest, the largest
    eigenvalue of the second derivatives. Gradient descent comes to rest there at rates below 2 ÷ this only."""
    (x, y), step = surface.lowest[0], 1e-3

    def height(right: int, up: int) -> float:
        return float(surface.height(np.array(x + right * step), np.array(y + up * step)))

    along, across = height(1, 0) + height(-1, 0) - 2 * height(0, 0), height(0, 1) + height(0, -1) - 2 * height(0, 0)
    mixed = (height(1, 1) + height(-1, -1) - height(1, -1) - height(-1, 1)) / 4
    return float(np.linalg.eigvalsh([[along, mixed], [mixed, across]])[-1]) / step**2


@lru_cache(maxsize=32)
def heights(surface: Surface, points: int = 81) -> tuple[np.ndarray, np.ndarray]:
    """The surface to draw: coordinates (points,) of both axes, and heights (points, points), row by y."""
    axis = np.linspace(-surface.reach, surface.reach, points)
    return _shared(axis), _shared(surface.height(axis[None, :], axis[:, None]))


def _shared(values: np.ndarray) -> np.ndarray:
    """The same values, that nobody can change: they are kept for the next one who asks."""
    values.flags.writeable = False
    return values


def slice_of(untrained: nn.Module, trained: nn.Module, images: Tensor, labels: Tensor, seed: int = 0) -> Surface:
    """The cross-entropy of a real network on a plane through its weights, for images float32 (N, C, S, S), labels (N,).

    Along x the weights go from those of ``untrained`` at −1 to those of ``trained`` at 1; along y in a random direction
    in which every filter changes as much as along x: the filter normalisation of H. Li et al., Visualizing the loss
    landscape of neural nets, NeurIPS 2018. Racers move within the plane only.
    """
    import torch
    from torch.func import functional_call

    generator = torch.Generator().manual_seed(seed)
    middle, along, across = {}, {}, {}
    before = dict(untrained.named_parameters())
    for name, weights in trained.named_parameters():
        end, start = weights.detach().float(), before[name].detach().float()
        middle[name], along[name] = (start + end) / 2, (end - start) / 2
        random = torch.randn(end.shape, generator=generator)
        size, wanted = (_filter_norms(values) for values in (random, along[name]))
        across[name] = random * (wanted / size.clamp_min(1e-12))

    def loss(x: Tensor, y: Tensor) -> Tensor:
        weights = {name: middle[name] + x.float() * along[name] + y.float() * across[name] for name in middle}
        return torch.nn.functional.cross_entropy(functional_call(trained, weights, (images,)), labels).double()

    def height(x, y):
        if isinstance(x, torch.Tensor):
            return loss(x, y)
        with torch.no_grad(), np.errstate(all="ignore"):  # far away weights are huge
            return np.vectorize(lambda x, y: loss(torch.tensor(x), torch.tensor(y)).item(), otypes=[float])(x, y)

    surface = Surface(
        REAL,
        mark(
            "The loss of a network on a plane through its weights: at −1 across they are random, at 1 they are what training found; up and down is a random direction."
        ),
        height, "", (0.2, 1.0), (),
    )  # fmt: skip
    axis, found = heights(surface, POINTS)
    row, column = np.unravel_index(found.argmin(), found.shape)
    begun, least = float(height(*map(np.array, surface.start))), float(found.min())
    lowest = (float(axis[column]), float(axis[row]))
    return replace(surface, lowest=(lowest,), enough=least + 0.05 * (begun - least))


def _filter_norms(values: Tensor) -> Tensor:
    """The length of each filter (of each row of a dense layer), to be multiplied with the values."""
    if values.ndim < 2:
        return values.abs()
    return values.flatten(1).norm(dim=1).view(-1, *[1] * (values.ndim - 1))


def fate(surface: Surface, passed: np.ndarray) -> str:
    """In a word how a path ended: "arrived", "flew off" or "on its way"."""
    last = passed[-1]
    if not np.isfinite(last).all() or np.abs(last[:2]).max() > 10 * surface.reach:
        return tr("flew off")
    near = min(np.hypot(last[0] - x, last[1] - y) for x, y in surface.lowest)
    return tr("arrived") if near < 0.1 or last[2] <= surface.enough else tr("on its way")
