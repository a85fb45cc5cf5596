"""What a photo tells besides its pixels: place, time, camera; and the same photo without all that."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from imgrec.images import open_image
from imgrec.language import mark

TAGS = {0x010F: mark("Camera maker"), 0x0110: mark("Camera model"), 0x0131: mark("Software"), 0x013B: mark("Artist"),
        0x8298: mark("Copyright"), 0x0132: mark("Saved at")}  # fmt: skip
MORE = {0x9003: mark("Taken at"), 0xA430: mark("Owner"), 0xA431: mark("Serial number"), 0x9286: mark("Comment")}
EXIF, GPS = 0x8769, 0x8825


def told_by(content: bytes, name: str = "picture") -> dict[str, str]:
    """What the EXIF data of a picture file tells, {what: value}; "Place" in degrees if it says where. Raises ImageError.

    Values are cut to 100 characters: they come from strangers.
    """
    open_image(content, name)  # the gate: whole, not too large, of a kind that is read here
    with Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
        found = {title: _text(exif[tag]) for tag, title in TAGS.items() if tag in exif}
        inner = exif.get_ifd(EXIF)
        found |= {title: _text(inner[tag]) for tag, title in MORE.items() if tag in inner}
        if place := _place(exif.get_ifd(GPS)):
            found = {mark("Place"): f"{place[0]:.5f}, {place[1]:.5f}", **found}
    return {title: value for title, value in found.items() if value}


def stripped(content: bytes, name: str = "picture", most: int = 0) -> tuple[bytes, str]:
    """The same picture as the gate sees it (upright, on white, of 8 bits) in a file that tells nothing but its pixels, and
    its ending, "jpg" or "png"; no side longer than ``most`` pixels, if that is given. Raises ImageError."""
    plain = open_image(content, name)
    kind = "JPEG" if plain.info["format"] in ("JPEG", "MPO", "HEIF") else "PNG"
    plain.info.clear()
    if most:
        plain.thumbnail((most, most), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    plain.save(file, kind, quality=95)
    return file.getvalue(), "jpg" if kind == "JPEG" else "png"


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:100]


def _place(gps: dict[int, Any]) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, if both are there and make sense."""
    try:
        values = []
        for tag, negative in ((2, "S"), (4, "W")):
            degrees, minutes, seconds = map(float, gps[tag])
            value = degrees + minutes / 60 + seconds / 3600
            values.append(-value if str(gps.get(tag - 1, "")).upper().startswith(negative) else value)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (values[0], values[1]) if abs(values[0]) <= 90 and abs(values[1]) <= 180 else None
