"""Scatter: pictures as points in the plane; hovering shows the picture, a click opens it, a line drawn around some picks them."""

from __future__ import annotations

import io

import numpy as np
import streamlit as st
from PIL import Image

from imgrec import data
from imgrec.images import as_pillow, in_address
from imgrec.language import tr
from pages import scripts

CELL = 40  # pixels of a picture in the sheet that hovering looks into
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A900", "#8A8F98", "#7B4FA3", "#7A5230",
)  # fmt: skip


def sheet(dataset: data.Dataset, positions: np.ndarray) -> str:
    """All the pictures small on one sheet, as a JPEG inside an address."""
    columns = int(np.ceil(np.sqrt(len(positions))))
    whole = Image.new("RGB", (columns * CELL, -(-len(positions) // columns) * CELL))
    for number, position in enumerate(positions.tolist()):
        picture = dataset.images[position]
        small = as_pillow(picture)
        shrink = small.reduce(small.width // CELL) if small.width >= 2 * CELL else small
        whole.paste(shrink.resize((CELL, CELL)), (number % columns * CELL, number // columns * CELL))
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=80)
    return in_address(file.getvalue(), "jpeg")


def scatter(
    dataset: data.Dataset, positions: np.ndarray, points: np.ndarray, sheet: str, pictures: bool, cells: np.ndarray,
    key: str,
) -> tuple[list[int] | None, int | None]:  # fmt: skip
    """Draw the map; ``points`` (N, 2) from 0 to 1, ``cells`` (N,) where the sheet holds each picture.

    Gives the positions just enclosed, and the one just clicked.
    """
    labels = dataset.labels[positions]
    names = data.class_names(dataset.classes)
    used = [index for index in np.unique(labels).tolist() if index >= 0]
    result = _scatter(
        key=key,
        data={
            "points": points.round(4).ravel().tolist(),
            "labels": labels.tolist(),
            "names": {str(index): " ".join(names[index].split())[:40] for index in used} | {"-1": "?"},
            "colours": {str(index): COLOURS[index % len(COLOURS)] for index in used} | {"-1": "#8A8F98"},
            "titles": [f"{names[dataset.labels[p]] if dataset.labels[p] >= 0 else '?'}: {dataset.files[p]}"[:90] for p in positions.tolist()],
            "name": tr("The map: arrow keys lead from one picture to the nearest in that direction, Enter opens it"),
            "sheet": sheet, "cell": CELL, "cells": cells.tolist(), "pictures": pictures,
        },
        on_enclosed_change=lambda: None,
        on_clicked_change=lambda: None,
        height="content",
    )  # fmt: skip
    enclosed = [int(positions[i]) for i in result.enclosed if 0 <= i < len(positions)] if result.enclosed else None
    clicked = result.clicked
    return enclosed, int(positions[clicked]) if clicked is not None and 0 <= clicked < len(positions) else None


_scatter = st.components.v2.component(
    "imgrec_scatter",
    html="<div class='legend'></div><div class='field'><canvas tabindex='0' role='application'></canvas><div class='tip' hidden><canvas></canvas><span></span></div><div class='heard' role='status'></div></div>",
    css=scripts.read("heard.css", "scatter.css"),
    js=scripts.read("back.js", "scatter.js"),
)
