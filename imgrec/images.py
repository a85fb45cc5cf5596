"""The one gate for untrusted image bytes: a checked, upright picture in 8 bits, the same for training and prediction.

Where the bytes come from, and what network sees the pixels, is the business of others.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import re
import unicodedata
import warnings
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from imgrec.language import listed, mark, tr

Made = TypeVar("Made")
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")  # MPO, which phones write, enters Pillow as JPEG
EXTENSIONS = ("jpg", "jpeg", "jfif", "mpo", "png", "gif", "bmp", "webp", "tif", "tiff", "avif", "heic", "heif", "hif")
MOST_SCANS = 200  # of a progressive JPEG; they have about ten, and each is a pass over all pixels
MAX_MEGAPIXELS = 50  # rounded, for cameras of "50 megapixels" have up to 50.4

# What makes pictures of the EXIF orientations 2 to 8 upright; 1 is upright
TURNED = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
TURNS = {orientation: Image.Transpose[name] for orientation, name in enumerate(TURNED, 2)}
FOREIGN = {  # pictures that people bring but this gate does not read → how such files begin
    mark("HEIC photos"): rb"....ftyp(hei|hev|mif1|msf1)",
    mark("JPEG 2000 pictures"): rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    mark("JPEG XL pictures"): rb"\0\0\0\x0cJXL |\xff\x0a",
    mark("PDF documents"): rb"\s*%PDF",
    mark("SVG drawings"): rb"(\xef\xbb\xbf)?\s*<(svg|\?xml.*<svg|!--.*<svg|!doctype svg)",
}
HINTS = {  # what else can be said of a file that Pillow does not know → how such files begin
    mark(
        "its header is damaged or cut off"
    ): rb"\xff\xd8\xff|\x89PNG|GIF8.a|BM....\0{4}|RIFF|(II|MM)[*\0]{2}|....ftypavi",
    mark("it begins like text"): rb"(\xef\xbb\xbf)?([\t\n\f\r -~]|[\xc2-\xf4][\x80-\xbf]+)+[\xc2-\xf4]?\Z",
}
with contextlib.suppress(ImportError):  # the photos of iPhones, where their reader is installed
    import pillow_heif

    pillow_heif.register_heif_opener(depth_images=False, decode_threads=1)  # others are decoded at the same time
    FORMATS += ("HEIF",)
    HINTS[next(iter(HINTS))] += b"|" + FOREIGN.pop("HEIC photos")
QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)  # an entry of warnings.filters
TOO_LARGE = mark("it has more than {most} megapixels; save it smaller")


class ImageError(ValueError):
    """A picture that cannot be used; the message is one sentence that names the file and the reason."""


def open_image(
    source: bytes | str | os.PathLike | BinaryIO, name: str | None = None, at_least: int | None = None
) -> Image.Image:
    """The picture in ``source``, fully decoded, upright by its EXIF orientation, without transparency or metadata.

    ``source`` is the content, a path, or a binary file, which is read from its start and left open. ``name`` stands
    for it in messages. The mode is "L" if the file stores grey pixels, else "RGB"; transparent parts lie on white, of
    16 bits the upper 8 stay, and of an animation the first frame. With ``at_least`` a large JPEG may come at a half, a
    quarter or an eighth of its size, much faster, with at least twice that many pixels on its shorter side. Its ``info``
    holds only the file's "mode" and "format", as Pillow calls them.

    Raises ImageError on everything that cannot be read whole, or has more than MAX_MEGAPIXELS by its header.
    """
    label = safe_name(_name_of(source) if name is None else name)
    try:
        with _opened(source) as file:
            return _decoded(file, at_least)
    except ImageError as error:
        raise ImageError(tr("{file}: {reason}.", file=label, reason=error)) from None
    except Image.DecompressionBombError:
        raise ImageError(tr("{file}: {reason}.", file=label, reason=tr(TOO_LARGE, most=MAX_MEGAPIXELS))) from None
    except MemoryError:
        raise ImageError(tr("{label}: it does not fit into the memory; save it smaller.", label=label)) from None
    except Exception as error:  # decoders raise OSError, ValueError, TypeError, struct.error and more
        text = "".join(filter(str.isprintable, str(error)))[:120].rstrip(". ").replace(". ", "; ") or repr(error)
        raise ImageError(tr("{label}: it is damaged or cut off ({text}).", label=label, text=text)) from error


def of_pillow(image: Image.Image) -> Image.Image:
    """A picture that somebody has opened already, as `open_image` would give it, but for ``info``. Raises ImageError."""
    if 0 in image.size:
        raise ImageError(tr("The picture has no pixels."))
    try:
        image.load()
        return _upright(image)
    except ImageError as error:
        raise ImageError(tr("{file}: {reason}.", file=safe_name(_name_of(image)), reason=error)) from None


def safe_name(name: str) -> str:
    """A file's name for messages: the last part of its path without control characters, at most 200 characters."""
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    kept = "".join(character for character in last if unicodedata.category(character)[0] != "C")
    return " ".join(kept.split())[:200] or "picture"


