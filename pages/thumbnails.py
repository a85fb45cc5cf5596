"""Shared: pictures on a page, pixel for pixel, and grids of them that can be clicked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from imgrec.images import Recalled, as_pillow, in_address, to_png
from pages import scripts

KEPT_ADDRESS, MOST_KEPT = 2**14, 1000  # characters of a picture's address up to which it is kept, and how many are
PHOTO = 2**19  # bytes beyond which a picture is sent as a JPEG


@dataclass(frozen=True)
class Tile:
    """A picture uint8 (H, W, C) in a grid, enlarged to about ``side`` pixels, with a caption, a longer text for the pointer
    and for screen readers, and what a click does to it, in words; ``name`` tells it from others where they may change."""

    picture: np.ndarray
    caption: str = ""
    title: str = ""
    marked: bool = False
    side: int = 0
    action: str = ""
    name: str = ""


def tiles(items: Sequence[Tile], key: str, size: int = 76, clickable: bool = True, columns: int = 0) -> int | None:
    """A grid of pictures at least ``size`` px wide that fits any screen, or scrolls sideways if it has a number of columns.

    Returns which one was just clicked, by mouse, finger or Enter key; None if it is not among them any more.
    """
    names = [item.name or str(number) for number, item in enumerate(items)]
    content = [
        {
            "name": name,
            "src": data_url(item.picture, item.side),
            "caption": item.caption,
            "title": item.title or item.caption,
            "marked": item.marked,
            "action": item.action,
        }
        for item, name in zip(items, names, strict=True)
    ]
    result = _tiles(
        key=key,
        data={"tiles": content, "size": size, "clickable": clickable, "columns": columns},
        on_clicked_change=lambda: None,
        height="content",
    )
    return names.index(result.clicked) if clickable and result.clicked in names else None


def image(picture: np.ndarray, alt: str, width: int | str = "stretch", side: int = 0, at=st) -> None:
    """A picture uint8 (H, W, C) as wide as asked, its pixels repeated until there are about ``side``, or ``width``, of them.

    Every pixel keeps its value: an array that st.image is given becomes a JPEG, in which colours run into each other.
    Only for large photos that is good enough.
    """
    side = side or (width if isinstance(width, int) else 0)
    at.image(picture if picture.nbytes > PHOTO else data_url(picture, side), width=width, alt=alt)


def data_url(picture: np.ndarray, side: int = 0) -> str:
    """A picture uint8 (H, W, C), enlarged to about ``side`` pixels, as a PNG inside an address; kept, for most pictures of a
    page are the same after the next click."""
    return _addresses.of(picture, lambda: in_address(to_png(enlarge(picture, side))), side)


_addresses = Recalled(MOST_KEPT, worth=lambda address: len(address) <= KEPT_ADDRESS)


def thumbnail_url(picture: np.ndarray, most: int = 96) -> str:
    """A picture uint8 (H, W, C) inside an address, exactly, or at most about ``most`` pixels wide if it is larger."""
    if max(picture.shape[:2]) <= most:
        return data_url(picture)
    image = as_pillow(picture)
    file = io.BytesIO()
    image.reduce(-(-max(image.size) // most)).save(file, "JPEG", quality=85)
    return in_address(file.getvalue(), "jpeg")


def enlarge(picture: np.ndarray, side: int = 256) -> np.ndarray:
    """Repeat pixels until the picture is about ``side`` wide, so that browsers do not blur it."""
    grow = max(1, side // picture.shape[0])
    return picture.repeat(grow, 0).repeat(grow, 1)


_tiles = st.components.v2.component(
    "imgrec_tiles",
    html="<div class='grid'></div>",
    css=scripts.read("tile.css"),
    js=scripts.read("tile.js", "tiles.js"),
)
