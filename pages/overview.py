"""Shared: a whole network at a glance, its layers side by side, with wires between their maps; a click chooses a map."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import streamlit as st

from imgrec.charts import percent
from imgrec.language import mark, tr
from imgrec.lessons.network import Layer, fed_by, shown_of, wires
from pages import scripts, teaching, thumbnails

MAPS, COLUMNS, SIDE = 8, 20, 40  # of a layer that are shown; layers; pixels along a map
LEAST = 24  # pixels along a map that a finger still hits
KINDS = {  # PyTorch's names of layers that are words; others, such as ReLU, are names in every language
    "Conv2d": mark("Convolution"),
    "MaxPool2d": mark("Max pooling"),
    "AdaptiveMaxPool2d": mark("Max pooling"),
    "AvgPool2d": mark("Average pooling"),
    "AdaptiveAvgPool2d": mark("Average pooling"),
    "BatchNorm2d": mark("Batch norm"),
    "Linear": mark("Dense"),
}
PLAIN = ("BatchNorm2d", "ReLU", "ReLU6", "GELU", "SiLU", "Hardswish")  # left out where there are too many layers


def kind_of(layer: Layer) -> str:
    """What kind of layer it is, in the reader's language; one of our own is of the kind that it was made from."""
    names = (kind.__name__ for kind in type(layer.module).__mro__)
    return tr(next((KINDS[name] for name in names if name in KINDS), layer.kind))


def show(
    picture: np.ndarray, found: list[Layer], names: Sequence[str], probabilities: np.ndarray, chosen: tuple[int, int],
    choose: Callable[[int, int], None],
) -> None:  # fmt: skip
    """The picture, the first maps of each layer, the classes; ``chosen``: layer and map, which are framed. A click calls
    ``choose`` with others."""

    def clicked() -> None:
        with suppress(TypeError, ValueError, IndexError, OverflowError):  # whatever a browser sends
            layer, number = map(int, st.session_state["network_overview"].get("clicked"))
            if layer >= 0 and 0 <= number < len(found[layer].values):
                choose(layer, number)

    shown = layers_shown(found, chosen[0])
    columns = [{"title": tr("Picture"), "size": _size(picture.shape[:2]), "layer": -1, "cells": [_picture(picture)]}]
    maps = {index: shown_of(found[index], MAPS, chosen[1] if index == chosen[0] else None) for index in shown}
    columns += [column(found, index, maps) for index in shown]
    scores = len(columns[-1]["cells"]) == len(names) and shown[-1] == len(found) - 1
    columns.append(classes(names, probabilities, len(columns) - 1 if scores else None))
    _overview(
        key="network_overview",
        data={"columns": columns, "chosen": list(chosen), "side": SIDE, "least": LEAST},
        on_clicked_change=clicked,
        height="content",
    )


def classes(names: Sequence[str], probabilities: np.ndarray, before: int | None) -> dict:
    """What comes out: all classes behind the numbers of the column ``before``, or the likeliest."""
    order = np.argsort(-probabilities)[:MAPS].tolist() if before is None else range(len(names))
    shares = [float(probabilities[i]) for i in order]
    cells = [
        {"title": f"{names[i]}: {percent(share)}", "text": names[i], "share": share}
        for i, share in zip(order, shares, strict=True)
    ]
    wires = [] if before is None else np.eye(len(cells)).tolist()
    return {
        "title": tr("Softmax"),
        "size": str(len(names)),
        "layer": -1,
        "cells": cells,
        "from": before,
        "wires": wires,
    }


def layers_shown(found: list[Layer], chosen: int) -> list[int]:
    """Which layers have a column: all, or if they are too many those near the chosen one that do more than bend or shift."""
    every = list(range(len(found)))
    if len(every) > COLUMNS:
        every = [i for i in every if found[i].kind not in PLAIN or i == chosen]
    first = max(0, min(every.index(chosen) - COLUMNS // 2, len(every) - COLUMNS))
    return every[first : first + COLUMNS]


def column(found: list[Layer], index: int, shown: dict[int, list[int]]) -> dict:
    """One layer: some of its maps or numbers, which ``shown`` says of all layers that have a column, and the wires to one of
    these."""
    layer, numbers = found[index], shown[index]
    before = fed_by(found, index)
    while before not in (None, -1, *shown) and found[before].kind in PLAIN:  # its maps are those before it
        before = fed_by(found, before)
    strengths = np.zeros((0, 0))
    if before == -1:
        channels = len(layer.given)
        strengths = wires(found, index, numbers, channels, range(channels)).max(1, keepdims=True)
    elif before in shown:
        strengths = wires(found, index, numbers, len(found[before].values), shown[before])
    return {
        "title": kind_of(layer),
        "size": _size(layer.values.shape),
        "layer": index,
        "cells": [_cell(layer.values[number], number, layer) | {"number": number} for number in numbers],
        "from": 1 + list(shown).index(before) if before in shown else 0,
        "wires": strengths.round(3).tolist(),
    }


def _cell(values: np.ndarray, number: int, layer: Layer) -> dict:
    if values.ndim == 0:
        most = max(float(np.abs(layer.values).max()), 1e-9)
        colour = teaching.shades(np.array([[values / most, 1.0]]), signed=True)[:, :1]
        return {
            "src": thumbnails.data_url(colour),
            "title": tr("{name}: {value}", name=tr("unit {i}", i=number), value=f"{float(values):.2f}"),
        }
    step = max(1, values.shape[0] // SIDE)
    return {
        "src": thumbnails.data_url(teaching.shades(values[::step, ::step], signed=True)),
        "title": tr("Map {i}", i=number),
    }


def _picture(picture: np.ndarray) -> dict:
    return {"src": thumbnails.thumbnail_url(picture), "title": tr("The picture as the network sees it")}


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


_overview = st.components.v2.component(
    "imgrec_overview",
    html="<div class='scroll'><div class='net'><svg aria-hidden='true'></svg></div></div>",
    css=scripts.read("overview.css"),
    js=scripts.read("overview.js"),
)
