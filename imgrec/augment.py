"""Augmentation on whole batches: draw numbers for every picture, then apply them. Which plan to use is for others.

The draws depend only on the seed, the epoch, the picture's position and the row of the shelf: a hash of these takes the
place of a random stream. So the preview of picture 17 in epoch 3 is what training feeds, in any batch and order, on any
device, and after a resume. Flips alternate from epoch to epoch (K. Jordan, arXiv:2404.00498). All rows that move are one matrix and one sampling, all that change colours one product.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from imgrec.language import mark, tr
from imgrec.recipe import number, one_of, parse_options

LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look: ITU-R BT.601
GREY = 0.5  # of an erased rectangle
GOLDEN, FIRST, SECOND = (factor - 2**64 for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True)
class Augmentation:
    """One row of the shelf: what forms and the command line show, how its numbers are drawn and what they do.

    ``work`` depends on ``kind``:
    "move": (draws, width / height) → (N, 3, 3), from places in the new picture to the old one's, both in -1..1;
    "copy": the same, but as long as no "move" joins in, whole pixels are copied and nothing blurs;
    "colour": (draws, channels) → (2, N, C, C), for pixels' differences from the mean colour and for the mean itself;
    "pixels": (images, draws on their device) → new images.
    """

    name: str
    title: str
    help: str
    unit: str  # of the strength
    default: float  # strength when switched on; 0 is off
    maximum: float
    step: float
    columns: int  # how many uniform numbers a picture needs
    draw: Callable[[Tensor, float], Tensor]  # uniform numbers (N, columns), strength → draws (N, k)
    say: Callable[..., str]  # a picture's k draws → words, "" if nothing happens
    kind: str
    work: Callable[..., Tensor]
    alternates: bool = False  # every second epoch turns the chance of the one before round: who was flipped is not


# Uniform numbers out of a hash


def _hash(counters: Tensor) -> Tensor:
    """int64 → int64, each bit a mix of all: the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    for shift, factor in ((30, FIRST), (27, SECOND), (31, 1)):
        high = (counters >> shift).bitwise_and_((1 << (64 - shift)) - 1)  # without the copies of the sign
        counters = high.bitwise_xor_(counters).mul_(factor)
    return counters


def _uniform(hashes: Tensor, lowest: int = 40) -> Tensor:
    """float32 in [0, 1) from 24 bits of the hashes: exact, so the same on every device."""
    return (hashes >> lowest).bitwise_and_(2**24 - 1).float().mul_(2**-24)


