"""Charts of the lessons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from imgrec.charts.figure import Figure, bar
from imgrec.charts.style import BLUE, MANY, ORANGE, RACERS, VERMILION, plain, styled
from imgrec.images import in_address, to_png
from imgrec.language import listed, tr

BANDS, FINE = 18, 8  # heights that a landscape tells apart, and its pixels to a place that was computed
LOW, HIGH = np.array([53, 80, 107.0]), np.array([238, 242, 246.0])


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
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], at: tuple[float, float] | None = None,
    x_title: str = "", y_title: str = "", shares: bool = False,
) -> Figure:  # fmt: skip
    """Functions as lines, {name: (x, y)}, and a point on one of them; ``shares``: y is from 0 to 1, in percent."""
    figure = Figure()
    for (name, (x, y)), colour in zip(curves.items(), MANY, strict=False):
        figure.add_scatter(x=x, y=y, mode="lines", name=plain(name), line={"color": colour, "width": 3})
    if at:
        figure.add_scatter(
            x=[at[0]], y=[at[1]], mode="markers", marker={"color": VERMILION, "size": 13}, showlegend=False
        )
    styled(figure, 320, x_title=x_title, y_title=y_title, showlegend=True).update_xaxes(fixedrange=True)
    return figure.update_yaxes(fixedrange=True, **({"range": [0, 1.02], "tickformat": ".0%"} if shares else {}))


def race(
    axis: Sequence[float], heights: np.ndarray, paths: Mapping[str, np.ndarray], lowest: Sequence[tuple[float, float]]
) -> Figure:
    """A landscape from above, dark is low, with the path of each optimiser on it; paths float (n, 3)."""
    reach = float(max(axis))
    figure = _on(axis, _landscape(np.ascontiguousarray(heights, np.float32).tobytes(), heights.shape))
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
    plain_axis = {"range": [-reach, reach], "fixedrange": True, "showgrid": False, "zeroline": False}
    return figure.update_xaxes(**plain_axis).update_yaxes(**plain_axis)


def _on(axis: Sequence[float], png: bytes, opacity: float = 1.0) -> Figure:
    """A figure on a picture of the plane that ``axis`` spans to the right and up; its ends lie in the middles of outer pixels.

    Plotly would compute a contour and draw it as paths at each step of a lesson, which takes longer than all the rest."""
    low, high = float(min(axis)), float(max(axis))
    margin = (high - low) / (len(axis) - 1) / 2
    low, side = low - margin, high - low + 2 * margin
    ground = {
        "source": in_address(png), "xref": "x", "yref": "y", "x": low, "y": low, "sizex": side, "sizey": side,
        "yanchor": "bottom", "sizing": "stretch", "layer": "below", "opacity": opacity,
    }  # fmt: skip
    return Figure().update_layout(images=[ground])


@lru_cache(16)
def _landscape(content: bytes, shape: tuple[int, int]) -> bytes:
    """Heights float32 (H, W), lowest row first, as a PNG in bands of one height each, the lowest dark, with lines between."""
    heights = np.frombuffer(content, np.float32).reshape(shape)
    finite = np.isfinite(heights)
    heights = np.where(finite, heights, heights[finite].max(initial=0))  # beyond all numbers is as high as it gets
    lifted = np.log1p(heights - heights.min())  # so that the bottom of a valley shows its slope as well
    size = tuple(side * FINE for side in shape[::-1])
    fine = np.asarray(Image.fromarray(lifted[::-1]).resize(size, Image.Resampling.BICUBIC))
    band = (fine / max(float(lifted.max()), 1e-9) * BANDS).clip(0, BANDS - 1).astype(int)
    share = (band / (BANDS - 1))[..., None]
    pixels = (1 - share) * LOW + share * HIGH
    edge = np.zeros(band.shape, bool)
    edge[1:] |= band[1:] != band[:-1]
    edge[:, 1:] |= band[:, 1:] != band[:, :-1]
    pixels[edge] += 0.4 * (255 - pixels[edge])
    return to_png(pixels.round().astype(np.uint8))


def falling(lines: Mapping[str, Sequence[float]], x: str, y: str, logarithmic: bool = False) -> Figure:
    """Values by step, one line each."""
    figure = Figure()
    for (name, values), colour in zip(lines.items(), RACERS, strict=False):
        figure.add_scatter(y=list(values), mode="lines", name=plain(name), line={"color": colour, "width": 2.5})
    styled(figure, 300, x_title=x, y_title=y, showlegend=len(lines) > 1)
    return figure.update_yaxes(type="log" if logarithmic else "linear", exponentformat="power")


def _two_lines(words: str) -> str:
    """Long words in two lines, cut after a comma, or else at the space that is nearest to the middle."""
    cut = next((words.index(comma) + len(comma) for comma in (", ", "，") if comma in words), 0)
    spaces = [i + 1 for i, letter in enumerate(words) if letter == " " and len(words) > 8]
    if not (cut or spaces) and len(words) > 5 and not words.isascii():  # Chinese may be cut anywhere
        cut = len(words) // 2
    cut = cut or min(spaces, key=lambda i: abs(i - len(words) / 2), default=0)
    return f"{words[:cut].strip()}<br>{words[cut:]}" if cut else words


def sketch(boxes: Sequence[tuple[float, float, str]], arrows: Sequence[tuple[int, int]]) -> Figure:
    """Boxes (x, y, words) with arrows between them; an arrow that passes over boxes of its row goes around them."""
    wide, high = 0.4, 0.32
    figure = Figure()
    words = [plain(said) for *_, said in boxes]
    came = [listed(words[start] for start, end in arrows if end == number) for number in range(len(boxes))]
    figure.add_scatter(
        x=[x for x, *_ in boxes], y=[y for _, y, _ in boxes], mode="text",
        text=[_two_lines(word) for word in words], hovertext=came,
        textfont={"size": 11}, hoverinfo="text", showlegend=False,
    )  # fmt: skip
    shapes = [
        {"type": "rect", "x0": x - wide, "x1": x + wide, "y0": y - high, "y1": y + high, "line": {"color": BLUE, "width": 2}}
        for x, y, _ in boxes
    ]  # fmt: skip
    heads, tops = [], [0.0]
    for start, end in arrows:
        (x0, y0, _), (x1, y1, _) = boxes[start], boxes[end]
        around = y0 == y1 and x1 - x0 > 1
        top = y0 + 0.35 + 0.35 * (x1 - x0) if around else y1
        if around:
            shapes.append({"type": "path", "path": f"M {x0} {y0 + high} L {x0} {top} L {x1} {top}", "line": {"color": ORANGE, "width": 2}})  # fmt: skip
            tops.append(top)
        begin, finish = ((x1, top), (x1, y1 + high)) if around else ((x0 + wide, y0), (x1 - wide, y1))
        heads.append({
            "x": finish[0], "y": finish[1], "ax": begin[0], "ay": begin[1], "xref": "x", "yref": "y", "axref": "x", "ayref": "y",
            "text": "", "showarrow": True, "arrowhead": 2, "arrowwidth": 2, "arrowcolor": ORANGE if around else BLUE,
        })  # fmt: skip
    ys = [y for _, y, _ in boxes]
    low, top = min(ys) - 0.5, max(*ys, *tops) + 0.5
    styled(figure, round(60 + 55 * (top - low)), shapes=shapes, annotations=heads, hovermode=False)
    figure.update_xaxes(visible=False, fixedrange=True, range=[-0.6, max(x for x, *_ in boxes) + 0.6])
    return figure.update_yaxes(visible=False, fixedrange=True, range=[low, top])


def regions(axis: Sequence[float], answers: np.ndarray, points: np.ndarray, kind: np.ndarray) -> Figure:
    """Which of two kinds is said of every place of a plane, (len(axis), len(axis)) of 0 and 1, and points (N, 2) of each."""
    hues = np.array([[int(hue[i : i + 2], 16) for i in (1, 3, 5)] for hue in (BLUE, ORANGE)])
    figure = _on(axis, to_png(hues[np.asarray(answers)[::-1].astype(int)].astype(np.uint8)), 0.35)
    for number, (colour, symbol) in enumerate(((BLUE, "circle"), (ORANGE, "diamond"))):
        x, y = points[kind == number].T
        figure.add_scatter(
            x=x, y=y, mode="markers", showlegend=False, name=str(number + 1),
            marker={"color": colour, "symbol": symbol, "size": 9, "line": {"color": "#fff", "width": 1}},
        )  # fmt: skip
    styled(figure, 320, x_title=tr("first measurement"), y_title=tr("second measurement"))
    return figure.update_xaxes(fixedrange=True).update_yaxes(fixedrange=True)
