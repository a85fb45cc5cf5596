"""Charts of trainings: their curves, and what settings did."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from imgrec.charts.figure import LINE, NARROW, Figure, parcoords, scatter
from imgrec.charts.style import (
    BLUE,
    GREY,
    MANY,
    SKY,
    SPLIT_COLOURS,
    VERMILION,
    logarithmic,
    plain,
    shares,
    styled,
    thin,
)
from imgrec.language import tr

HALF, SAMPLE = 360, 45  # pixels: half the page, and a line beside its name in a legend


def rates(rates: Sequence[float], losses: Sequence[float], suggested: float) -> Figure:
    """The loss while the learning rate grows, and the rate that is suggested."""
    figure = Figure(
        scatter(x=rates, y=losses, mode="lines", line={"color": BLUE, "width": 2.5}, name=tr("loss"),
                   hovertemplate=f"{tr('learning rate')} %{{x:.2g}}: {tr('loss')} %{{y:.3f}}<extra></extra>")
    )  # fmt: skip
    figure.add_vline(suggested, line={"color": VERMILION, "dash": "dot"})
    figure.add_annotation(
        x=math.log10(suggested), y=1, yref="paper", text=f"{suggested:g}", showarrow=False, yanchor="bottom"
    )
    low, high = min(losses), max(losses[: max(1, len(losses) // 2)])
    figure = styled(figure, 260, x_title=tr("learning rate"), y_title=tr("loss"), showlegend=False)
    return figure.update_xaxes(**logarithmic()).update_yaxes(
        range=[low - 0.1 * (high - low), high + 0.4 * (high - low)]
    )


FEW = 3  # gaps between points that make no line


def _broken(points: Sequence[tuple[float, float]]) -> list[tuple[float, float | None]]:
    """Points of a line that stops where an epoch or more lies between two, for nobody looked there; empty if fewer than half are
    near."""
    near = [after[0] - before[0] < 1 for before, after in pairwise(points)]
    found: list[tuple[float, float | None]] = []
    for point, goes_on in zip(points, [*near, True], strict=False):
        found += [point] if goes_on else [point, (point[0], None)]
    return found if 2 * sum(near) >= len(near) > FEW else []


def curves(
    steps: Sequence[Mapping[str, Any]],
    epochs: Sequence[Mapping[str, Any]],
    quantity: str,
    total_epochs: int,
    changes: Sequence[float] = (),
) -> Figure:
    """Loss or accuracy over the epochs: the running training value, and train and validation at each epoch's end.

    ``changes``: where a setting was changed on the way.
    """
    figure = Figure()
    most = 300  # points that a browser draws without a stutter
    running = _broken([(row["at"], row[quantity]) for row in thin([row for row in steps if quantity in row], most)])
    if running:
        figure.add_scatter(
            x=[at for at, _ in running], y=[value for _, value in running], mode="lines", name=tr("within the epoch"),
            line={"color": SKY, "width": 1}, opacity=0.7, hovertemplate=tr("epoch") + " %{x:.2f}: %{y:.3f}<extra></extra>",
        )  # fmt: skip
    for split in ("train", "validation"):
        rows = thin([row for row in epochs if row.get(f"{split}_{quantity}") is not None], most)
        figure.add_scatter(
            x=[row["epoch"] for row in rows], y=[row[f"{split}_{quantity}"] for row in rows], name=tr(split),
            mode="lines+markers" if len(rows) < 60 else "lines", line={"color": SPLIT_COLOURS[split], "width": 2.5},
            hovertemplate=f"{tr(split)}, {tr('epoch')} %{{x}}: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    styled(figure, 300, x_title=tr("epoch"), y_title=tr(quantity), uirevision=quantity)
    for at in changes:
        figure.add_vline(at, line={"color": VERMILION, "dash": "dot", "width": 1})
    figure.update_xaxes(range=[0, total_epochs + 0.02 * total_epochs])
    if quantity == "accuracy":
        figure.update_yaxes(tickformat=".0%", range=None if epochs or running else [0, 1])
    else:
        figure.update_yaxes(rangemode="tozero")
    return figure


def overlaid(lines: Mapping[str, Sequence[Mapping[str, Any]]], quantity: str) -> Figure:
    """Validation curves of several runs, {name: epochs}; the ``quantity`` is "loss" or "accuracy"."""
    figure = Figure()
    for number, (name, epochs) in enumerate(lines.items()):
        values = [row.get(f"validation_{quantity}") for row in epochs]
        figure.add_scatter(
            x=[row["epoch"] for row in epochs], y=values, mode="lines+markers", name=plain(name),
            line={"color": MANY[number % len(MANY)], "dash": ("solid", "dot", "dash")[number // len(MANY) % 3]},
            hovertemplate=f"{plain(name)}<br>{tr('epoch')} %{{x}}: %{{y:.4f}}<extra></extra>",
        )  # fmt: skip
    across = max(1, HALF // (round(NARROW) * max(len(plain(name)) for name in lines) + SAMPLE)) if lines else 1
    height = 340 + LINE * math.ceil(len(lines) / across)  # the names lie below
    styled(
        figure, height, x_title=tr("epoch"), y_title=tr("validation {quantity}", quantity=tr(quantity)), showlegend=True
    )
    figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top"}, margin={"t": 10})
    if quantity != "accuracy":
        return figure.update_yaxes(rangemode="tozero")
    values = [row.get("validation_accuracy") for epochs in lines.values() for row in epochs]
    least = min((value for value in values if value is not None), default=0.0)
    return figure.update_yaxes(range=shares(least), tickformat=".0%")


def parallel(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Figure:
    """One line per run through the values of its settings, {column: title}, coloured by the last, which is an accuracy.

    Drag along an axis to pick some.
    """
    dimensions, (*columns, result) = [], titles
    for column in columns:
        values = _values(rows, column)
        if not isinstance(values[0], str):
            dimensions.append({"label": titles[column], "values": values})
        else:
            kinds = sorted(set(values))
            ticks = list(range(len(kinds)))
            places = [kinds.index(value) for value in values]
            dimensions.append(
                {
                    "label": titles[column],
                    "values": places,
                    "tickvals": ticks,
                    "ticktext": [plain(k, 14) for k in kinds],
                }
            )
    scores = [row[result] for row in rows]
    dimensions.append({"label": titles[result], "values": scores, "tickformat": ".0%"})
    line = {"color": scores, "colorscale": [[0, GREY], [0.5, SKY], [1, BLUE]], "showscale": False}
    figure = styled(Figure(parcoords(dimensions=dimensions, line=line, labelangle=-20)), 380)
    return figure.update_layout(margin={"l": 60, "r": 60, "t": 80, "b": 20})


def effect(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], log: bool = False) -> Figure:
    """What a setting did: a dot per run, its accuracy over its value of the first column, and a line through the means.

    ``titles``: {column: title}: the setting, perhaps a second one that tells the lines apart, and the accuracy.
    ``log``: numbers above 0 are shown by their ratios.
    """
    setting, *second, result = titles
    figure, values = Figure(), _values(rows, setting)
    there, numbers = sorted(set(values)), not isinstance(values[0], str)
    lines = _values(rows, second[0]) if second else [titles[result]] * len(rows)
    for number, line in enumerate(sorted(set(lines))):
        dots: dict[float | str, list[tuple[float, str]]] = {}  # value → accuracies, and what is said of them
        for row, value, other in zip(rows, values, lines, strict=True):
            if other == line:
                said = f"{plain(row['run'])}<br>{titles[setting]} {plain(value)}: {row[result]:.2%}"
                dots.setdefault(value, []).append((row[result], said))
        places = {value: value if numbers else there.index(value) for value in there if value in dots}
        colour = MANY[number % len(MANY)]
        figure.add_scatter(
            x=[place for value, place in places.items() for _ in dots[value]], mode="markers", hoverinfo="text",
            y=[accuracy for value in places for accuracy, _ in dots[value]],
            hovertext=[said for value in places for _, said in dots[value]],
            name=f"{titles[second[0]]} {plain(line)}" if second else line, showlegend=bool(second),
            marker={"color": colour, "size": 9, "opacity": 0.7},
        )  # fmt: skip
        figure.add_scatter(
            x=list(places.values()), y=[statistics.mean(accuracy for accuracy, _ in dots[value]) for value in places],
            mode="lines", hoverinfo="skip", showlegend=False, line={"color": colour, "dash": "solid" if numbers else "dot"},
        )  # fmt: skip
    styled(figure, 340, x_title=titles[setting], y_title=titles[result], hovermode="closest")
    if not numbers:
        names = [plain(value, 18) for value in there]
        figure.update_xaxes(tickvals=list(range(len(there))), ticktext=names, range=[-0.5, len(there) - 0.5])
    elif log and there[0] > 0:
        figure.update_xaxes(type="log", tickvals=there, ticktext=[f"{value:g}" for value in there])
    return figure.update_yaxes(tickformat=".0%")


def _values(rows: Sequence[Mapping[str, Any]], column: str) -> list[float] | list[str]:
    """A column's values: numbers, or if one is none, how all are written."""
    values = [row.get(column) for row in rows]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return values if numbers else [str(value) for value in values]
