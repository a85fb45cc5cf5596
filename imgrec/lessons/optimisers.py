"""Optimisers on landscapes that can be drawn: where each of them goes, step by step, with the very code of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgrec.language import mark, tr


@dataclass(frozen=True)
class Surface:
    """A row of SURFACES: height(x, y) works on numbers, arrays and tensors alike."""

    title: str
    help: str
    height: Callable
    start: tuple[float, float]
    lowest: tuple[tuple[float, float], ...]
    reach: float = 2.0  # it is drawn from −reach to reach


SURFACES: dict[str, Surface] = {
    "bowl": Surface(mark("Bowl"), mark("Equally steep in all directions: everybody arrives."), lambda x, y: x**2 + y**2, (-1.6, 1.2), ((0, 0),)),
    "ravine": Surface(
        mark("Ravine"), mark("Steep across, nearly flat along: plain descent zigzags, momentum rolls along."),
        lambda x, y: 0.1 * x**2 + 2.5 * y**2, (-1.8, 0.9), ((0, 0),),
    ),
    "saddle": Surface(
        mark("Saddle"), mark("Flat in the middle, with a way down on both sides: the gradient nearly vanishes."),
        lambda x, y: x**2 - y**2 + 0.25 * y**4, (-1.5, 0.01), ((0, 2**0.5), (0, -(2**0.5))),
    ),
    "valley": Surface(
        mark("Bent valley"), mark("Rosenbrock's: the valley is found at once, its lowest point takes long."),
        lambda x, y: 0.05 * ((1 - x) ** 2 + 20 * (y - x**2) ** 2), (-1.2, 1.6), ((1, 1),),
    ),
    "pits": Surface(
        mark("Two pits"), mark("A shallow pit lies nearer than the deep one."),
        lambda x, y: 0.3 * (x**2 - 1) ** 2 + 0.2 * x + 0.5 * y**2, (1.7, 1.3), ((-1.07, 0),),
    ),
}  # fmt: skip

RACERS: dict[str, Callable] = {  # a maker of a torch optimiser for weights and a rate
    mark("Gradient descent"): lambda weights, rate: _torch().SGD(weights, rate),
    "Momentum": lambda weights, rate: _torch().SGD(weights, rate, momentum=0.9),
    "RMSprop": lambda weights, rate: _torch().RMSprop(weights, rate),
    "Adam": lambda weights, rate: _torch().Adam(weights, rate),
}


def _torch():
    import torch

    return torch.optim


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
    return np.array(passed)


def heights(surface: Surface, points: int = 81) -> tuple[np.ndarray, np.ndarray]:
    """The surface to draw: coordinates (points,) of both axes, and heights (points, points), row by y."""
    axis = np.linspace(-surface.reach, surface.reach, points)
    return axis, surface.height(axis[None, :], axis[:, None])


def fate(surface: Surface, passed: np.ndarray) -> str:
    """In a word how a path ended: "arrived", "flew off" or "on its way"."""
    last = passed[-1]
    if not np.isfinite(last).all() or np.abs(last[:2]).max() > 10 * surface.reach:
        return tr("flew off")
    near = min(np.hypot(last[0] - x, last[1] - y) for x, y in surface.lowest)
    return tr("arrived") if near < 0.1 else tr("on its way")
