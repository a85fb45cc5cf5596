"""A figure as the plain content that Plotly draws from.

Plotly's own classes look at every value, copy it and add a template of seven kilobytes: some 7 ms a figure, which a class of
thirty waits for at each click. Here the tests let Plotly look at every kind of chart, and pages send only what is drawn.
"""

from __future__ import annotations

from functools import partial, partialmethod
from typing import Any

from plotly.basedatatypes import BaseFigure

NARROW, WIDE, NUMBER = 7.0, 12.5, 38  # pixels across: a letter, a Chinese sign, a number with some digits
LINE, TITLE, GAP, LONGEST = 24, 24, 10, 160  # a line of numbers, a title, air; words that are left to Plotly


def _some(values: Any) -> Any:
    """What there is to look at, for values that may be missing; arrays hold numbers."""
    return values if isinstance(values, list | tuple) else ()


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _trace(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **_given(fields)}


bar, scatter, heatmap, parcoords = (partial(_trace, kind) for kind in ("bar", "scatter", "heatmap", "parcoords"))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _in_words(values: Any, axis: dict[str, Any]) -> list[Any]:
    """Values as an axis names them, where it does."""
    names = dict(zip(axis["tickvals"], axis["ticktext"], strict=True)) if "ticktext" in axis else {}
    return [names.get(value, value) for value in map(_plain, values)]


class Figure(BaseFigure):
    """Traces and a layout. Settings have the names of Plotly's reference; the content is the caller's to get right."""

    def __init__(self, *traces: dict[str, Any]) -> None:
        self._content = {"data": list(traces), "layout": {"template": {"data": {}, "layout": {}}}}

    def to_dict(self) -> dict[str, Any]:
        """The content, with room beside the axes as far as it can be told here: Plotly lays a chart out twice to find it."""
        layout = self._content["layout"]
        for axis, side in (("xaxis", "b"), ("yaxis", "l")):
            settings, margin = layout.get(axis, {}), layout.get("margin", {})
            room = self._room(axis) if settings.get("automargin") else None
            if room is not None:
                layout[axis] = settings | {"automargin": False}
                layout["margin"] = margin | {side: max(room, margin.get(side, 0))}
        return self._content

    def larger(self, factor: float) -> Figure:
        """A figure with letters, height and margins so many times as large, for those in the back row."""
        content = self.to_dict()
        layout = dict(content["layout"])
        font, margin = layout.get("font", {}), layout.get("margin", {})
        layout |= {
            "font": font | {"size": factor * font.get("size", 13)},
            "margin": {k: factor * v for k, v in margin.items()},
        }
        if layout.get("height"):
            layout["height"] = factor * layout["height"]
        found = Figure(*content["data"])
        found._content["layout"] = layout
        return found

    def _room(self, axis: str) -> int | None:
        """Pixels for an axis's title and numbers, or on the left its words; None where only Plotly can tell."""
        settings = self._content["layout"][axis]
        words = settings.get("ticktext")
        if words is None:
            words = [v for trace in self._content["data"] for v in _some(trace.get(axis[0])) if isinstance(v, str)]
        if settings.get("visible") is False:
            return 0
        title = TITLE if settings.get("title", {}).get("text") else 0
        if axis == "xaxis":  # words below may be turned to fit
            return None if len(words) or settings.get("type") == "category" else LINE + title
        widest = max((sum(WIDE if ord(sign) > 0x2E7F else NARROW for sign in word) for word in words), default=NUMBER)
        return None if widest > LONGEST or settings.get("side") == "right" else round(widest) + GAP + title

    def _add(self, kind: str, **fields: Any) -> Figure:
        self._content["data"].append(_trace(kind, **fields))
        return self

    add_scatter, add_bar = partialmethod(_add, "scatter"), partialmethod(_add, "bar")

    def update_layout(self, **settings: Any) -> Figure:
        """Set parts of the layout; settings that are dicts are merged with what is there. None leaves it as it was."""
        layout = self._content["layout"]
        for name, value in settings.items():
            layout[name] = layout.get(name, {}) | _given(value) if isinstance(value, dict) else value
        return self

    def update_xaxes(self, **settings: Any) -> Figure:
        return self.update_layout(xaxis=settings)

    def update_yaxes(self, **settings: Any) -> Figure:
        return self.update_layout(yaxis=settings)

    def add_vline(self, x: float, line: dict[str, Any]) -> Figure:
        return self._mark("shapes", type="line", x0=x, x1=x, y0=0, y1=1, yref="y domain", line=line)

    def add_hline(self, y: float, line: dict[str, Any]) -> Figure:
        return self._mark("shapes", type="line", x0=0, x1=1, xref="x domain", y0=y, y1=y, line=line)

    def add_annotation(self, **settings: Any) -> Figure:
        return self._mark("annotations", **settings)

    def table(self, most: int = 1000) -> list[dict[str, Any]]:
        """What is drawn, as rows of a table for who would rather read it: a column for each axis, by its title, and one for the
        name of the line where there are several. At most that many rows."""
        layout, rows = self._content["layout"], []
        titles = [layout.get(axis, {}).get("title", {}).get("text") or axis[0] for axis in ("xaxis", "yaxis")]
        named = [trace for trace in self._content["data"] if trace["type"] == "bar" or trace.get("hoverinfo") != "skip"]
        for trace in named:
            if trace["type"] == "parcoords":
                columns = {part["label"]: _in_words(part["values"], part) for part in trace["dimensions"]}
                rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            elif trace["type"] == "heatmap":
                across, down = (_in_words(trace[axis[0]], layout[axis]) for axis in ("xaxis", "yaxis"))
                values = trace["text"] if trace.get("text") is not None else trace["z"]
                rows += [
                    {f"{titles[1]} \\ {titles[0]}": name, **dict(zip(across, map(_plain, row), strict=True))}
                    for name, row in zip(down, values, strict=True)
                ]
            elif trace.get("mode") == "text":
                rows += [{"": said, "←": came} for said, came in zip(trace["text"], trace["hovertext"], strict=True)]
            elif "customdata" not in trace:
                series = {"": trace["name"]} if len(named) > 1 and trace.get("name") else {}
                y = trace["y"]
                x = trace["x"] if trace.get("x") is not None else range(len(y))
                columns = (_in_words(x, layout.get("xaxis", {})), _in_words(y, layout.get("yaxis", {})))
                rows += [{**series, titles[0]: across, titles[1]: down} for across, down in zip(*columns, strict=True)]
        return rows[:most]

    def _mark(self, kind: str, **settings: Any) -> Figure:
        self._content["layout"].setdefault(kind, []).append(settings)
        return self
