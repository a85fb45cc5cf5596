"""The look of every chart, and the words they share. Colours are Okabe and Ito's (2008), safe for the colour-blind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from imgrec.charts.figure import Figure
from imgrec.language import current

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8A8F98",
)  # fmt: skip
SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
MANY = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY)  # lines of one chart
RACERS = (VERMILION, ORANGE, GREEN, PURPLE)
HEAT = [[0.0, "rgba(0,114,178,0.04)"], [1.0, BLUE]]
ERRORS = [[0.0, "rgba(230,159,0,0.1)"], [1.0, "rgba(230,159,0,0.85)"]]  # the page's text is read on it, dark or light


def plain(text: str, most: int = 40) -> str:
    """A name from a stranger as text that Plotly shows as it is: no HTML, no line breaks, bounded."""
    text = " ".join(str(text).split())
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def percent(value: float) -> str:
    """A probability for people: never 100 % or 0 % for what is not quite that."""
    if 0.9995 <= value < 1:
        return "> 99.9%"
    if 0 < value < 0.0005:
        return "< 0.1%"
    return f"{value:.1%}"


def shares(least: float) -> list[float]:
    """An axis of shares up to 1 that begins a little below the ``least``, so that near ones can be told apart."""
    return [max(0.0, math.floor(10 * least) / 10) - 0.02, 1.02]


def styled(figure: Figure, height: int, x_title: str = "", y_title: str = "", **layout: Any) -> Figure:
    """The figure in the look of all, ``height`` pixels high, with what its axes show."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"align": "left"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,  # or a finger that wants to scroll the page would drag in the chart
        **layout,
    )
    figure.update_xaxes(automargin=True, **_titled(x_title), **_numbers())
    return figure.update_yaxes(automargin=True, **_titled(y_title), **_numbers())


def logarithmic(**settings: Any) -> dict[str, Any]:
    """The settings of a logarithmic axis."""
    return {"type": "log", **_numbers(log=True), **settings}


def _numbers(log: bool = False) -> dict[str, Any]:
    """How an axis writes large numbers where the language has no k, M and B for them."""
    if not current().startswith("zh"):
        return {}
    return {"exponentformat": "power"} if log else {"exponentformat": "none", "separatethousands": True}


def _titled(words: str) -> dict[str, Any]:
    return {"title": {"text": words}} if words else {}


def thin(rows: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of the rows, evenly chosen, always with the first and the last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]
