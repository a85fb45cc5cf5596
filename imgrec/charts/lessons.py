"""Charts of the lessons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgrec.charts.figure import Figure, bar, contour
from imgrec.charts.style import BLUE, MANY, ORANGE, RACERS, VERMILION, plain, styled
from imgrec.language import tr


def histogram(values: Sequence[float], title: str, bins: int = 30, counted: str = "") -> Figure:
    """How often each value occurs; ``counted``: of what."""
    counts, edges = np.histogram(np.asarray(values), bins)
    middles = (edges[:-1] + edges[1:]) / 2
    bars = bar(
        x=middles,
        y=counts,
        width=np.diff(edges) * 0.95,
        marker={"color": BLUE},
        hovertemplate="%{x:.3g}: %{y}<extra></extra>",
    )
    figure = styled(Figure(bars), 230, x_title=title, y_title=counted or tr("pixels"), showlegend=False)
    return figure.update_layout(margin={"t": 8}).update_xaxes(fixedrange=True).update_yaxes(fixedrange=True)


def functions(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], at: tuple[float, float] | None = None
) -> Figure:
    """Functions as lines, {name: (x, y)}, and a point on one of them."""
    figure = Figure()
    for (name, (x, y)), colour in zip(curves.items(), MANY, strict=False):
        figure.add_scatter(x=x, y=y, mode="lines", name=plain(name), line={"color": colour, "width": 3})
    if at:
        figure.add_scatter(
            x=[at[0]], y=[at[1]], mode="markers", marker={"color": VERMILION, "size": 13}, showlegend=False
        )
    return styled(figure, 320, showlegend=True).update_xaxes(fixedrange=True).update_yaxes(fixedrange=True)


def race(
    axis: Sequence[float], heights: np.ndarray, paths: Mapping[str, np.ndarray], lowest: Sequence[tuple[float, float]]
) -> Figure:
    """A landscape from above, dark is low, with the path of each optimiser on it; paths float (n, 3)."""
    reach = float(max(axis))
    lifted = np.log1p(heights - heights.min())  # so that the bottom of a valley shows its slope as well
    ground = contour(
        x=axis, y=axis, z=lifted, colorscale=[[0, "#35506b"], [1, "#eef2f6"]], showscale=False, ncontours=18,
        hoverinfo="skip", line={"width": 0.5, "color": "rgba(255,255,255,0.5)"},
    )  # fmt: skip
    figure = Figure(ground)
    figure.add_scatter(
        x=[x for x, _ in lowest], y=[y for _, y in lowest], mode="markers", name=tr("lowest"), showlegend=False,
        marker={"symbol": "star", "size": 14, "color": "#ffffff", "line": {"color": "#000", "width": 1}}, hoverinfo="skip",
    )  # fmt: skip
    for (name, passed), colour in zip(paths.items(), RACERS, strict=False):
        inside = np.clip(passed[:, :2], -2 * reach, 2 * reach)
        figure.add_scatter(
            x=inside[:, 0], y=inside[:, 1], mode="lines+markers", name=plain(name), line={"color": colour, "width": 2.5},
            marker={"size": 5}, hovertemplate=f"{plain(name)}<br>%{{x:.3f}}, %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    styled(figure, 520).update_layout(legend={"orientation": "h", "y": -0.08, "yanchor": "top"}, margin={"t": 8})
    figure.update_xaxes(range=[-reach, reach], fixedrange=True)
    return figure.update_yaxes(range=[-reach, reach], fixedrange=True)


def falling(lines: Mapping[str, Sequence[float]], x: str, y: str, logarithmic: bool = False) -> Figure:
    """Values by step, one line each."""
    figure = Figure()
    for (name, values), colour in zip(lines.items(), RACERS, strict=False):
        figure.add_scatter(y=list(values), mode="lines", name=plain(name), line={"color": colour, "width": 2.5})
    styled(figure, 300, x_title=x, y_title=y, showlegend=len(lines) > 1)
    return figure.update_yaxes(type="log" if logarithmic else "linear")


def signed_bars(names: Sequence[str], values: Sequence[float]) -> Figure:
    """Lying bars to both sides of zero, the first on top, each with its number."""
    places = list(range(len(values)))[::-1]
    bars = bar(
        x=values, y=places, orientation="h", marker={"color": [ORANGE if v >= 0 else BLUE for v in values]},
        text=[f"{v:+.2f}" for v in values], textposition="outside", cliponaxis=False, hoverinfo="skip",
    )  # fmt: skip
    figure = styled(Figure(bars), 46 + 34 * len(values), bargap=0.25)
    most = max(1.0, *(abs(v) for v in values)) * 1.25
    figure.update_layout(margin={"t": 4, "r": 24}).update_xaxes(range=[-most, most], zeroline=True, fixedrange=True)
    return figure.update_yaxes(tickvals=places, ticktext=[plain(name) for name in names], fixedrange=True)
