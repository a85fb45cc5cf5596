"""Kernels for a GPU in Triton, which this file needs; `launch` knows when there is one and how they are started.

Pictures have their channels last in memory: number ``pixel · channels + channel``. A program holds ROWS × COLUMNS of them.
"""

import triton
from triton import language as tl

kernel = triton.jit(do_not_specialize=["height", "width", "pixels", "each"])  # or each size would be compiled anew


# 2×2 max pooling: which of the four is the largest is kept, so that backward reads and writes each number once


@kernel
def pool(images, halved, where, height, width, pixels, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The largest of each window, and which it was: 0 and 1 above, 2 and 3 below; of equals the first."""
    pixel = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]  # of the halved picture
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = (pixel < pixels) & (channel < channels)
    tall, wide = height // 2, width // 2
    row = pixel // wide
    above = ((row // tall * height + row % tall * 2) * width + pixel % wide * 2) * channels + channel
    best = tl.load(images + above, inside)
    place = tl.zeros_like(best).to(tl.int8)
    for other in tl.static_range(1, 4):
        value = tl.load(images + above + (other // 2 * width + other % 2) * channels, inside)
        larger = (value > best) | (value != value)  # what is no number goes on
        best = tl.where(larger, value, best)
        place = tl.where(larger, other, place).to(tl.int8)
    tl.store(halved + pixel * channels + channel, best, inside)
    tl.store(where + pixel * channels + channel, place, inside)


@kernel
def unpool(gradient, where, before, height, width, pixels, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Each window's gradient at its largest, nothing at the others."""
    pixel = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]  # of the whole picture
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    inside = (pixel < pixels) & (channel < channels)
    tall, wide = height // 2, width // 2
    column, row = pixel % width, pixel // width % height
    covered = inside & (column // 2 < wide) & (row // 2 < tall)  # an odd side's last pixels are in no window
    window = ((pixel // width // height * tall + row // 2) * wide + column // 2) * channels + channel
    chosen = tl.load(where + window, covered, other=4) == row % 2 * 2 + column % 2
    value = tl.load(gradient + window, covered & chosen, other=0.0)
    tl.store(before + pixel * channels + channel, value, inside)


# Batch norm with a bias and the GELU behind it: sums over parts of the pixels, their sums, then pixel by pixel


@triton.jit
def _inside(ROWS: tl.constexpr, COLUMNS: tl.constexpr, start, pixels, channels):
    """Places (ROWS, COLUMNS) of the pixels from ``start`` on, which of them there are, and the channels (1, COLUMNS)."""
    pixel = start + tl.arange(0, ROWS)[:, None]
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    return pixel * channels + channel, (pixel < pixels) & (channel < channels), channel


@triton.jit
def _of_channel(values, channel, channels):
    return tl.load(values + channel, channel < channels, other=0.0).to(tl.float32)


@triton.jit
def _keep(sums, one, other, channels, COLUMNS: tl.constexpr):
    """Two sums of this program's part, in sums (PARTS, 2, C)."""
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    place = sums + tl.program_id(0) * 2 * channels + channel
    tl.store(place, tl.sum(one, 0), channel < channels)
    tl.store(place + channels, tl.sum(other, 0), channel < channels)


@triton.jit
def _sums(sums, channel, channels, PARTS: tl.constexpr):
    """Both sums of all parts."""
    place = sums + tl.arange(0, PARTS)[:, None] * 2 * channels + channel[None, :]
    known = tl.broadcast_to(channel[None, :] < channels, place.shape)
    return tl.sum(tl.load(place, known, other=0.0), 0), tl.sum(tl.load(place + channels, known, other=0.0), 0)


@triton.jit
def _slope(gradient, images, place, inside, channel, channels, bias, mean, scale):
    """The normalised values, and the gradient before the GELU, which rises by Φ(z) + z · φ(z)."""
    value = tl.load(images + place, inside, other=0.0).to(tl.float32)
    value = (value - _of_channel(mean, channel, channels)) * _of_channel(scale, channel, channels)
    z = value + _of_channel(bias, channel, channels)
    rise = 0.5 * (1 + tl.erf(z * 0.7071067811865476)) + z * tl.exp(-0.5 * z * z) * 0.3989422804014327
    return value, tl.load(gradient + place, inside, other=0.0).to(tl.float32) * rise


@kernel
def moments(images, sums, pixels, channels, each, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Sums of the values and of their squares, both less the first pixel's, so that large means cancel nothing."""
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    squares = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(tl.program_id(0) * each, tl.minimum((tl.program_id(0) + 1) * each, pixels), ROWS):
        place, inside, channel = _inside(ROWS, COLUMNS, start, pixels, channels)
        value = tl.load(images + place, inside, other=0.0).to(tl.float32)
        value = tl.where(inside, value - _of_channel(images, channel, channels), 0.0)
        total += value
        squares += value * value
    _keep(sums, total, squares, channels, COLUMNS)


@kernel
def finish(images, sums, running_mean, running_var, mean, scale, eps, momentum, pixels, channels, PARTS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """Mean and 1 / deviation from these sums; the running ones follow."""
    channel = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    known = channel < channels
    total, squares = _sums(sums, channel, channels, PARTS)
    away = total / pixels
    middle = _of_channel(images, channel, channels) + away
    variance = tl.maximum(squares / pixels - away * away, 0.0)
    tl.store(mean + channel, middle, known)
    tl.store(scale + channel, 1 / tl.sqrt(variance + eps), known)
    before = _of_channel(running_mean, channel, channels)
    tl.store(running_mean + channel, before + momentum * (middle - before), known)
    before = _of_channel(running_var, channel, channels)
    unbiased = variance * (pixels / (pixels - 1.0))
    tl.store(running_var + channel, before + momentum * (unbiased - before), known)


@kernel
def bend(images, bias, mean, scale, answer, pixels, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """GELU of the normalised values."""
    place, inside, channel = _inside(ROWS, COLUMNS, tl.program_id(0) * ROWS, pixels, channels)
    value = tl.load(images + place, inside, other=0.0).to(tl.float32)
    value = (value - _of_channel(mean, channel, channels)) * _of_channel(scale, channel, channels)
    value += _of_channel(bias, channel, channels)
    tl.store(answer + place, 0.5 * value * (1 + tl.erf(value * 0.7071067811865476)), inside)


@kernel
def slopes(
    gradient, images, bias, mean, scale, sums, pixels, channels, each, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Sums of the gradient before the GELU, and of it times the normalised values."""
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    along = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(tl.program_id(0) * each, tl.minimum((tl.program_id(0) + 1) * each, pixels), ROWS):
        place, inside, channel = _inside(ROWS, COLUMNS, start, pixels, channels)
        value, slope = _slope(gradient, images, place, inside, channel, channels, bias, mean, scale)
        total += slope
        along += slope * value
    _keep(sums, total, along, channels, COLUMNS)


@kernel
def add(sums, totals, pixels, channels, PARTS: tl.constexpr, COLUMNS: tl.constexpr):
    """All parts together: totals (2, C)."""
    channel = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    one, other = _sums(sums, channel, channels, PARTS)
    tl.store(totals + channel, one, channel < channels)
    tl.store(totals + channels + channel, other, channel < channels)


@kernel
def unbend(gradient, images, bias, mean, scale, totals, before, pixels, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """The gradient of the values, of which their mean and deviation take their share."""
    place, inside, channel = _inside(ROWS, COLUMNS, tl.program_id(0) * ROWS, pixels, channels)
    value, slope = _slope(gradient, images, place, inside, channel, channels, bias, mean, scale)
    slope -= _of_channel(totals, channel, channels) / pixels
    slope -= value * _of_channel(totals + channels, channel, channels) / pixels
    tl.store(before + place, _of_channel(scale, channel, channels) * slope, inside)
