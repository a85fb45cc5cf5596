"""The built-in data set ``shapes``, drawn on demand: six shapes in many colours, each with its exact mask.

Picture i depends on (seed, i, size, difficulty) alone. All geometry is in relative units: another size shows the same
scene at another resolution, another difficulty the same scene with the object smaller, paler and in more clutter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from imgrec.data.dataset import Dataset, stratify
from imgrec.language import listed, mark, tr
from imgrec.recipe import RecipeError, number


class Option(NamedTuple):
    """What a form, a parser and a check need to know about one option."""

    kind: type
    default: float
    minimum: float
    maximum: float
    help: str


OPTIONS: dict[str, Option] = {  # in the order of the canonical name
    "size": Option(int, 32, 32, 128, mark("Width and height of the pictures in pixels.")),
    "difficulty": Option(
        float, 0.4, 0.0, 1.0, mark("From 0, big on a plain ground, to 1, small and pale in heavy clutter.")
    ),
    "count": Option(int, 3000, 60, 10_000, mark("How many pictures to draw; every shape gets its equal share.")),
    "seed": Option(int, 0, 0, 2**31 - 1, mark("Another seed draws other pictures; the same seed draws the same ones.")),
}
DIFFICULTIES = {"easy": 0.2, "medium": 0.4, "hard": 0.9}

LINES, DOTS, CLOUDS = 10, 10, 3  # clutter at difficulty 1
GRAIN = 32  # the noise lives on a lattice of this many points a side, so it is part of the scene at every size
NUMBERS = 256  # uniform draws per picture; a spare column costs nothing, a changed order would change every picture
CHUNK = 2**16  # pixels drawn at once: some megabytes, which stay in the processor's cache


def _polygon(corners: int, notch: float, rounding: float = 0.05) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A star with its first tip up: tips at radius 1, notches at ``notch``. At cos(pi/corners) it is a regular polygon.

    The plane is folded into one half sector, where the outline is a single segment from a tip to a notch.
    """
    sector, tip = 2 * np.pi / corners, 1 - rounding
    edge_x, edge_y = tip * (notch * np.cos(sector / 2) - 1), tip * notch * np.sin(sector / 2)

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle, radius = np.arctan2(x, -y), np.sqrt(x * x + y * y)
        folded = np.abs(angle - sector * np.round(angle / sector))
        x, y = radius * np.cos(folded) - tip, radius * np.sin(folded)
        along = np.clip((x * edge_x + y * edge_y) / (edge_x**2 + edge_y**2), 0, 1)
        outside = np.sign(x * edge_y - y * edge_x)
        return outside * np.sqrt((x - along * edge_x) ** 2 + (y - along * edge_y) ** 2) - rounding

    return distance


def _box(x: np.ndarray, y: np.ndarray, width: float, height: float, rounding: float = 0.05) -> np.ndarray:
    """Distance to a rectangle of half ``width`` and half ``height``."""
    x, y = np.abs(x) - (width - rounding), np.abs(y) - (height - rounding)
    return np.sqrt(np.maximum(x, 0) ** 2 + np.maximum(y, 0) ** 2) + np.minimum(np.maximum(x, y), 0) - rounding


# One row adds one class: (x, y), arrays in units of the object's radius with y down, to the signed distance from the
# outline, negative inside. Every shape fills the unit disc and stays within it. After Inigo Quilez, "2D distance functions".
SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda x, y: np.sqrt(x * x + y * y) - 0.86,
    "square": lambda x, y: _box(x, y, 0.72, 0.72),
    "triangle": _polygon(3, 0.5),
    "star": _polygon(5, 0.45),
    "cross": lambda x, y: np.minimum(_box(x, y, 0.94, 0.29), _box(x, y, 0.29, 0.94)),
    "ring": lambda x, y: np.abs(np.sqrt(x * x + y * y) - 0.7) - 0.22,
}


@dataclass(frozen=True)
class Drawn:
    """Pictures and the numbers they were drawn from; lengths are shares of the picture's width, origin top left."""

    images: np.ndarray  # uint8 (N, S, S, 3)
    labels: np.ndarray  # int64 (N,), an index into SHAPES: i mod the number of classes
    masks: np.ndarray  # bool (N, S, S), true where a pixel's centre lies in the object
    centres: np.ndarray  # float64 (N, 2): x, y
    radii: np.ndarray  # float64 (N,), of the circle around the object
    angles: np.ndarray  # float64 (N,), degrees clockwise
    colours: np.ndarray  # float64 (N, 3), the object's red, green, blue from 0 to 1
    backgrounds: np.ndarray  # float64 (N, 2, 3), the two ends of the background's gradient


