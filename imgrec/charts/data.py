"""Charts of data sets: counts, colours, sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from imgrec.charts.figure import Figure, bar, scatter
from imgrec.charts.style import BLUE, GREEN, GREY, ORANGE, SPLIT_COLOURS, VERMILION, plain, styled
from imgrec.language import mark, tr


def class_counts(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Stacked bars of {class: {split: n}}."""
    names = [plain(name, 24) for name in counts]
    figure = Figure()
    for split, colour in SPLIT_COLOURS.items():
        values = [row[split] for row in counts.values()]
        if any(values):
            hover = [f"{name}: {n} {tr(split)}" for name, n in zip(names, values, strict=True)]
            figure.add_bar(
                x=list(range(len(names))),
                y=values,
                name=tr(split),
                marker={"color": colour},
                hovertext=hover,
                hoverinfo="text",
            )
    styled(figure, 300, barmode="stack", y_title=tr("pictures"))
    return figure.update_xaxes(
        tickvals=list(range(len(names))), ticktext=names, tickangle=-35 if sum(map(len, names)) > 40 else 0
    )


def channel_bars(mean: Sequence[float], std: Sequence[float]) -> Figure:
    """Mean of each channel with its standard deviation as whiskers, in units of 0 to 1."""
    names, colours = (
        ((mark("red"), mark("green"), mark("blue")), [VERMILION, GREEN, BLUE])
        if len(mean) == 3
        else ((mark("grey"),), [GREY])
    )
    labels = [f"{tr(n)}<br>{m:.3f} ± {s:.3f}" for n, m, s in zip(names, mean, std, strict=True)]
    whiskers = {
        "type": "data", "symmetric": False, "color": ORANGE, "thickness": 3,
        "array": [min(s, 1 - m) for m, s in zip(mean, std, strict=True)], "arrayminus": [min(s, m) for m, s in zip(mean, std, strict=True)],
    }  # fmt: skip
    bars = bar(x=labels, y=list(mean), marker={"color": colours}, error_y=whiskers, hoverinfo="x")
    figure = styled(Figure(bars), 300, y_title=tr("brightness, 0 to 1"), bargap=0.3 if len(mean) == 3 else 0.75)
    return figure.update_layout(margin={"t": 12})


def size_scatter(sizes: Sequence[Mapping[str, int]]) -> Figure:
    """Original widths and heights; the area of a dot grows with its number of pictures."""
    most = max(row["images"] for row in sizes)
    dots = scatter(
        x=[row["width"] for row in sizes], y=[row["height"] for row in sizes], mode="markers",
        marker={"size": [8 + 32 * math.sqrt(row["images"] / most) for row in sizes], "color": BLUE, "opacity": 0.6},
        text=[tr("{width} × {height} px: {images} pictures", width=row['width'], height=row['height'], images=row['images']) for row in sizes], hoverinfo="text",
    )  # fmt: skip
    return styled(Figure(dots), 300, x_title=tr("width, px"), y_title=tr("height, px")).update_layout(margin={"t": 12})


def aspect_bars(bins: Sequence[Mapping[str, float | None]]) -> Figure:
    """How many originals are how wide, of [{"from", "to", "images"}]; "to" is None for the widest."""
    ends = [
        tr("{low:.2f} to {high:.2f}", low=row["from"], high=row["to"])
        if row["to"]
        else tr("over {low:.2f}", low=row["from"])
        for row in bins
    ]
    middles = [math.log2(math.sqrt(max(row["from"], 0.2) * (row["to"] or 5.0))) for row in bins]
    bars = bar(
        x=middles, y=[row["images"] for row in bins], width=math.log2(1.15) * 0.9, marker={"color": BLUE}, opacity=0.8,
        text=[tr("{end}: {images:,} pictures", end=end, images=row['images']) for end, row in zip(ends, bins, strict=True)], hoverinfo="text",
        textposition="none",
    )  # fmt: skip
    figure = styled(Figure(bars), 300, x_title=tr("width ÷ height"), y_title=tr("pictures"))
    ratios = {0.25: "1 : 4", 0.5: "1 : 2", 1: "1 : 1", 2: "2 : 1", 4: "4 : 1"}
    figure.update_layout(margin={"t": 12})
    return figure.update_xaxes(
        tickvals=[math.log2(r) for r in ratios], ticktext=list(ratios.values()), range=[-2.3, 2.3]
    )


def confidence_bars(confidences: Sequence[float]) -> Figure:
    """How many answers have which confidence, in twenty steps from 0 to 1."""
    counts, edges = np.histogram(confidences, 20, (0, 1))
    bars = bar(
        x=(edges[:-1] + edges[1:]) / 2, y=counts, width=0.045, marker={"color": BLUE}, textposition="none", hoverinfo="text",
        text=[tr("{low:.0%} to {high:.0%} sure: {n:,} pictures", low=low, high=low + 0.05, n=n) for low, n in zip(edges, counts, strict=False)],
    )  # fmt: skip
    figure = styled(Figure(bars), 220, x_title=tr("how sure"), y_title=tr("pictures")).update_layout(margin={"t": 12})
    return figure.update_xaxes(range=[0, 1], tickformat=".0%", fixedrange=True).update_yaxes(fixedrange=True)
