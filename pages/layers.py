"""Layers: a network of one's own as a table of layers, with the shapes and weights it comes to; used by the page Train."""

from contextlib import suppress

import streamlit as st

from imgrec import charts, data, models
from imgrec.language import tr
from imgrec.models import custom
from pages import parts


def begin(model: str) -> None:
    """Begin the table anew with the layers of a model ``custom:LAYERS``, if they can be read."""
    with suppress(ValueError):
        custom.parse(model.removeprefix(custom.PREFIX))
        st.session_state["layers_begun"] = model.removeprefix(custom.PREFIX)
        st.session_state["layers_turn"] = st.session_state.get("layers_turn", 0) + 1


def _rows(specification: str) -> list[dict]:
    return [
        {
            "layer": kind,
            "number": float(number) if custom.KINDS[kind].number else None,
            "options": " ".join(f"{name}={value}" for name, value in options.items()),
        }
        for kind, number, options in custom.parse(specification)
    ]


def columns() -> dict:
    return {
    "layer": st.column_config.SelectboxColumn(tr("Layer"), options=list(custom.KINDS), required=True),
    "number": st.column_config.NumberColumn(tr("Number"), help=tr("Maps of a conv, window of a pool, outputs of a dense layer, share of dropout.")),
    "options": st.column_config.TextColumn(tr("Options"), help="kernel=5 stride=2 padding=0", max_chars=60),
}  # fmt: skip


def table(dataset: data.Dataset) -> str:
    """The table, and what it comes to for this data set; the model's name, ``custom:LAYERS``."""
    left, right = st.columns([3, 2])
    with left:
        rows = st.data_editor(
            _rows(st.session_state.get("layers_begun", custom.EXAMPLE)), num_rows="dynamic", column_config=columns(),
            key=f"custom_layers {st.session_state.get('layers_turn', 0)}", hide_index=True,
        )  # fmt: skip
        st.caption(tr("Add, change and remove rows; the last layer, one output per class, comes by itself."))
    written = st.session_state["layers_now"] = custom.PREFIX + ",".join(filter(None, map(_words, rows)))
    with right:
        try:
            found = models.layers(written, len(dataset.classes), dataset.channels, dataset.image_size)
        except (ValueError, RuntimeError) as error:
            st.error(parts.text(error, 300))
            return written
        parts.table(({**row, "shape": " × ".join(map(str, row["shape"]))} for row in found), height=320)
        st.caption(
            tr(
                "{parameters:,} weights, what each layer gives for one picture.",
                parameters=sum(row["parameters"] for row in found),
            )
        )
    parts.chart(charts.network(found), "custom_network", tr("The layers as boxes"))
    return written


def _words(row: dict) -> str:
    """A row as it is written in the model's name; empty if no layer is chosen."""
    number = row.get("number")
    parts_of = [row.get("layer") or "", "" if number is None else f"{number:g}", row.get("options") or ""]
    return " ".join(" ".join(parts_of).replace(",", " ").split()) if parts_of[0] else ""
