"""Charts of what a network answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imgrec.charts.figure import Figure, bar, heatmap, scatter
from imgrec.charts.style import BLUE, ERRORS, GREY, HEAT, ORANGE, SKY, plain, shares, styled
from imgrec.language import tr


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], clickable: bool = False) -> Figure:
    """Rows are the true classes, columns the answers; colour is the share of the row, the number the pictures.

    ``clickable``: a point lies on every cell, whose ``customdata`` is its row and column.
    """
    counts = np.array(matrix)
    share, mistake = strengths(counts)
    names = [plain(name, 18) for name in classes]
    ticks = list(range(len(names)))
    hover = [
        [
            tr(
                "{truth} taken for {answer}: {counts} ({share:.1%})",
                truth=names[i],
                answer=names[j],
                counts=counts[i, j],
                share=share[i, j],
            )
            for j in ticks
        ]
        for i in ticks
    ]
    heat = heatmap(
        z=np.where(np.eye(len(names), dtype=bool), share, 0), x=ticks, y=ticks, colorscale=HEAT, zmin=0, zmax=1,
        showscale=False, xgap=1, ygap=1, text=counts if len(names) <= 15 else None, hovertext=hover, hoverinfo="text",
    )  # fmt: skip
    errors = heatmap(
        z=np.where(mistake, mistake, np.nan), x=ticks, y=ticks, colorscale=ERRORS, zmin=0, zmax=1, showscale=False,
        xgap=1, ygap=1, hoverinfo="skip",
    )  # fmt: skip
    figure = styled(Figure(heat, errors), min(760, 130 + 32 * len(names)), x_title=tr("answer"), y_title=tr("truth"))
    for font, chosen in _words_on(share, mistake) if len(names) <= 15 else ():
        figure.add_scatter(
            x=[j for _, j in chosen], y=[i for i, _ in chosen], mode="text", text=[str(counts[cell] or "") for cell in chosen],
            textfont=font, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    if clickable:
        cells = [(i, j) for i in ticks for j in ticks if counts[i, j]]
        figure.add_scatter(
            x=[j for _, j in cells], y=[i for i, _ in cells], mode="markers", customdata=cells, showlegend=False,
            marker={"symbol": "square", "size": max(8, min(30, 600 // len(names))), "opacity": 0, "color": BLUE},
            hovertext=[hover[i][j] for i, j in cells], hoverinfo="text",
        )  # fmt: skip
    figure.update_layout(margin={"t": 12}).update_yaxes(title={"text": tr("truth"), "standoff": 16})
    figure.update_xaxes(
        tickvals=ticks,
        ticktext=names,
        tickangle=-45 if sum(map(len, names)) > 40 else 0,
        range=[-0.5, len(names) - 0.5],
        showgrid=False,
        zeroline=False,
    )
    return figure.update_yaxes(
        tickvals=ticks, ticktext=names, range=[len(names) - 0.5, -0.5], showgrid=False, zeroline=False
    )


def class_scores(rows: Sequence[Mapping[str, Any]], most: int = 40) -> Figure:
    """Precision and recall of [{"name", "precision", "recall", "f1"}] as two points on a line, the worst F1 on top."""
    rows = sorted(rows, key=lambda row: row["f1"])[:most]
    return _pairs(rows, {"precision": tr("precision"), "recall": tr("recall")})


def elsewhere(rows: Sequence[Mapping[str, Any]], most: int = 40) -> Figure:
    """What is found of each class elsewhere and in a network's own test, [{"name", "recall", "own_recall"}], the latter
    perhaps None, as two points on a line; what lost most on top."""
    rows = sorted(rows, key=lambda row: row["recall"] - (row["own_recall"] or 0))[:most]
    return _pairs(rows, {"recall": tr("found of these pictures"), "own_recall": tr("found in its own test")})


def _pairs(rows: Sequence[Mapping[str, Any]], called: Mapping[str, str]) -> Figure:
    """Two shares of each row, the columns ``called`` so, as two points on a line, the first row on top."""
    rows = rows[::-1]
    places = list(range(len(rows)))
    figure = Figure()
    for row, place in zip(rows, places, strict=True):
        figure.add_scatter(
            x=[row[column] for column in called], y=[place, place], mode="lines", line={"color": GREY, "width": 2},
            showlegend=False, hoverinfo="skip",
        )  # fmt: skip
    kinds = (
        (ORANGE, "diamond-open", 14),
        (BLUE, "circle", 8),
    )  # where both are at one place, one is seen around the other
    for (column, name), (colour, symbol, size) in zip(called.items(), kinds, strict=True):
        figure.add_scatter(
            x=[row[column] for row in rows], y=places, mode="markers", name=name,
            marker={"color": colour, "size": size, "symbol": symbol, "line": {"width": 2.5, "color": colour}},
            hovertemplate=f"{name} %{{x:.1%}}<extra></extra>",
        )  # fmt: skip
    least = min((row[column] for row in rows for column in called if row[column] is not None), default=0.0)
    styled(figure, 90 + 28 * len(rows)).update_xaxes(range=shares(least), tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(tickvals=places, ticktext=[plain(row["name"], 24) for row in rows], fixedrange=True)


def strengths(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What colours the cells (C, C) of a confusion matrix: the share of its row, and how bad a mistake is beside the worst,
    0 to 1, by the square root, or one bad mistake would hide all others."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, share)
    return share, np.sqrt(wrong / (wrong.max() or 1))


def _words_on(share: np.ndarray, mistake: np.ndarray) -> list[tuple[dict | None, list[tuple[int, int]]]]:
    """The cells (i, j) by what their numbers are written in: white on dark ones, dark on bright ones, and as the page's text,
    whether that is dark or light, on pale ones."""
    dark, bright = np.eye(len(share), dtype=bool) & (share > 0.5), mistake > 0.6
    kinds = (({"color": "#fff"}, dark), ({"color": "#1a1d21"}, bright), (None, ~dark & ~bright))
    return [(font, list(map(tuple, np.argwhere(where).tolist()))) for font, where in kinds]


def reliability(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Bars: how often answers of a confidence are right; where they end at the line, the network knows how sure it may be."""
    bars = bar(
        x=[(row["low"] + row["high"]) / 2 for row in rows], y=[row["accuracy"] for row in rows], marker={"color": BLUE},
        width=[row["high"] - row["low"] - 0.01 for row in rows],
        hovertext=[tr("{count:,} answers, on average {confidence:.1%} sure: {accuracy:.1%} right", count=row['count'], confidence=row['confidence'], accuracy=row['accuracy']) for row in rows],
        hoverinfo="text", name=tr("right"),
    )  # fmt: skip
    figure = styled(Figure(bars), 340, x_title=tr("confidence"), y_title=tr("right"), showlegend=False)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": ORANGE, "dash": "dash"}, hoverinfo="skip")
    figure.update_xaxes(range=[0, 1], tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(range=[0, 1], tickformat=".0%", fixedrange=True)


def curve(points: tuple[Sequence[float], Sequence[float]], x: str, y: str, chance: Sequence[float]) -> Figure:
    """A line in the unit square beside what chance would reach, given as its height at both ends."""
    figure = Figure()
    figure.add_scatter(x=[0, 1], y=list(chance), mode="lines", line={"color": GREY, "dash": "dash"}, hoverinfo="skip")
    figure.add_scatter(
        x=points[0], y=points[1], mode="lines", line={"color": BLUE, "width": 3},
        hovertemplate=f"{x} %{{x:.1%}}<br>{y} %{{y:.1%}}<extra></extra>",
    )  # fmt: skip
    styled(figure, 340, x_title=x, y_title=y, showlegend=False)
    figure.update_xaxes(range=[0, 1.005], tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(range=[0, 1.005], tickformat=".0%", fixedrange=True)


def slices(rows: Sequence[Mapping[str, Any]], overall: float) -> Figure:
    """Accuracy with its interval of [{"name", "images", "accuracy", "interval"}], beside a line at that of all."""
    places = list(range(len(rows)))[::-1]
    values = [row["accuracy"] for row in rows]
    figure = Figure(
        scatter(
            x=values, y=places, mode="markers", marker={"color": BLUE, "size": 10},
            error_x={
                "array": [row["interval"][1] - row["accuracy"] for row in rows],
                "arrayminus": [row["accuracy"] - row["interval"][0] for row in rows], "color": SKY, "thickness": 3,
            },
            hovertext=[tr("{name}: {accuracy:.1%} of {images:,}", name=plain(row['name']), accuracy=row['accuracy'], images=row['images']) for row in rows], hoverinfo="text",
        )
    )  # fmt: skip
    figure.add_vline(overall, line={"color": ORANGE, "dash": "dash"})
    least = min((row["interval"][0] for row in rows), default=0.0)
    styled(figure, 70 + 28 * len(rows)).update_xaxes(range=shares(least), tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(tickvals=places, ticktext=[plain(row["name"], 24) for row in rows], fixedrange=True)


def worsening(levels: Sequence[float], accuracies: Sequence[float], unit: str) -> Figure:
    """Accuracy as pictures get worse."""
    line = scatter(
        x=[f"{level:g}" for level in levels], y=accuracies, mode="lines+markers", line={"color": BLUE, "width": 3},
        marker={"size": 9}, hovertemplate="%{x}: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    figure = styled(Figure(line), 240, x_title=unit, y_title=tr("accuracy"))
    figure.update_layout(margin={"t": 8}).update_xaxes(type="category", fixedrange=True)
    return figure.update_yaxes(range=[0, 1.02], tickformat=".0%", fixedrange=True)
