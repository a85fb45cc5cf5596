"""Every chart of the dashboard: plain data in, a Plotly figure out. Colours are Okabe and Ito's (2008), safe for the colour-blind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8A8F98",
)  # fmt: skip
SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
MANY = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY)  # lines of one chart
RACERS = (VERMILION, ORANGE, GREEN, PURPLE)
HEAT = [[0.0, "rgba(0,114,178,0.04)"], [1.0, BLUE]]


def plain(text: str, most: int = 40) -> str:
    """A name from a stranger as text that Plotly shows as it is: no HTML, no line breaks, bounded."""
    text = " ".join(str(text).split())
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _styled(figure: go.Figure, height: int, **layout: Any) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"align": "left"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        **layout,
    )
    return figure.update_xaxes(automargin=True).update_yaxes(automargin=True)


def probability_bars(top: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Bars of [{"name", "probability"}], the likeliest on top, each with its percentage."""
    colours = [BLUE] + [SKY] * (len(top) - 1)
    return _bars([row["name"] for row in top], [row["probability"] for row in top], colours)


def _bars(names: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> go.Figure:
    """Lying bars from 0 to 1, the first on top, each with its percentage."""
    places = list(range(len(values)))[::-1]
    bars = go.Bar(
        x=values, y=places, orientation="h", marker_color=colours, text=[percent(v) for v in values],
        textposition="outside", cliponaxis=False, hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    figure = _styled(go.Figure(bars), 46 + 30 * len(values), bargap=0.25)
    figure.update_layout(margin={"t": 4, "r": 64})
    figure.update_xaxes(range=[0, 1], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1], fixedrange=True)
    return figure.update_yaxes(tickvals=places, ticktext=[plain(name) for name in names], fixedrange=True)


def ranking(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Bars of [{"name", "accuracy", "kind"}], the best on top; the kinds "this", "run" and "baseline" differ in colour."""
    rows = sorted(rows, key=lambda row: -row["accuracy"])
    colours = [{"this": BLUE, "run": SKY, "baseline": GREY}[row["kind"]] for row in rows]
    return _bars([row["name"] for row in rows], [row["accuracy"] for row in rows], colours)


def percent(value: float) -> str:
    """A probability for people: never 100 % or 0 % for what is not quite that."""
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    if 0 < value < 0.0005:
        return "< 0.1 %"
    return f"{value:.1%}".replace("%", " %")


def class_counts(counts: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """Stacked bars of {class: {split: n}}."""
    names = [plain(name, 24) for name in counts]
    figure = go.Figure()
    for split, colour in SPLIT_COLOURS.items():
        values = [row[split] for row in counts.values()]
        if any(values):
            hover = [f"{name}: {n} {split}" for name, n in zip(names, values, strict=True)]
            figure.add_bar(
                x=list(range(len(names))), y=values, name=split, marker_color=colour, hovertext=hover, hoverinfo="text"
            )
    _styled(figure, 300, barmode="stack", yaxis_title="pictures")
    return figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names, tickangle=-35 if len(names) > 8 else 0)


def channel_bars(mean: Sequence[float], std: Sequence[float]) -> go.Figure:
    """Mean of each channel with its standard deviation as whiskers, in units of 0 to 1."""
    names, colours = (["red", "green", "blue"], [VERMILION, GREEN, BLUE]) if len(mean) == 3 else (["grey"], [GREY])
    labels = [f"{n}<br>{m:.3f} ± {s:.3f}" for n, m, s in zip(names, mean, std, strict=True)]
    bars = go.Bar(
        x=labels, y=list(mean), marker_color=colours, error_y={"type": "data", "array": list(std)}, hoverinfo="x"
    )
    figure = _styled(go.Figure(bars), 300, yaxis_title="brightness, 0 to 1", bargap=0.3 if len(mean) == 3 else 0.75)
    return figure.update_layout(margin={"t": 12})


def size_scatter(sizes: Sequence[Mapping[str, int]]) -> go.Figure:
    """Original widths and heights; the area of a dot grows with its number of pictures."""
    most = max(row["images"] for row in sizes)
    dots = go.Scatter(
        x=[row["width"] for row in sizes], y=[row["height"] for row in sizes], mode="markers",
        marker={"size": [8 + 32 * math.sqrt(row["images"] / most) for row in sizes], "color": BLUE, "opacity": 0.6},
        text=[f"{row['width']} × {row['height']} px: {row['images']} pictures" for row in sizes], hoverinfo="text",
    )  # fmt: skip
    return _styled(go.Figure(dots), 300, xaxis_title="width, px", yaxis_title="height, px").update_layout(
        margin={"t": 12}
    )


def aspect_bars(bins: Sequence[Mapping[str, float | None]]) -> go.Figure:
    """How many originals are how wide, of [{"from", "to", "images"}]; "to" is None for the widest."""
    ends = [f"{row['from']:.2f} to {row['to']:.2f}" if row["to"] else f"over {row['from']:.2f}" for row in bins]
    middles = [math.log2(math.sqrt(max(row["from"], 0.2) * (row["to"] or 5.0))) for row in bins]
    bars = go.Bar(
        x=middles, y=[row["images"] for row in bins], width=math.log2(1.15) * 0.9, marker_color=BLUE, opacity=0.8,
        text=[f"{end}: {row['images']:,} pictures" for end, row in zip(ends, bins, strict=True)], hoverinfo="text",
        textposition="none",
    )  # fmt: skip
    figure = _styled(go.Figure(bars), 300, xaxis_title="width ÷ height", yaxis_title="pictures")
    ratios = {0.25: "1 : 4", 0.5: "1 : 2", 1: "1 : 1", 2: "2 : 1", 4: "4 : 1"}
    figure.update_layout(margin={"t": 12})
    return figure.update_xaxes(
        tickvals=[math.log2(r) for r in ratios], ticktext=list(ratios.values()), range=[-2.3, 2.3]
    )


def confidence_bars(confidences: Sequence[float]) -> go.Figure:
    """How many answers have which confidence, in twenty steps from 0 to 1."""
    counts, edges = np.histogram(confidences, 20, (0, 1))
    bars = go.Bar(
        x=(edges[:-1] + edges[1:]) / 2, y=counts, width=0.045, marker_color=BLUE, textposition="none", hoverinfo="text",
        text=[f"{low:.0%} to {low + 0.05:.0%} sure: {n:,} pictures" for low, n in zip(edges, counts, strict=False)],
    )  # fmt: skip
    figure = _styled(go.Figure(bars), 220, xaxis_title="how sure", yaxis_title="pictures").update_layout(
        margin={"t": 12}
    )
    return figure.update_xaxes(range=[0, 1], tickformat=".0%", fixedrange=True).update_yaxes(fixedrange=True)


KIND_COLOURS = {"Conv": BLUE, "Pool": GREEN, "Linear": ORANGE, "Norm": GREY, "Attention": PURPLE}


def network(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """A network's layers as boxes from left to right: as high as their maps are wide, as broad as they are many.

    ``rows``: [{"layer", "shape", "parameters"}]; activations, which change no shape, are left out.
    """
    figure, x = go.Figure(), 0.0
    boxes: dict[str, list[tuple[float, float, float, str]]] = {}
    for row in rows:
        kind = next((kind for kind in KIND_COLOURS if kind in row["layer"]), None)
        if kind is None or (kind == "Norm" and len(rows) > 40):
            continue
        shape = row["shape"]
        maps, side = (shape[0], shape[-1]) if len(shape) == 3 else (shape[-1], 1)
        broad = 0.4 + 0.35 * math.log2(max(maps, 2))
        words = f"{row['layer']}: {' × '.join(map(str, shape))}, {row['parameters']:,} weights"
        boxes.setdefault(kind, []).append((x + broad / 2, broad, math.log2(side) + 0.6, words))
        x += broad + 0.4
    for kind, found in boxes.items():
        centres, widths, heights, words = zip(*found, strict=True)
        figure.add_bar(
            x=centres, width=widths, y=heights, base=[-height / 2 for height in heights], name=kind, hovertext=words,
            hoverinfo="text", marker_color=KIND_COLOURS[kind], marker_line_width=0,
        )  # fmt: skip
    _styled(figure, 260, barmode="overlay", hovermode="closest")
    return figure.update_xaxes(visible=False, range=[0, x]).update_yaxes(visible=False)


def rates(rates: Sequence[float], losses: Sequence[float], suggested: float) -> go.Figure:
    """The loss while the learning rate grows, and the rate that is suggested."""
    figure = go.Figure(
        go.Scatter(x=rates, y=losses, mode="lines", line={"color": BLUE, "width": 2.5}, name="loss",
                   hovertemplate="rate %{x:.2g}: loss %{y:.3f}<extra></extra>")
    )  # fmt: skip
    figure.add_vline(suggested, line={"color": VERMILION, "dash": "dot"})
    figure.add_annotation(
        x=math.log10(suggested), y=1, yref="paper", text=f"{suggested:g}", showarrow=False, yanchor="bottom"
    )
    low, high = min(losses), max(losses[: max(1, len(losses) // 2)])
    figure = _styled(figure, 260, xaxis_title="learning rate", yaxis_title="loss", showlegend=False)
    return figure.update_xaxes(type="log").update_yaxes(range=[low - 0.1 * (high - low), high + 0.4 * (high - low)])


def networks(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Multiply-adds over weights, both logarithmic, of [{"network", "year", "weights", "multiply-adds"}]; colour is the year."""
    rows = sorted(rows, key=lambda row: row["weights"])
    dots = go.Scatter(
        x=[row["weights"] for row in rows], y=[row["multiply-adds"] for row in rows], mode="markers+text",
        text=[row["network"] for row in rows], textfont_size=10, hoverinfo="text",
        textposition=[("top center", "bottom center")[number % 2] for number in range(len(rows))],
        hovertext=[f"{row['network']}, {row['year']}: {row['weights']:,} weights, {row['multiply-adds']:,} multiply-adds" for row in rows],
        marker={"size": 11, "color": [max(row["year"], 1990) for row in rows], "colorscale": [[0, SKY], [1, VERMILION]]},
    )  # fmt: skip
    figure = _styled(go.Figure(dots), 420, xaxis_title="weights", yaxis_title="multiply-adds for one picture")
    figure.update_layout(margin={"t": 12})
    return figure.update_xaxes(type="log").update_yaxes(type="log")


def curves(
    steps: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]], quantity: str, total_epochs: int
) -> go.Figure:
    """Loss or accuracy over the epochs: the running training value, and train and validation at each epoch's end."""
    figure = go.Figure()
    most = 300  # points that a browser draws without a stutter
    running = thin([row for row in steps if quantity in row], most)
    if len(running) > 1:
        figure.add_scatter(
            x=[row["at"] for row in running], y=[row[quantity] for row in running], mode="lines", name="within the epoch",
            line={"color": SKY, "width": 1}, opacity=0.7, hovertemplate="epoch %{x:.2f}: %{y:.3f}<extra></extra>",
        )  # fmt: skip
    for split in ("train", "validation"):
        rows = thin([row for row in epochs if row.get(f"{split}_{quantity}") is not None], most)
        figure.add_scatter(
            x=[row["epoch"] for row in rows], y=[row[f"{split}_{quantity}"] for row in rows], name=split,
            mode="lines+markers" if len(rows) < 60 else "lines", line={"color": SPLIT_COLOURS[split], "width": 2.5},
            hovertemplate=split + ", epoch %{x}: %{y:.3f}<extra></extra>",
        )  # fmt: skip
    _styled(figure, 300, xaxis_title="epoch", yaxis_title=quantity, uirevision=quantity)
    figure.update_xaxes(range=[0, total_epochs + 0.02 * total_epochs])
    if quantity == "accuracy":
        figure.update_yaxes(tickformat=".0%", range=None if epochs or running else [0, 1])
    else:
        figure.update_yaxes(rangemode="tozero")
    return figure