def fit(image: Image.Image, size: int, channels: int, resize: str = "crop") -> np.ndarray:
    """The picture as a network takes it: uint8 (size, size, channels), contiguous and writable.

    ``channels`` is 1 or 3 and ``resize`` a key of RESIZES. A picture that has the size keeps its pixels bit for bit.
    Raises ValueError on other channels, another policy or a size below 1.
    """
    if channels not in (1, 3) or resize not in RESIZES or size < 1:
        given = f"{size} pixels, {channels} channels and {resize!r} were given"
        raise ValueError(
            tr(
                "{given}; expected at least 1 pixel, 1 or 3 channels and one of {resizes}.",
                given=given,
                resizes=listed(RESIZES),
            )
        )
    if image.mode not in ("L", "RGB"):
        image = _eight_bit(image)
    if channels == 1:
        image = image.convert("L")
    if image.size != (size, size):
        image = RESIZES[resize](image, size)
    if channels == 3:  # after the resizing, which is faster in grey
        image = image.convert("RGB")
    return np.array(image).reshape(size, size, channels)


def crop(image: Image.Image, size: int) -> Image.Image:
    """The largest square in the middle: true proportions, but the ends of the longer side are lost."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))


def pad(image: Image.Image, size: int) -> Image.Image:
    """The whole picture in true proportions, centred on black as the digits of MNIST are."""
    longer = max(image.size)
    width, height = (max(1, round(side * size / longer)) for side in image.size)
    square = Image.new(image.mode, (size, size))
    square.paste(image.resize((width, height), Image.Resampling.BILINEAR), ((size - width) // 2, (size - height) // 2))
    return square


def squash(image: Image.Image, size: int) -> Image.Image:
    """The whole picture, its longer side pressed together: nothing is lost but the proportions."""
    return image.resize((size, size), Image.Resampling.BILINEAR)


RESIZES = {"crop": crop, "pad": pad, "squash": squash}  # Pillow's BILINEAR is antialiased: it takes in all pixels


def as_pillow(pixels: np.ndarray) -> Image.Image:
    """A picture uint8 (H, W), (H, W, 1) or (H, W, 3) as Pillow has it."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


