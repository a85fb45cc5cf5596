"""Charts of networks: their layers, and how large they are beside what they cost and reach."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from imgrec.charts.figure import Figure, scatter
from imgrec.charts.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, logarithmic, plain, styled
from imgrec.language import mark, tr

Box = tuple[float, float, float, float]
SIDES = {  # where Plotly puts a text, and which way that is
    "middle right": (1, 0), "middle left": (-1, 0), "top center": (0, -1), "bottom center": (0, 1),
    "top right": (1, -1), "top left": (-1, -1), "bottom right": (1, 1), "bottom left": (-1, 1),
}  # fmt: skip
SCREENS, HIGH = (290, 700), 440  # pixels: how wide the chart is on a phone and on a desk, and how high
DOT, ROW, LETTER = 6, 12, 5.2  # pixels: half a dot, a line and a letter of size 10
KIND_COLOURS = {mark("Conv"): BLUE, mark("Pool"): GREEN, mark("Linear"): ORANGE, mark("Norm"): GREY, mark("Attention"): PURPLE}  # fmt: skip


def network(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A network's layers as boxes from left to right: as high as their maps are wide, as broad as they are many.

    ``rows``: [{"layer", "shape", "parameters"}]; activations, which change no shape, are left out.
    """
    figure, x = Figure(), 0.0
    boxes: dict[str, list[tuple[float, float, float, str]]] = {}
    for row in rows:
        kind = next((kind for kind in KIND_COLOURS if kind in row["layer"]), None)
        if kind is None or (kind == "Norm" and len(rows) > 40):
            continue
        shape = row["shape"]
        first = len(shape) == 3 and shape[1] == shape[2]  # (maps, side, side), or as in Swin (side, side, maps)
        maps, side = (shape[0], shape[-1]) if first else (shape[-1], shape[0] if len(shape) == 3 else 1)
        broad = 0.4 + 0.35 * math.log2(max(maps, 2))
        words = tr(
            "{layer}: {shape}, {parameters:,} weights",
            layer=row["layer"],
            shape=" × ".join(map(str, shape)),
            parameters=row["parameters"],
        )
        boxes.setdefault(kind, []).append((x + broad / 2, broad, math.log2(side) + 0.6, words))
        x += broad + 0.4
    for kind, found in boxes.items():
        centres, widths, heights, words = zip(*found, strict=True)
        figure.add_bar(
            x=centres, width=widths, y=heights, base=[-height / 2 for height in heights], name=tr(kind), hovertext=words,
            hoverinfo="text", marker={"color": KIND_COLOURS[kind], "line": {"width": 0}},
        )  # fmt: skip
    styled(figure, 260, barmode="overlay", hovermode="closest")
    return figure.update_xaxes(visible=False, range=[0, x]).update_yaxes(visible=False)


