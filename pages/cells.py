"""Shared: a map whose cells are chosen by pointing, by arrow keys, or one after another by itself; it moves two sliders."""

from __future__ import annotations

import numpy as np
import streamlit as st

from imgrec.language import tr
from pages import scripts, thumbnails

_cells = st.components.v2.component(
    "imgrec_cells",
    html="<button class='map'><img></button><button class='play'><span aria-hidden='true'></span> <span></span></button><div class='heard' role='status'></div>",
    css=scripts.read("heard.css", "cells.css"),
    js=scripts.read("cells.js"),
)


def cells(picture: np.ndarray, values: np.ndarray, at: tuple[int, int], sliders: tuple[str, str], alt: str, width: int = 0) -> None:  # fmt: skip
    """A picture of a map of ``values`` (H, W), of which the one ``at`` is chosen; what is chosen instead goes to the two
    sliders."""
    key, shape = f"cells {sliders[0]}", values.shape
    said = tr("Row {row}, column {column}: {value:.2f}", row=at[0], column=at[1], value=float(values[at]))

    def chosen() -> None:
        cell = st.session_state[key].get("cell")
        for slider, place, side in zip(sliders, cell or (), shape, strict=False):
            if side > 1:  # along a single cell there is no slider
                st.session_state[slider] = int(place)

    _cells(
        key=key,
        data={"src": thumbnails.data_url(picture), "alt": alt, "width": width, "rows": shape[0], "columns": shape[1], "row": at[0], "column": at[1],
              "said": said, "play": tr("Play"), "pause": tr("Pause")},
        on_cell_change=chosen,
        height="content",
    )  # fmt: skip
