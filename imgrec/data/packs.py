"""Packed pixels: every picture of a stored set at one size, as one uint8 array on disk that is mapped, not loaded.

packed/SIZE-CHANNELS-RESIZE-XXXXXXXX.npy, where X tells the originals and the rules they were packed by
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from imgrec.data.dataset import DatasetError
from imgrec.data.parallel import in_order
from imgrec.data.store import LEFTOVER_SECONDS, Stored
from imgrec.home import changed_at, no_room, replaced
from imgrec.images import ImageError, as_pillow, fit, open_image
from imgrec.language import tr

RULES = "1"  # change it when imgrec.images changes the pixels it gives: all packs are then made again
CHUNK = 32  # pictures per piece of work
KEPT = 12  # packs of a set, those that were opened last

Progress = Callable[[int, int | None], None]  # (done, total); total is None where it is not known


def packed(stored: Stored, size: int, channels: int, resize: str, progress: Progress | None = None) -> np.ndarray:
    """All pictures, uint8 (N, size, size, channels), mapped read-only; made first if they aren't there or aren't whole.

    Two processes may make the same pack at once: each writes its own file, and the last to finish replaces the other's.
    Raises DatasetError if an original can't be read or the workspace may not grow, OSError if the disk is full.
    """
    shape = (len(stored.files), size, size, channels)
    if stored.pixels == shape[1:] and _is_whole(stored):
        return np.memmap(stored.path / "originals.bin", np.uint8, "r", shape=shape)
    stem = f"{size}-{channels}-{resize}-"
    path = stored.path / "packed" / f"{stem}{_stamp(stored)}.npy"
    try:
        return _mapped(path, shape)
    except (OSError, ValueError, EOFError):
        path.parent.mkdir(exist_ok=True)
        _sweep(path, stem)
    if reason := no_room(int(np.prod(shape, dtype=np.int64))):
        raise DatasetError(reason)
    _write(path, shape, _fitted(stored, size, channels, resize), progress)
    return _mapped(path, shape)


def _is_whole(stored: Stored) -> bool:
    """Whether originals.bin is one array in the table's order, with nothing left out."""
    length = int(np.prod(stored.pixels))
    gapless = np.array_equal(stored.items["offset"], np.arange(len(stored.files)) * length)
    return gapless and (stored.path / "originals.bin").stat().st_size == len(stored.files) * length


def _stamp(stored: Stored) -> str:
    return hashlib.sha256(RULES.encode() + stored.items["sha256"].tobytes()).hexdigest()[:8]


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    pixels = np.load(path, mmap_mode="r")  # raises ValueError if the file is shorter than its heading says
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise ValueError(
            tr("{name} holds {shape}, expected {expected}", name=path.name, shape=pixels.shape, expected=shape)
        )
    with suppress(OSError):  # of a folder that may only be read
        os.utime(path)  # that it was used, for `_sweep`
    return pixels


def _fitted(stored: Stored, size: int, channels: int, resize: str) -> Iterator[np.ndarray]:
    """The pictures in order, in pieces uint8 (n, size, size, channels)."""

    def decode(piece: tuple[int, list[bytes]]) -> np.ndarray:
        start, originals = piece
        pixels = np.empty((len(originals), size, size, channels), np.uint8)
        for index, original in enumerate(originals):
            try:
                pixels[index] = fit(_picture(stored, original, size), size, channels, resize)
            except ImageError as error:
                place = f"{stored.files[start + index]} in {stored.name}"
                raise DatasetError(
                    tr(
                        "{place} is damaged ({reason}); import the set again.",
                        place=place,
                        reason=str(error).rstrip("."),
                    )
                ) from error
        return pixels

    return in_order(decode, _originals(stored))


def _picture(stored: Stored, original: bytes, size: int) -> Image.Image:
    if stored.pixels is None:
        return open_image(original, at_least=size)
    pixels = np.frombuffer(original, np.uint8).reshape(stored.pixels)
    return as_pillow(pixels)


def _originals(stored: Stored) -> Iterator[tuple[int, list[bytes]]]:
    for start in range(0, len(stored.files), CHUNK):
        yield start, [stored.raw(index) for index in range(start, min(start + CHUNK, len(stored.files)))]


def _write(path: Path, shape: tuple[int, ...], pieces: Iterator[np.ndarray], progress: Progress | None) -> None:
    """Write an .npy file piece by piece under a temporary name, then give it its own.

    Not through a memory map: on a full disk that ends the process, where a write raises OSError.
    """
    with closing(pieces), replaced(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        done = 0
        for piece in pieces:
            file.write(piece)
            done += len(piece)
            if progress:
                progress(done, shape[0])


def _sweep(path: Path, stem: str) -> None:
    """Make room for one more: remove packs of other originals at this size, those that were not opened for longest, and
    what killed packings left more than a day ago."""
    found = sorted(path.parent.iterdir(), key=changed_at, reverse=True)
    packs = [file for file in found if file.suffix != ".tmp" and not file.name.startswith(stem)]
    stale = [file for file in found if file.name.startswith(stem) and file != path]
    killed = [file for file in found if file.suffix == ".tmp" and time.time() - changed_at(file) > LEFTOVER_SECONDS]
    for file in (*stale, *killed, *packs[KEPT - 1 :]):
        with suppress(PermissionError):  # on Windows, of what somebody reads; elsewhere that can be read on
            file.unlink(missing_ok=True)
