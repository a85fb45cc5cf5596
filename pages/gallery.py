"""Gallery: the pictures of a set, filtered and sorted, in a grid that scrolls through a million; shared by the pages on data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from imgrec import data
from imgrec.data import health
from imgrec.data.views import ORDERS, PLACES, View, select
from imgrec.language import tr
from pages import editing, parts, pickers, scripts, thumbnails
from pages.study import Study

MOST_TO_MEASURE = 20_000  # pictures that are measured while the visitor waits; 1 to 2 s
MOST_AT_ONCE = 240  # tiles that are sent at a time


def browse(dataset: data.Dataset, key: str = "samples") -> None:
    """Filters, order and grid; a click opens a picture, or picks it for a change to several. To be a fragment's body."""
    view = controls(dataset)
    measures = measured(dataset, ORDERS[view.order].measured)
    if ORDERS[view.order].measured and measures is None:
        return
    positions = selected(dataset.name, data.stamps(dataset.name), view, dataset, measures)
    several = editing.editable(dataset) and st.toggle(
        tr("Pick several"), key="several", help=tr("Click pictures to change them together.")
    )
    picked = st.session_state.setdefault("picked", set()) if several else set()
    if not len(positions):
        st.info(tr("No picture is like that; choose other classes, another split or another name."))
        return
    what = tr("Click a picture to pick it.") if several else tr("Click a picture to see it large.")
    st.caption(tr("{pictures}. {what}", pictures=parts.pictures(len(positions)), what=what))
    clicked = grid(dataset, positions, key, picked, view)
    if clicked is not None:
        if not several:
            editing.show(dataset, clicked)
        else:
            picked ^= {clicked}
            st.rerun(scope="fragment")
    if several:
        several_picked(dataset, positions, picked)


def several_picked(dataset: data.Dataset, positions: np.ndarray, picked: set[int]) -> None:
    """What can be done with those that are picked."""
    picked &= set(np.flatnonzero(dataset.splits != data.LEFT_OUT).tolist()) if picked else set()
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(tr("Pick all {positions:,}", positions=len(positions)), icon=":material/select_all:"):
            picked |= set(positions.tolist())
            st.rerun(scope="fragment")
        if st.button(tr("Pick none"), icon=":material/deselect:", disabled=not picked):
            picked.clear()
            st.rerun(scope="fragment")
        st.caption(tr("{picked:,} picked", picked=len(picked)))
    if picked:
        editing.correct(dataset, tuple(sorted(picked)), "several")


def controls(dataset: data.Dataset) -> View:
    """The filters and the order that are chosen, folded away until somebody wants them."""
    with st.expander(tr("Filter and sort"), icon=":material/tune:"):
        first, second = st.columns([3, 2], vertical_alignment="bottom")
        shown = data.class_names(dataset.classes)
        classes = first.multiselect(
            tr("Classes"), range(len(dataset.classes)), key="sample_classes", placeholder=tr("All classes"),
            format_func=lambda i: " ".join(shown[i].split()) if i < len(shown) else "",
        )  # fmt: skip
        there = [place for place, code in PLACES.items() if (dataset.splits == code).any()]
        places = second.segmented_control(
            tr("Split"),
            there,
            key="sample_places",
            format_func=tr,
            selection_mode="multi",
            help=tr("None chosen: all but those left out."),
        )
        first, second = st.columns([3, 2], vertical_alignment="bottom")
        text = first.text_input(tr("File name contains"), key="sample_text", max_chars=100)
        order = second.selectbox(
            tr("Order"),
            ORDERS,
            key="sample_order",
            format_func=lambda name: tr(ORDERS[name].title),
            persist_state="session",
        )
        if order == "mixed":
            descending = False
            if st.button(tr("Shuffle"), icon=":material/shuffle:", help=tr("Mix them anew.")):
                st.session_state["sample_seed"] = st.session_state.get("sample_seed", 0) + 1
        else:
            descending = st.toggle(tr("Largest first"), key="sample_down")
    names = tuple(dataset.classes[i] for i in classes if i < len(dataset.classes))
    return View(names, tuple(places), text, order, descending, st.session_state.get("sample_seed", 0))


@st.cache_resource(max_entries=12, show_spinner=False)
def selected(name: str, stamps: tuple[int, ...], view: View, _dataset: data.Dataset, _measures) -> np.ndarray:
    return select(_dataset, view, _measures)


def grid(
    dataset: data.Dataset, positions: np.ndarray, key: str, picked: set[int], version: object,
    captions: Callable[[int], str] | None = None,
) -> int | None:  # fmt: skip
    """A grid of the pictures at ``positions`` that asks for those in sight. Gives the position just clicked.

    It begins at the top again when ``version``, what was asked for, is another. ``captions`` gives the line, or two, under
    a picture instead of its label. A click opens one, or where ``picked`` is the visitor's own choice, picks it.
    """
    several = picked is st.session_state.get("picked")
    action = tr("Pick") if several else tr("Enlarge")
    version = f"{dataset.name} {version}"
    asked = (st.session_state.get(key) or {}).get("sight") or {}
    first, count = (asked["first"], asked["count"]) if asked.get("version") == version else (0, 140)
    first = min(max(int(first), 0), len(positions) - 1)
    shown = positions[first : first + min(int(count), MOST_AT_ONCE)].tolist()
    tiles = [tile(dataset, p, p in picked, captions(p) if captions else None, action) for p in shown]
    result = _gallery(
        key=key,
        data={
            "version": version, "total": len(positions), "first": first, "size": 76, "several": several,
            "lines": 1 + max(tile["caption"].count("\n") for tile in tiles),
            "name": tr("Pictures"),
            "tiles": tiles,
        },
        on_sight_change=lambda: None,
        on_clicked_change=lambda: None,
        height="content",
    )  # fmt: skip
    clicked = result.clicked
    return int(positions[clicked]) if clicked is not None and 0 <= clicked < len(positions) else None


def tile(dataset: data.Dataset, position: int, picked: bool, caption: str | None = None, action: str = "") -> dict:
    """What the browser needs of one picture; ``action``: what a click does, in words."""
    words = editing.called(dataset, editing.label(dataset, position)) if caption is None else caption
    return {
        "src": thumbnails.thumbnail_url(dataset.images[position]),
        "caption": "\n".join(line[:24] for line in words.split("\n")),
        "title": f"{dataset.files[position]}, {editing.place(dataset, position)}",
        "marked": picked,
        "action": action,
    }


def measured(dataset: data.Dataset, wanted: bool = True) -> health.Measures | None:
    """The measures of a set: made at once for small ones, by a process of its own, on request, for large ones."""
    if not wanted:
        return None
    if len(dataset) <= MOST_TO_MEASURE:
        with st.spinner(tr("Measuring the pictures …")):
            return _measured(dataset.name, data.stamps(dataset.name, edits=False))
    study = Study("odd", dataset.name)
    if study.found:
        return health.Measures(**study.found)
    study.offer(tr("Measure {dataset:,} pictures", dataset=len(dataset)))
    return None


@st.cache_resource(max_entries=12, show_spinner=False)
def _measured(name: str, stamps: tuple[int, ...]) -> health.Measures:
    return health.measure(pickers.open_dataset(name))


_gallery = st.components.v2.component(
    "imgrec_gallery",
    html="<div class='view' role='group' tabindex='-1'><div class='room'><div class='grid'></div></div></div>",
    css=scripts.read("tile.css", "gallery.css"),
    js=scripts.read("tile.js", "back.js", "gallery.js"),
)
