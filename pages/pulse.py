"""Shared: the head of a run, drawn by the browser itself, which asks the server every second or two for what has changed."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages import scripts

Said = tuple[str, str, str]  # a coloured box: info, success, warning or error; what it begins with, bold; the rest


def pulse(content: Mapping[str, Any], address: str = "", show: bool = False) -> None:
    """Draw it, or change what is drawn; with an ``address``, below that of the dashboard, go on with what is told there, and
    draw the page anew when that is no longer ``live``. ``show``: scroll to it.

    ``content``: ``title`` holds the status, shown in ``colour``, and the words after it; ``bars`` the share from 0 to 1 and
    what it is of; ``figures`` label, value, help; ``said`` the sentences; ``curves`` Plotly figures, drawn by simple lines.
    """
    data = {"content": dict(content), "address": address, "show": show}
    _pulse(key="pulse", data=data, on_ended_change=lambda: None, height="content")


_pulse = st.components.v2.component(
    "imgrec_pulse",
    html="<div class='run'><div class='title'></div><div class='bars'></div><dl></dl><div class='said'></div><div class='curves'></div></div>",
    css=scripts.read("pulse.css"),
    js=scripts.read("pulse.js"),
)