def thin(rows: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of the rows, evenly chosen, always with the first and the last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], clickable: bool = False) -> go.Figure:
    """Rows are the true classes, columns the answers; colour is the share of the row, the number the pictures.

    ``clickable``: a point lies on every cell, whose ``customdata`` is its row and column.
    """
    counts = np.array(matrix)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [plain(name, 18) for name in classes]
    ticks = list(range(len(names)))
    hover = [[f"{names[i]} taken for {names[j]}: {counts[i, j]} ({share[i, j]:.1%})" for j in ticks] for i in ticks]
    heat = go.Heatmap(
        z=share, x=ticks, y=ticks, colorscale=HEAT, zmin=0, zmax=1, showscale=False, xgap=1, ygap=1,
        text=counts if len(names) <= 15 else None, texttemplate="%{text}" if len(names) <= 15 else None,
        hovertext=hover, hoverinfo="text",
    )  # fmt: skip
    figure = _styled(go.Figure(heat), min(760, 130 + 32 * len(names)), xaxis_title="answer", yaxis_title="truth")
    if clickable:
        cells = [(i, j) for i in ticks for j in ticks if counts[i, j]]
        figure.add_scatter(
            x=[j for _, j in cells], y=[i for i, _ in cells], mode="markers", customdata=cells, showlegend=False,
            marker={"symbol": "square", "size": max(8, min(30, 600 // len(names))), "opacity": 0, "color": BLUE},
            hovertext=[hover[i][j] for i, j in cells], hoverinfo="text",
        )  # fmt: skip
    figure.update_layout(margin={"t": 12})
    figure.update_xaxes(
        tickvals=ticks,
        ticktext=names,
        tickangle=-45 if sum(map(len, names)) > 40 else 0,
        range=[-0.5, len(names) - 0.5],
    )
    return figure.update_yaxes(tickvals=ticks, ticktext=names, range=[len(names) - 0.5, -0.5])


def class_scores(rows: Sequence[Mapping[str, Any]], most: int = 40) -> go.Figure:
    """Precision and recall of [{"name", "precision", "recall", "f1"}] as two points on a line, the worst F1 on top."""
    rows = sorted(rows, key=lambda row: row["f1"])[:most][::-1]
    places = list(range(len(rows)))
    figure = go.Figure()
    for row, place in zip(rows, places, strict=True):
        figure.add_scatter(
            x=[row["precision"], row["recall"]], y=[place, place], mode="lines", line={"color": GREY, "width": 2},
            showlegend=False, hoverinfo="skip",
        )  # fmt: skip
    for name, colour, symbol in (("precision", ORANGE, "diamond"), ("recall", BLUE, "circle")):
        figure.add_scatter(
            x=[row[name] for row in rows], y=places, mode="markers", name=name,
            marker={"color": colour, "size": 11, "symbol": symbol},
            hovertemplate=f"{name} %{{x:.1%}}<extra></extra>",
        )  # fmt: skip
    _styled(figure, 90 + 28 * len(rows)).update_xaxes(range=[-0.02, 1.02], tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(tickvals=places, ticktext=[plain(row["name"], 24) for row in rows], fixedrange=True)


def reliability(rows: Sequence[Mapping[str, float]]) -> go.Figure:
    """Bars: how often answers of a confidence are right; where they end at the line, the network knows how sure it may be."""
    bars = go.Bar(
        x=[(row["low"] + row["high"]) / 2 for row in rows], y=[row["accuracy"] for row in rows], marker_color=BLUE,
        width=[row["high"] - row["low"] - 0.01 for row in rows],
        hovertext=[f"{row['count']:,} answers, on average {row['confidence']:.1%} sure: {row['accuracy']:.1%} right" for row in rows],
        hoverinfo="text", name="right",
    )  # fmt: skip
    figure = _styled(go.Figure(bars), 340, xaxis_title="confidence", yaxis_title="right", showlegend=False)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": ORANGE, "dash": "dash"}, hoverinfo="skip")
    figure.update_xaxes(range=[0, 1], tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(range=[0, 1], tickformat=".0%", fixedrange=True)


def curve(points: tuple[Sequence[float], Sequence[float]], x: str, y: str, chance: Sequence[float]) -> go.Figure:
    """A line in the unit square beside what chance would reach, given as its height at both ends."""
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=list(chance), mode="lines", line={"color": GREY, "dash": "dash"}, hoverinfo="skip")
    figure.add_scatter(
        x=points[0], y=points[1], mode="lines", line={"color": BLUE, "width": 3},
        hovertemplate=f"{x} %{{x:.1%}}<br>{y} %{{y:.1%}}<extra></extra>",
    )  # fmt: skip
    _styled(figure, 340, xaxis_title=x, yaxis_title=y, showlegend=False)
    figure.update_xaxes(range=[0, 1.005], tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(range=[0, 1.005], tickformat=".0%", fixedrange=True)


def slices(rows: Sequence[Mapping[str, Any]], overall: float) -> go.Figure:
    """Accuracy with its interval of [{"name", "images", "accuracy", "interval"}], beside a line at that of all."""
    places = list(range(len(rows)))[::-1]
    values = [row["accuracy"] for row in rows]
    figure = go.Figure(
        go.Scatter(
            x=values, y=places, mode="markers", marker={"color": BLUE, "size": 10},
            error_x={
                "array": [row["interval"][1] - row["accuracy"] for row in rows],
                "arrayminus": [row["accuracy"] - row["interval"][0] for row in rows], "color": SKY, "thickness": 3,
            },
            hovertext=[f"{plain(row['name'])}: {row['accuracy']:.1%} of {row['images']:,}" for row in rows], hoverinfo="text",
        )
    )  # fmt: skip
    figure.add_vline(overall, line={"color": ORANGE, "dash": "dash"})
    _styled(figure, 70 + 28 * len(rows)).update_xaxes(range=[-0.02, 1.02], tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(tickvals=places, ticktext=[plain(row["name"], 24) for row in rows], fixedrange=True)


def worsening(levels: Sequence[float], accuracies: Sequence[float], unit: str) -> go.Figure:
    """Accuracy as pictures get worse."""
    line = go.Scatter(
        x=[f"{level:g}" for level in levels], y=accuracies, mode="lines+markers", line={"color": BLUE, "width": 3},
        marker={"size": 9}, hovertemplate="%{x}: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    figure = _styled(go.Figure(line), 240, xaxis_title=unit, yaxis_title="accuracy")
    figure.update_layout(margin={"t": 8}).update_xaxes(type="category", fixedrange=True)
    return figure.update_yaxes(range=[0, 1.02], tickformat=".0%", fixedrange=True)


def overlaid(lines: Mapping[str, Sequence[Mapping[str, Any]]], quantity: str) -> go.Figure:
    """Validation curves of several runs, {name: epochs}; the ``quantity`` is "loss" or "accuracy"."""
    figure = go.Figure()
    for number, (name, epochs) in enumerate(lines.items()):
        values = [row.get(f"validation_{quantity}") for row in epochs]
        figure.add_scatter(
            x=[row["epoch"] for row in epochs], y=values, mode="lines+markers", name=plain(name),
            line={"color": MANY[number % len(MANY)], "dash": ("solid", "dot", "dash")[number // len(MANY) % 3]},
            hovertemplate=f"{plain(name)}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
        )  # fmt: skip
    _styled(figure, 380, xaxis_title="epoch", yaxis_title=f"validation {quantity}", showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top"}, margin={"t": 10})
    return figure.update_yaxes(tickformat=".0%") if quantity == "accuracy" else figure.update_yaxes(rangemode="tozero")


def parallel(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], result: str) -> go.Figure:
    """One line per run through the values of its settings, coloured by its ``result``; drag along an axis to pick some."""
    dimensions = []
    for column in columns:
        values = [row.get(column) for row in rows]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            dimensions.append({"label": column, "values": values})
        else:
            kinds = sorted({str(value) for value in values})
            ticks = list(range(len(kinds)))
            places = [kinds.index(str(value)) for value in values]
            dimensions.append(
                {"label": column, "values": places, "tickvals": ticks, "ticktext": [plain(k, 14) for k in kinds]}
            )
    scores = [row[result] for row in rows]
    dimensions.append({"label": result.replace("_", " "), "values": scores, "tickformat": ".0%"})
    line = {"color": scores, "colorscale": [[0, GREY], [0.5, SKY], [1, BLUE]], "showscale": False}
    figure = _styled(go.Figure(go.Parcoords(dimensions=dimensions, line=line, labelangle=-20)), 380)
    return figure.update_layout(margin={"l": 60, "r": 60, "t": 80, "b": 20})


def histogram(values: Sequence[float], title: str, bins: int = 30) -> go.Figure:
    """How often each value occurs."""
    counts, edges = np.histogram(np.asarray(values), bins)
    middles = (edges[:-1] + edges[1:]) / 2
    bars = go.Bar(
        x=middles,
        y=counts,
        width=np.diff(edges) * 0.95,
        marker_color=BLUE,
        hovertemplate="%{x:.2f}: %{y}<extra></extra>",
    )
    figure = _styled(go.Figure(bars), 230, xaxis_title=title, yaxis_title="pixels", showlegend=False)
    return figure.update_layout(margin={"t": 8}).update_xaxes(fixedrange=True).update_yaxes(fixedrange=True)


def functions(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], at: tuple[float, float] | None = None
) -> go.Figure:
    """Functions as lines, {name: (x, y)}, and a point on one of them."""
    figure = go.Figure()
    for (name, (x, y)), colour in zip(curves.items(), MANY, strict=False):
        figure.add_scatter(x=x, y=y, mode="lines", name=plain(name), line={"color": colour, "width": 3})
    if at:
        figure.add_scatter(
            x=[at[0]], y=[at[1]], mode="markers", marker={"color": VERMILION, "size": 13}, showlegend=False
        )
    return _styled(figure, 320, showlegend=True).update_xaxes(fixedrange=True).update_yaxes(fixedrange=True)


def race(
    axis: Sequence[float], heights: np.ndarray, paths: Mapping[str, np.ndarray], lowest: Sequence[tuple[float, float]]
) -> go.Figure:
    """A landscape from above, dark is low, with the path of each optimiser on it; paths float (n, 3)."""
    reach = float(max(axis))
    lifted = np.log1p(heights - heights.min())  # so that the bottom of a valley shows its slope as well
    ground = go.Contour(
        x=axis, y=axis, z=lifted, colorscale=[[0, "#35506b"], [1, "#eef2f6"]], showscale=False, ncontours=18,
        hoverinfo="skip", line={"width": 0.5, "color": "rgba(255,255,255,0.5)"},
    )  # fmt: skip
    figure = go.Figure(ground)
    figure.add_scatter(
        x=[x for x, _ in lowest], y=[y for _, y in lowest], mode="markers", name="lowest", showlegend=False,
        marker={"symbol": "star", "size": 14, "color": "#ffffff", "line": {"color": "#000", "width": 1}}, hoverinfo="skip",
    )  # fmt: skip
    for (name, passed), colour in zip(paths.items(), RACERS, strict=False):
        inside = np.clip(passed[:, :2], -2 * reach, 2 * reach)
        figure.add_scatter(
            x=inside[:, 0], y=inside[:, 1], mode="lines+markers", name=plain(name), line={"color": colour, "width": 2.5},
            marker={"size": 5}, hovertemplate=f"{plain(name)}<br>%{{x:.3f}}, %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    _styled(figure, 520).update_layout(legend={"orientation": "h", "y": -0.08, "yanchor": "top"}, margin={"t": 8})
    figure.update_xaxes(range=[-reach, reach], fixedrange=True)
    return figure.update_yaxes(range=[-reach, reach], fixedrange=True)


def falling(lines: Mapping[str, Sequence[float]], x: str, y: str, logarithmic: bool = False) -> go.Figure:
    """Values by step, one line each."""
    figure = go.Figure()
    for (name, values), colour in zip(lines.items(), RACERS, strict=False):
        figure.add_scatter(y=list(values), mode="lines", name=plain(name), line={"color": colour, "width": 2.5})
    _styled(figure, 300, xaxis_title=x, yaxis_title=y, showlegend=len(lines) > 1)
    return figure.update_yaxes(type="log" if logarithmic else "linear")


def signed_bars(names: Sequence[str], values: Sequence[float]) -> go.Figure:
    """Lying bars to both sides of zero, the first on top, each with its number."""
    places = list(range(len(values)))[::-1]
    bars = go.Bar(
        x=values, y=places, orientation="h", marker_color=[ORANGE if v >= 0 else BLUE for v in values],
        text=[f"{v:+.2f}" for v in values], textposition="outside", cliponaxis=False, hoverinfo="skip",
    )  # fmt: skip
    figure = _styled(go.Figure(bars), 46 + 34 * len(values), bargap=0.25)
    most = max(1.0, *(abs(v) for v in values)) * 1.25
    figure.update_layout(margin={"t": 4, "r": 24}).update_xaxes(range=[-most, most], zeroline=True, fixedrange=True)
    return figure.update_yaxes(tickvals=places, ticktext=[plain(name) for name in names], fixedrange=True)