def draw(count: int = 3000, size: int = 32, difficulty: float = 0.4, seed: int = 0) -> Drawn:
    """``count`` pictures of ``size`` pixels; a longer set begins with the shorter one.

    Raises RecipeError when a number is out of OPTIONS' range (a single picture is fine here).
    """
    count = number("count", count, 1, OPTIONS["count"].maximum, int)
    values = parse({"size": size, "difficulty": difficulty, "seed": seed})
    step = max(1, CHUNK // values["size"] ** 2)
    spans = [np.arange(start, min(start + step, count)) for start in range(0, count, step)]
    parts = [_draw(which, values["size"], values["difficulty"], values["seed"]) for which in spans]
    return Drawn(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def dataset(size: int = 32, difficulty: float = 0.4, count: int = 3000, seed: int = 0) -> Dataset:
    """The drawn pictures as a data set with masks and splits, under its canonical name. Raises RecipeError like ``draw``."""
    values = parse({"size": size, "difficulty": difficulty, "count": count, "seed": seed})
    drawn = draw(**values)
    classes = tuple(SHAPES)
    return Dataset(
        name=name(**values),
        classes=classes,
        images=drawn.images,
        labels=drawn.labels,
        splits=stratify(drawn.labels, seed=values["seed"]),
        sizes=np.full((len(drawn.labels), 2), values["size"], np.int32),
        files=[f"{classes[label]}-{index:05d}" for index, label in enumerate(drawn.labels)],
        source=f"Drawn by imgrec from seed {values['seed']} at difficulty {values['difficulty']:g}; free of any licence.",
        masks=drawn.masks,
    )


def name(**options: int | float) -> str:
    """The canonical name, such as ``shapes:size=64``; options at their defaults are left out. Raises RecipeError."""
    values = parse(options)
    special = [f"{key}={values[key]}" for key in OPTIONS if values[key] != OPTIONS[key].default]
    return "shapes" + ":" * bool(special) + ",".join(special)


def parse(options: dict[str, str | float]) -> dict[str, int | float]:
    """Every option with its value, the defaults filled in: what ``dataset`` takes. Difficulty may be a word.

    Raises RecipeError on an unknown name or a value out of range. Difficulty counts in thousandths, so names stay short.
    """
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise RecipeError(
            tr(
                "Unknown option {unknown} of shapes; the options are {options}.",
                unknown=listed(unknown),
                options=listed(OPTIONS),
            )
        )
    values = {name: options.get(name, option.default) for name, option in OPTIONS.items()}
    values["difficulty"] = DIFFICULTIES.get(values["difficulty"], values["difficulty"])
    values = {name: number(name, values[name], o.minimum, o.maximum, o.kind) for name, o in OPTIONS.items()}
    return {**values, "difficulty": round(values["difficulty"], 3)}


class _Draws:
    """The random numbers of a chunk of pictures, handed out column by column: (N,) at a time."""

    def __init__(self, which: np.ndarray, seed: int, difficulty: float) -> None:
        generators = [np.random.default_rng([seed, index]) for index in which]
        self._columns = iter(np.stack([generator.random(NUMBERS) for generator in generators], axis=1))
        self.grain = np.stack([generator.standard_normal((GRAIN, GRAIN), np.float32) for generator in generators])
        self.difficulty = difficulty

    def mix(self, easy: float, hard: float) -> float:
        """What goes from ``easy`` to ``hard`` with the difficulty."""
        return easy + (hard - easy) * self.difficulty

    def uniform(self, easy: tuple[float, float], hard: tuple[float, float] | None = None) -> np.ndarray:
        """The next column, spread over an interval that moves from ``easy`` to ``hard`` with the difficulty."""
        low, high = (self.mix(*ends) for ends in zip(easy, hard or easy, strict=True))
        return low + (high - low) * next(self._columns)


def _draw(which: np.ndarray, size: int, difficulty: float, seed: int) -> tuple[np.ndarray, ...]:
    """Drawn's columns for the pictures ``which``: painted from the back to the front, in coordinates from -1 to 1."""
    draws = _Draws(which, seed, difficulty)
    axis = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    labels = which % len(SHAPES)
    radius = draws.uniform((0.64, 0.78), (0.34, 0.5))
    room = (0.96 - radius) * draws.mix(0.6, 1)
    centre = np.stack([draws.uniform((-1, 1)) * room, draws.uniform((-1, 1)) * room], axis=1)
    angle = draws.uniform((-5, 5), (-45, 45))
    lightness, hue = draws.uniform((0.3, 0.92)), draws.uniform((0, 1))
    contrast = draws.uniform((0.42, 0.55), (0.14, 0.26)) * np.where(lightness < 0.6, 1, -1)
    own_hue = hue + draws.uniform((0.2, 0.8))
    chroma = draws.uniform((0.11, 0.18), (0.05, 0.12))

    pictures, ends = _ground(draws, axis, lightness, hue)
    _clutter(pictures, draws, axis, lightness, hue)
    shadow = _distance(labels, axis, centre + 0.05, radius, angle)
    _blend(pictures, 0.3 * np.clip(0.5 - shadow / 0.2, 0, 1), np.zeros((len(which), 3)))
    distance = _distance(labels, axis, centre, radius, angle)
    colour = _srgb(lightness + contrast, chroma, own_hue)
    _blend(pictures, np.clip(0.5 - distance * size / 2, 0, 1), colour)
    pictures += draws.mix(0.004, 0.05) * _resized(draws.grain, size)[:, None]
    images = np.ascontiguousarray((pictures.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1))
    return images, labels, distance <= 0, centre / 2 + 0.5, radius / 2, angle, colour, ends


def _ground(draws: _Draws, axis: np.ndarray, lightness: np.ndarray, hue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A gradient in any direction between two neighbouring hues, and its two colours (N, 2, 3)."""
    direction, chroma = draws.uniform((0, 2 * np.pi)), draws.uniform((0.03, 0.09))
    rise, turn = draws.uniform((0.02, 0.05), (0.06, 0.16)), draws.uniform((-0.1, 0.1), (-0.2, 0.2))
    ends = np.stack([_srgb(lightness - rise / 2, chroma, hue), _srgb(lightness + rise / 2, chroma, hue + turn)], axis=1)
    x, y = _column(np.cos(direction)) * axis, _column(np.sin(direction)) * axis
    share = np.clip(0.5 + 0.4 * (x + y.transpose(0, 2, 1)), 0, 1)
    pictures = np.empty((len(share), 3, len(axis), len(axis)), np.float32)
    pictures[:] = ends[:, 0, :, None, None]
    _blend(pictures, share, ends[:, 1])
    return pictures, ends


def _clutter(pictures: np.ndarray, draws: _Draws, axis: np.ndarray, lightness: np.ndarray, hue: np.ndarray) -> None:
    """Clouds, lines and dots behind the object; they fade in one after the other as the difficulty grows."""
    size = len(axis)
    for kind, most in (("cloud", CLOUDS), ("line", LINES), ("dot", DOTS)):
        for index in range(most):
            x, y = axis - _column(draws.uniform((-1, 1))), axis - _column(draws.uniform((-1, 1)))
            turn, length, width = draws.uniform((0, np.pi)), draws.uniform((0.1, 0.4)), draws.uniform((0.015, 0.04))
            offset = draws.uniform((-0.25, 0.25))
            colour = _srgb(lightness + offset, draws.uniform((0.04, 0.13)), hue + draws.uniform((-0.5, 0.5)))
            opacity = np.clip(draws.difficulty * (most + 0.5) - index, 0, 1)
            if opacity == 0:
                continue
            y = y.transpose(0, 2, 1)
            if kind == "cloud":
                cover = 0.6 * np.exp(-(x**2) / 0.25) * np.exp(-(y**2) / 0.25)
            elif kind == "dot":
                cover = np.clip(0.5 - (np.sqrt(x**2 + y**2) - _column(2 * width)) * size / 2, 0, 1)
            else:
                cosine, sine = _column(np.cos(turn)), _column(np.sin(turn))
                beyond = np.maximum(np.abs(cosine * x + sine * y) - _column(length), 0)
                across = cosine * y - sine * x
                cover = np.clip(0.5 - (np.sqrt(beyond**2 + across**2) - _column(width)) * size / 2, 0, 1)
            _blend(pictures, opacity * cover, colour)


def _distance(
    labels: np.ndarray, axis: np.ndarray, centre: np.ndarray, radius: np.ndarray, angle: np.ndarray
) -> np.ndarray:
    """The signed distance of every pixel to the object's outline, float32 (N, S, S)."""
    distance = np.empty((len(labels), len(axis), len(axis)), np.float32)
    turn = np.deg2rad(angle)
    x, y = axis - _column(centre[:, 0]), (axis - _column(centre[:, 1])).transpose(0, 2, 1)
    cosine, sine = _column(np.cos(turn) / radius), _column(np.sin(turn) / radius)
    for label, shape in enumerate(SHAPES.values()):
        own = labels == label
        if own.any():
            distance[own] = shape(cosine[own] * x[own] + sine[own] * y[own], cosine[own] * y[own] - sine[own] * x[own])
    return distance * _column(radius)


def _blend(pictures: np.ndarray, cover: np.ndarray, colour: np.ndarray) -> None:
    """Lay ``colour`` (N, 3) over pictures (N, 3, S, S) in place, as thick as ``cover`` (N, S, S) says."""
    pictures += cover[:, None] * (colour.astype(np.float32)[:, :, None, None] - pictures)


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None]  # (N, 1, 1), to meet (N, S, S)


def _resized(lattice: np.ndarray, size: int) -> np.ndarray:
    """The lattice (N, G, G) seen at ``size`` pixels, (N, S, S): linear between its points."""
    points = (np.arange(size) + 0.5) / size * GRAIN - 0.5
    weights = np.maximum(1 - np.abs(points[:, None].clip(0, GRAIN - 1) - np.arange(GRAIN)), 0).astype(np.float32)
    return weights @ lattice @ weights.T


def _srgb(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Red, green and blue (N, 3) from 0 to 1. Equal lightness looks equally light in OKLab (Björn Ottosson, 2020)."""
    a, b = chroma * np.cos(2 * np.pi * hue), chroma * np.sin(2 * np.pi * hue)
    lab = np.stack([np.clip(lightness, 0.1, 0.98), a, b], axis=-1)
    cones = (
        lab
        @ np.array(
            [[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775], [0.2158037573, -0.0638541728, -1.2914855480]]
        )
    ) ** 3
    linear = cones @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