def to_png(array: np.ndarray) -> bytes:
    """``array``, uint8 (H, W), (H, W, 1) or (H, W, 3), as the bytes of a PNG file. Raises ValueError on any other."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,)) or not array.size:
        raise ValueError(
            tr(
                "The array is {dtype} {shape}; give uint8 (H, W), (H, W, 1) or (H, W, 3).",
                dtype=array.dtype,
                shape=array.shape,
            )
        )
    file = io.BytesIO()
    as_pillow(array).save(
        file, "PNG", compress_type=zlib.Z_RLE
    )  # half the time of the default; smaller where pixels are repeated
    return file.getvalue()


# Behind the gate; an ImageError from here on holds only the reason, without name and full stop


def _name_of(source: object) -> str:
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", getattr(source, "filename", ""))
    return os.fsdecode(name) if isinstance(name, str | os.PathLike) else ""  # some open files have a number there


def _opened(source: bytes | str | os.PathLike | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        return contextlib.nullcontext(source if source.seekable() else io.BytesIO(source.read()))
    if os.path.exists(source) and not os.path.isfile(source):  # opening a pipe would wait for ever
        raise ImageError(
            tr(
                "this is a folder; give a picture file"
                if os.path.isdir(source)
                else "this is no ordinary file; give a picture file"
            )
        )
    try:
        return open(source, "rb")
    except (OSError, ValueError) as error:
        raise ImageError(tr("it cannot be opened ({error})", error=getattr(error, "strerror", None) or error)) from None


def _decoded(file: BinaryIO, at_least: int | None) -> Image.Image:
    if warnings.filters[:1] != [QUIET]:  # not catch_warnings, which would exchange the filters of all threads
        warnings.filterwarnings("ignore", module=QUIET[3].pattern)
    file.seek(0)
    head = file.read(1024)
    if not head:
        raise ImageError(tr("the file is empty"))
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(_kind(head)) from None
    if round(image.width * image.height / 1e6) > MAX_MEGAPIXELS:  # before load(), which takes the memory
        raise ImageError(tr(TOO_LARGE, most=MAX_MEGAPIXELS))
    if image.info.get("progressive") and _scans(file) > MOST_SCANS:
        raise ImageError(tr("it is a JPEG of more than {most} scans, which may take minutes to read; save it anew", most=MOST_SCANS))  # fmt: skip
    if at_least:  # twice: at 1.0 to 2.0 the following resize would show the coarse steps of the JPEG's own scaling
        image.draft(None, (2 * at_least, 2 * at_least))
    image.load()
    plain = _upright(image)  # always new, without the file
    plain.info = {"mode": image.mode, "format": image.format or ""}
    return plain


def _scans(file: BinaryIO) -> int:
    """How many times a progressive JPEG goes over its pixels: by the markers that begin a scan, which cannot stand in its data."""
    place = file.tell()
    file.seek(0)
    count = file.read().count(b"\xff\xda")
    file.seek(place)
    return count


def _kind(head: bytes) -> str:
    """Why Pillow could not say what begins with ``head``."""
    for kind, beginning in FOREIGN.items():
        if re.match(beginning, head, re.DOTALL | re.IGNORECASE):
            return tr("{kind} are not read here; save it as JPEG or PNG", kind=tr(kind))
    hints = [tr(hint) for hint, beginning in HINTS.items() if re.match(beginning, head, re.DOTALL)]
    hints.append(tr("{formats} are read", formats=listed(FORMATS)))
    return tr("this is not a picture that can be read ({hint})", hint=hints[0])


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of a loaded picture, or 1 where it is missing or nonsense; files hold strings, too."""
    try:
        value = image.getexif().get(0x0112)
    except Exception:  # damaged EXIF is no reason to refuse sound pixels
        return 1
    return value if type(value) is int else 1


def _upright(image: Image.Image) -> Image.Image:
    """A loaded picture of any mode as a new one of mode L or RGB, turned as its EXIF data say."""
    plain, turn = _eight_bit(image), TURNS.get(_orientation(image))
    return plain if turn is None else plain.transpose(turn)


def _eight_bit(image: Image.Image) -> Image.Image:
    """A loaded picture of any mode as a new one of mode L or RGB."""
    if image.mode == "F":
        raise ImageError(tr("its pixels are floating-point numbers without an agreed white; save it with 8 or 16 bits"))
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return image.convert("L" if grey else "RGB")
    image = image.convert("LA" if grey else "RGBA")
    on_white = Image.new("L" if grey else "RGB", image.size, "white")
    on_white.paste(image.convert(on_white.mode), mask=image.getchannel("A"))
    return on_white


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Upper 8 of 16 bits, as Pillow takes them from 16-bit colour; ``convert`` would make all above 255 white."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            tr(
                "its pixels are numbers from {min} to {max}; save it with 8 or 16 bits",
                min=values.min(),
                max=values.max(),
            )
        )
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    pixels = (values >> (4 if tags.get(258) == (12,) else 8)).astype(np.uint8)  # 258: bits per sample
    if tags.get(262) == 0:  # the photometric interpretation in which 0 is white
        pixels = 255 - pixels
    pixels[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(pixels)


def in_address(content: bytes, kind: str = "png") -> str:
    """A picture file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


class Recalled:
    """What was made of pictures before, by their pixels; when there is of ``most``, all is forgotten. What is not ``worth``
    it is made anew each time. Safe to share between threads."""

    def __init__(self, most: int, worth: Callable[[Any], bool] = lambda _: True) -> None:
        self.most, self.worth, self.known = most, worth, {}

    def of(self, pictures: np.ndarray, make: Callable[[], Made], *more: object) -> Made:
        """What ``make`` makes of the pictures, uint8 of any shape, and of ``more``."""
        asked = (blake2b(np.ascontiguousarray(pictures), digest_size=16).digest(), pictures.shape, *more)
        made = self.known.get(asked)
        if made is None:
            made = make()
            if len(self.known) >= self.most:
                self.known.clear()
            if self.worth(made):
                self.known[asked] = made
        return made