def networks(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Multiply-adds over weights, both logarithmic, of [{"network", "year", "weights", "multiply-adds"}]; colour is the year."""
    names = [row["network"] for row in rows]
    places = [(math.log10(row["weights"]), math.log10(row["multiply-adds"])) for row in rows]
    sides = beside(places, [7 + len(name) * LETTER for name in names])
    dots = scatter(
        x=[row["weights"] for row in rows], y=[row["multiply-adds"] for row in rows], mode="markers+text",
        text=[name if side else "" for name, side in zip(names, sides, strict=True)], textfont={"size": 10}, hoverinfo="text",
        textposition=[side or "top center" for side in sides],
        hovertext=[tr("{network}, {year}: {weights:,} weights, {multiply_adds:,} multiply-adds", network=row['network'], year=row['year'], weights=row['weights'], multiply_adds=row['multiply-adds']) for row in rows],
        marker={"size": 11, "color": [max(row["year"], 1990) for row in rows], "colorscale": [[0, SKY], [1, VERMILION]]},
    )  # fmt: skip
    figure = styled(Figure(dots), 520, x_title=tr("weights"), y_title=tr("multiply-adds for one picture"))
    figure.update_layout(margin={"t": 12})
    return figure.update_xaxes(**logarithmic(dtick=1)).update_yaxes(**logarithmic(dtick=1))


def beside(places: Sequence[tuple[float, float]], widths: Sequence[float]) -> list[str]:
    """On which side of its dot each name goes so that none covers another on a phone, or where that cannot be, on a desk;
    "" where there is no room at all.

    ``places``: (x, y) in any units; ``widths``: of the names in pixels.
    """
    (left, wide), (low, high) = (
        (min(values), max(max(values) - min(values), 1e-9)) for values in zip(*places, strict=True)
    )
    chosen: dict[int, str] = {}
    for screen in SCREENS:
        dots = [(screen * (0.05 + 0.9 * (x - left) / wide), HIGH * (0.95 - 0.9 * (y - low) / high)) for x, y in places]
        taken = [(number, (x - DOT, y - DOT, x + DOT, y + DOT)) for number, (x, y) in enumerate(dots)]
        taken += [(number, _box(dots[number], widths[number], side)) for number, side in chosen.items()]
        waiting = set(range(len(dots))) - set(chosen)
        while waiting:
            ways = {number: _ways(number, dots[number], widths[number], screen, taken) for number in waiting}
            number = min(
                waiting, key=lambda n: (len(ways[n]) or len(SIDES) + 1, n)
            )  # the one with the fewest ways left
            waiting.remove(number)
            others = [box for other in waiting for box in ways[other].values()]
            if ways[number]:  # the way that leaves the others the most
                side = min(ways[number], key=lambda side: sum(_meet(ways[number][side], other) for other in others))
                chosen[number] = side
                taken.append((number, ways[number][side]))
    return [chosen.get(number, "") for number in range(len(places))]


def _ways(
    number: int, dot: tuple[float, float], width: float, screen: int, taken: list[tuple[int, Box]]
) -> dict[str, Box]:
    """The sides of a dot where its name fits between what is taken, and the boxes it would take there."""
    boxes = {side: _box(dot, width, side) for side in SIDES}
    inside = {side: box for side, box in boxes.items() if box[0] >= -DOT and box[2] <= screen + DOT}
    return {s: box for s, box in inside.items() if not any(n != number and _meet(box, there) for n, there in taken)}


def _box(dot: tuple[float, float], width: float, side: str) -> Box:
    across, down = SIDES[side]
    left, top = dot[0] + (across - 1) / 2 * width + across * DOT, dot[1] + (down - 1) / 2 * ROW + down * DOT
    return left, top, left + width, top + ROW


def _meet(one: Box, other: Box) -> bool:
    """Whether two boxes (left, top, right, bottom) share a place."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def sizes(rows: Sequence[Mapping[str, Any]], before: Mapping[str, float]) -> Figure:
    """Accuracy over weights of [{"network", "weights", "accuracy"}], with lines for methods {name: accuracy} without any."""
    figure = Figure(
        scatter(
            x=[row["weights"] for row in rows], y=[row["accuracy"] for row in rows], mode="markers+text",
            text=[row["network"] for row in rows], textposition="top center", marker={"size": 12, "color": BLUE},
            hovertext=[f"{row['network']}: {row['weights']:,}, {row['accuracy']:.1%}" for row in rows], hoverinfo="text",
        )
    )  # fmt: skip
    for (name, accuracy), dash in zip(before.items(), ("dot", "dash", "dashdot", "longdash"), strict=False):
        figure.add_hline(accuracy, {"color": GREY, "dash": dash})
        figure.add_annotation(
            x=1, xref="paper", xanchor="right", y=accuracy, yanchor="bottom", text=plain(name), font={"color": GREY},
            showarrow=False,
        )  # fmt: skip
    styled(figure, 380, x_title=tr("weights"), y_title=tr("test accuracy"), showlegend=False)
    return figure.update_xaxes(**logarithmic(dtick=1)).update_yaxes(tickformat=".0%", range=[0, 1.08])