def _key(*parts: object) -> int:
    """64 bits for a column of draws. Keyed by the row's name, so a new row leaves the others' draws alone."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little", signed=True)


# From uniform numbers to draws: in single sums, products and quotients, which are the same on every device


def _chance(uniform: Tensor, strength: float) -> Tensor:
    return (uniform < strength).float()


def _up_to(uniform: Tensor, strength: float) -> Tensor:
    """The first number up to the strength; more of them, which noise needs as keys, stay."""
    return torch.cat([uniform[:, :1] * strength, uniform[:, 1:]], 1)


def _either_side(uniform: Tensor, strength: float) -> Tensor:
    return (uniform * 2 - 1) * strength


def _around_one(uniform: Tensor, strength: float) -> Tensor:
    return 1 + _either_side(uniform, strength)


def _factor(uniform: Tensor, strength: float) -> Tensor:
    """As often f as 1/f, so that pictures are as often enlarged as shrunk."""
    signed = _either_side(uniform, strength)
    return torch.where(signed < 0, 1 / (1 - signed), 1 + signed)


def _window(uniform: Tensor, strength: float) -> Tensor:
    """Side, left and top of a window inside the picture, as shares of it."""
    side = 1 - uniform[:, :1] * strength
    return torch.cat([side, uniform[:, 1:] * (1 - side)], 1)


def _rectangle(uniform: Tensor, strength: float) -> Tensor:
    """Width, height, left and top of a rectangle inside the picture, as shares of it."""
    sides = uniform[:, :2] * strength
    return torch.cat([sides, uniform[:, 2:] * (1 - sides)], 1)


# Moves: where in the old picture does a pixel of the new one come from?


def _matrix(drawn: Tensor, **entries: Tensor) -> Tensor:
    """(N, 3, 3) identities but for some entries: ``xy`` is what old x takes from new y, ``x1`` what is added to it."""
    matrix = torch.eye(3, device=drawn.device).repeat(len(drawn), 1, 1)
    for (row, column), values in entries.items():
        matrix[:, "xy".index(row), "xy1".index(column)] = values
    return matrix


def _rotation(drawn: Tensor, aspect: float) -> Tensor:
    angle = torch.deg2rad(drawn[:, 0])
    cos, sin = angle.cos(), angle.sin()
    return _matrix(drawn, xx=cos, xy=-sin / aspect, yx=sin * aspect, yy=cos)


def _crop(drawn: Tensor, aspect: float) -> Tensor:
    side, left, top = drawn.unbind(1)
    return _matrix(drawn, xx=side, yy=side, x1=2 * left + side - 1, y1=2 * top + side - 1)


def _copy(images: Tensor, matrix: Tensor) -> Tensor:
    """Like `_move` for matrices that only mirror and shift, but whole pixels are copied: ten times as fast."""
    count, channels, height, width = images.shape
    matrix = matrix.to(images.device)
    scale, shift = matrix.diagonal(0, 1, 2).T, matrix[:, :, 2].T  # (x, y and 1; N)
    if width == height:
        x, y = _sources(scale[:2], shift[:2], width)
    else:
        x, y = _sources(scale[0], shift[0], width), _sources(scale[1], shift[1], height)
    first = torch.arange(0, count * height * width, height * width, dtype=x.dtype, device=images.device)[:, None, None]
    places = (first + y[:, :, None] * width + x[:, None, :]).flatten()  # (N · H · W)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, places)
    return pixels.view(count, height, width, channels).permute(0, 3, 1, 2)


def _sources(scale: Tensor, shift: Tensor, side: int) -> Tensor:
    """Which pixel of the old side each of the new one comes from, int32 (…, side); beyond the edges it is mirrored."""
    centres = (torch.arange(side, device=scale.device) * 2 + 1) / side - 1
    place = ((scale[..., None] * centres + shift[..., None] + 1) * (side / 2)).abs() % (2 * side)  # 0 to side is inside
    place = torch.minimum(place, 2 * side - place)
    return (place - 0.5).round().int().clamp_(0, side - 1)


def _move(images: Tensor, matrix: Tensor) -> Tensor:
    """The images (N, C, H, W) sampled where the matrix (N, 3, 3) says; beyond their edges they are mirrored.

    A mirror keeps brightness and texture, where black corners would betray that a picture was turned and stretched
    edges would be streaks. Sampling does not smooth first: nothing shrinks to less than about a half.
    """
    height, width = images.shape[2:]
    x, y = ((torch.arange(side, device=images.device) * 2 + 1) / side - 1 for side in (width, height))  # centres
    places = torch.stack([x.expand(height, width), y[:, None].expand(height, width), x.new_ones(height, width)])
    grid = (matrix[:, :2].to(images.device) @ places.flatten(1)).view(-1, 2, height, width).permute(0, 2, 3, 1)
    return functional.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)


# Colours: (2, N, C, C), how pixels' differences from the picture's mean colour change, and how the mean does


def _identity_and_grey(drawn: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """(C, C) each: a colour as it is, and its grey. For one channel they are the same: grey has no colour to lose."""
    luma = torch.tensor(LUMA if channels == 3 else [1 / channels] * channels, device=drawn.device)
    return torch.eye(channels, device=drawn.device), luma.expand(channels, channels)


def _brightness(drawn: Tensor, channels: int) -> Tensor:
    identity, _ = _identity_and_grey(drawn, channels)
    return (drawn[:, :, None] * identity).expand(2, -1, -1, -1)


def _saturation(drawn: Tensor, channels: int) -> Tensor:
    identity, grey = _identity_and_grey(drawn, channels)
    return (drawn[:, :, None] * (identity - grey) + grey).expand(2, -1, -1, -1)


def _contrast(drawn: Tensor, channels: int) -> Tensor:
    return torch.stack([_brightness(drawn, channels)[0], _saturation(drawn, channels)[1]])


def _hue(drawn: Tensor, channels: int) -> Tensor:
    """A turn around the grey axis at constant luma: red goes to yellow, green, cyan, blue."""
    identity, grey = _identity_and_grey(drawn, channels)
    colour = identity - grey
    quarter = colour @ (identity.roll(1, 0) - identity.roll(-1, 0)) / math.sqrt(3)  # its square is minus colour
    angle = torch.deg2rad(drawn)[:, :, None]
    return (grey + angle.cos() * colour + angle.sin() * quarter).expand(2, -1, -1, -1)


def _recolour(images: Tensor, matrices: Tensor) -> Tensor:
    """A·(pixel − mean) + B·mean for A and B in (2, N, C, C), computed as A·pixel + (B − A)·mean."""
    of_difference, of_mean = matrices.to(images.device)
    pixels = images.flatten(2)  # (N, C, H·W)
    offset = (of_mean - of_difference) @ pixels.mean(2, keepdim=True)
    return torch.baddbmm(offset, of_difference, pixels).view(images.shape)


# Pixels


def _blur(images: Tensor, drawn: Tensor) -> Tensor:
    """Gaussian blur of sigma (N, 1) pixels, cut off at 4 sigma; near an edge the pixels that are there count for all.

    Along each axis it is a product with a matrix of weights instead of a convolution: any sigma fits any picture, and
    no kernel size has to be found in the batch or fetched from the GPU.
    """

    def weights(side: int) -> Tensor:
        at = torch.arange(side, device=images.device)
        sigmas = ((at[:, None] - at).abs() / drawn.clamp(min=1e-3)[:, :, None]).clamp_(max=5)  # (N, from, to)
        weight = (sigmas.square() / -2).exp_().mul_(sigmas <= 4)
        return (weight / weight.sum(1, keepdim=True))[:, None]

    down, across = (weights(side) for side in images.shape[2:])  # (N, 1, H, H), (N, 1, W, W)
    return down.mT @ images @ across


def _noise(images: Tensor, drawn: Tensor) -> Tensor:
    """Normal noise on every value; two uniform numbers of one hash make two normal ones (Box and Muller 1958)."""
    deviation, *keys = drawn[:, :, None].unbind(1)  # (N, 1) each
    high, low = ((key * 2**24).long() for key in keys)
    count = images[0].numel()
    pairs = torch.arange((count + 1) // 2, device=images.device)
    hashes = _hash(_hash(high * 2**24 + low) + pairs * GOLDEN)  # (N, pairs)
    radius = (1 - _uniform(hashes)).log_().mul_(-2).sqrt_().mul_(deviation)
    angle = _uniform(hashes, 16).mul_(2 * math.pi)
    noise = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count]
    return images + noise.reshape(images.shape)


def _erase(images: Tensor, drawn: Tensor) -> Tensor:
    """Grey for the pixels whose centres lie in the rectangle."""

    def covered(side: int, start: Tensor, length: Tensor) -> Tensor:
        at = (torch.arange(side, device=images.device) + 0.5) / side
        return (at >= start) & (at < start + length)  # (N, side)

    width, height, left, top = drawn[:, :, None].unbind(1)
    rows, columns = covered(images.shape[2], top, height), covered(images.shape[3], left, width)
    return images.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], GREY)


# The shelf


def _signed(value: float, digits: int = 0) -> str:
    return f"{value:+z.{digits}f}".replace("-", "−")


# fmt: off
AUGMENTATIONS: dict[str, Augmentation] = {row.name: row for row in (  # applied in this order
    Augmentation("flip_horizontal", mark("Flip left to right"), mark("Mirrors this share of the pictures; not for digits."),
        "probability", 0.5, 1, 0.05, 1, _chance, lambda on: tr("flipped") if on else "",
        "copy", lambda drawn, aspect: _matrix(drawn, xx=1 - 2 * drawn[:, 0]), alternates=True),
    Augmentation("flip_vertical", mark("Flip top to bottom"), mark("Turns this share upside down; for pictures from above."),
        "probability", 0.5, 1, 0.05, 1, _chance, lambda on: tr("flipped upside down") if on else "",
        "copy", lambda drawn, aspect: _matrix(drawn, yy=1 - 2 * drawn[:, 0]), alternates=True),
    Augmentation("rotate", mark("Rotate"), mark("Turns each picture by up to this angle; plus is against the clock."),
        mark("± degrees"), 15, 180, 1, 1, _either_side, lambda angle: tr("rotate {angle}°", angle=_signed(angle, 1)),
        "move", _rotation),
    Augmentation("shear", mark("Shear"), mark("Slants each picture by up to this angle; plus leans to the right."),
        mark("± degrees"), 10, 45, 1, 1, _either_side, lambda angle: tr("shear {angle}°", angle=_signed(angle, 1)),
        "move", lambda drawn, aspect: _matrix(drawn, xy=torch.deg2rad(drawn[:, 0]).tan() / aspect)),
    Augmentation("scale", mark("Scale"), mark("Enlarges or shrinks each picture; 0.2 means by a factor of up to 1.2."),
        mark("± share"), 0.2, 0.9, 0.05, 1, _factor, lambda factor: tr("scale ×{factor:.2f}", factor=factor),
        "move", lambda drawn, aspect: _matrix(drawn, xx=1 / drawn[:, 0], yy=1 / drawn[:, 0])),
    Augmentation("shift", mark("Shift"), mark("Moves each picture along both sides; by whole pixels, if only flips join in."),
        mark("± share of the side"), 0.1, 0.5, 0.01, 2, _either_side,
        lambda right, down: tr("shift {right}%, {down}%", right=_signed(100 * right), down=_signed(100 * down)),
        "copy", lambda drawn, aspect: _matrix(drawn, x1=-2 * drawn[:, 0], y1=-2 * drawn[:, 1])),
    Augmentation("crop", mark("Crop"), mark("Cuts a window out and enlarges it; 0.3 means up to 30% of the side is lost."),
        mark("share of the side"), 0.3, 0.9, 0.05, 3, _window,
        lambda side, left, top: tr("crop {side:.0f}% at {left:.0f}%, {top:.0f}%", side=100 * side, left=100 * left, top=100 * top),
        "move", _crop),
    Augmentation("brightness", mark("Brightness"), mark("Multiplies all values; 0.2 means by 0.8 to 1.2."),
        mark("± share"), 0.2, 0.9, 0.05, 1, _around_one, lambda factor: tr("brightness ×{factor:.2f}", factor=factor),
        "colour", _brightness),
    Augmentation("contrast", mark("Contrast"), mark("Stretches or flattens the values around the picture's mean grey."),
        mark("± share"), 0.2, 0.9, 0.05, 1, _around_one, lambda factor: tr("contrast ×{factor:.2f}", factor=factor),
        "colour", _contrast),
    Augmentation("saturation", mark("Saturation"), mark("Makes colours stronger or paler; grey pictures stay as they are."),
        mark("± share"), 0.3, 1, 0.05, 1, _around_one, lambda factor: tr("saturation ×{factor:.2f}", factor=factor),
        "colour", _saturation),
    Augmentation("hue", mark("Hue"), mark("Turns all colours around the colour circle; grey pictures stay as they are."),
        mark("± degrees"), 15, 180, 5, 1, _either_side, lambda angle: tr("hue {angle}°", angle=_signed(angle)),
        "colour", _hue),
    Augmentation("blur", mark("Blur"), mark("Blurs each picture; the strength is the largest sigma of the gaussian."),
        "pixels", 1, 4, 0.1, 1, _up_to, lambda sigma: tr("blur {sigma:.1f} px", sigma=sigma),
        "pixels", _blur),
    Augmentation("noise", mark("Noise"), mark("Adds grain; the strength is the largest standard deviation, where white is 1."),
        mark("share of white"), 0.05, 0.5, 0.01, 3, _up_to, lambda deviation, *keys: tr("noise {deviation:.3f}", deviation=deviation),
        "pixels", _noise),
    Augmentation("erase", mark("Erase"), mark("Covers a rectangle with grey, so that no single part decides."),
        mark("share of the side"), 0.4, 0.8, 0.05, 4, _rectangle,
        lambda width, height, *corner: tr("erased {width:.0f}% × {height:.0f}%", width=100 * width, height=100 * height),
        "pixels", _erase),
)}
# fmt: on


def _rows(names: Collection[str]) -> list[Augmentation]:
    """These rows in the order of the shelf. Raises RecipeError on a name that is not there."""
    for name in names:
        one_of("augmentation", name, AUGMENTATIONS)
    return [row for row in AUGMENTATIONS.values() if row.name in names]


def parse(text: str) -> dict[str, float]:
    """``"rotate=15,shift=0.1"`` as a plan, name → strength; "none" and "" are the empty plan, and zeros are left out.

    Raises RecipeError on a name that is not on the shelf and on a strength out of its range.
    """
    options = {} if text.strip() == "none" else parse_options(text)
    plan = {row.name: number(row.name, options[row.name], 0, row.maximum) for row in _rows(options)}
    return {name: strength for name, strength in plan.items() if strength}


def spell(plan: dict[str, float]) -> str:
    """The text that ``parse`` reads as this plan; "none" if it is empty."""
    parts = (f"{row.name}={float(plan[row.name])!r}".removesuffix(".0") for row in _rows(plan) if plan[row.name])
    return ",".join(parts) or "none"


def draw(plan: dict[str, float], indices: Tensor, seed: int, epoch: int) -> dict[str, Tensor]:
    """The numbers for the pictures at these positions, int64 (N,): name → float32 (N, k), on the device of ``indices``.

    In units for people: degrees, factors, shares of the side, pixels, 1 or 0 for yes or no; noise has two keys besides.
    A position that occurs twice gets the same numbers twice. Best left on the CPU: ``apply`` sends what a device needs.
    """
    rows = _rows(plan)
    keys = [
        _key(int(seed), int(epoch) // 2 * 2 if row.alternates else int(epoch), row.name, column)
        for row in rows
        for column in range(row.columns)
    ]
    counters = indices.long()[:, None] * GOLDEN + torch.tensor(keys, dtype=torch.int64, device=indices.device)
    uniforms = _uniform(_hash(counters)).split([row.columns for row in rows], 1)  # (N, columns) each
    return {
        row.name: row.draw(1 - 2**-24 - uniform if row.alternates and epoch % 2 else uniform, plan[row.name])
        for row, uniform in zip(rows, uniforms, strict=True)
    }


def describe(draws: dict[str, Tensor], i: int) -> str:
    """What was drawn for the ``i``-th picture, such as "flipped · rotate −7.3° · shift +2 %, −5 %"."""
    said = (row.say(*draws[row.name][i].tolist()) for row in _rows(draws))
    return " · ".join(filter(None, said)) or tr("unchanged")


def apply(images: Tensor, draws: dict[str, Tensor]) -> Tensor:
    """The images (N, C, H, W), float32 in 0..1 or bytes, after what was drawn for them: float32 in 0..1, new ones but for
    floats without draws. Bytes give what their floats would, to the bit, and sooner where whole pixels are copied.

    As in a camera: things move, light changes, the lens blurs, the sensor adds noise, and at the end values are cut.
    Every picture is treated alone: its neighbours in the batch change it by no more than the rounding of float32.
    """
    rows = _rows(draws)
    channels, height, width = images.shape[1:]
    if moves := [row.work(draws[row.name], width / height) for row in rows if row.kind in ("move", "copy")]:
        matrix = reduce(torch.matmul, moves)
        blurs = any(row.kind == "move" for row in rows)
        images = _move(as_floats(images), matrix) if blurs else as_floats(_copy(images, matrix))
    images = as_floats(images)
    if colours := [row.work(draws[row.name], channels) for row in rows if row.kind == "colour"]:
        images = _recolour(images, reduce(lambda before, then: then @ before, colours))
    for row in rows:
        if row.kind == "pixels":
            images = row.work(images, draws[row.name].to(images.device))
    changed = any(row.kind != "copy" for row in rows)
    return images.clamp_(0, 1) if changed else images  # in place: after any row they are new


def as_floats(images: Tensor) -> Tensor:
    """Bytes as float32 in 0..1; floats stay the same."""
    return images if images.is_floating_point() else images.float().div_(255)


def to_tensor(pixels: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Pictures uint8 (N, H, W, C), or one (H, W, C), as networks see them: float32 (N, C, H, W) in 0..1, on the device."""
    batch = torch.tensor(pixels if pixels.ndim == 4 else pixels[None]).to(device)  # bytes travel four times as fast
    return as_floats(batch.permute(0, 3, 1, 2))


def to_pixels(images: Tensor) -> np.ndarray:
    """The way back: (N, C, H, W) in 0..1 as uint8 (N, H, W, C)."""
    return (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def augment(images: Tensor, plan: dict[str, float], indices: Tensor, seed: int, epoch: int) -> Tensor:
    """The images as training sees them in this epoch: ``apply`` of ``draw``; with an empty plan the same object."""
    return apply(images, draw(plan, indices, seed, epoch))
