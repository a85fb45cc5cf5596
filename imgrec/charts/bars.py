"""Lying bars as a table of HTML: its names and numbers stay text, and browsers draw it many times as fast as a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imgrec.charts.style import BLUE, GREY, ORANGE, SKY, percent, plain
from imgrec.language import tr

SHORT = 14  # letters of a name that takes no more room than it needs
LINE = "rgba(128,128,128,.4) 0 1px"
ZERO = f"background:linear-gradient(90deg,{LINE},transparent 1px)"


def probability_bars(top: Sequence[Mapping[str, Any]]) -> str:
    """Bars of [{"name", "probability"}], the first on top, each with its percentage; the largest is darker."""
    values = [row["probability"] for row in top]
    colours = [BLUE if place == values.index(max(values)) else SKY for place in range(len(values))]
    return _shares(tr("Probabilities"), [row["name"] for row in top], values, colours)


def ranking(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bars of [{"name", "accuracy", "kind"}], the best on top; the kinds "this", "run" and "baseline" differ in colour."""
    rows = sorted(rows, key=lambda row: -row["accuracy"])
    colours = [{"this": BLUE, "run": SKY, "baseline": GREY}[row["kind"]] for row in rows]
    return _shares(tr("Accuracy"), [row["name"] for row in rows], [row["accuracy"] for row in rows], colours)


def signed_bars(names: Sequence[str], values: Sequence[float]) -> str:
    """Bars to both sides of zero, the first on top, each with its number; values within ±1 keep their length."""
    most = max(1.0, *(abs(value) for value in values))
    rows = []
    for name, value in zip(names, values, strict=True):
        share, said = abs(value) / most, f"{value:+z.2f}"
        below = _bar(share, BLUE, said, 3.6, mirrored=True) if value < 0 else _bar()
        rows.append((name, below, _bar(look=ZERO) if value < 0 else _bar(share, ORANGE, said, 3.6, ZERO)))
    return _table(tr("Values"), rows)


def _shares(title: str, names: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> str:
    """Bars from 0 to 1, the first on top, each with its percentage."""
    bars = (_bar(v, colour, percent(v), 4.6, ZERO) for v, colour in zip(values, colours, strict=True))
    return _table(title, zip(names, bars, strict=True))


def _bar(
    share: float = 0.0, colour: str = "none", said: str = "", room: float = 0.0, look: str = "", mirrored: bool = False
) -> str:
    """A cell with a bar over that share of it but for ``room`` em at its end, and words behind; ``mirrored``: to the left."""
    way, end = ("row-reverse", "left") if mirrored else ("row", "right")
    return (
        f'<td style="padding:0;padding-{end}:{room}em;border:0"><div style="padding:.15em 0;display:flex;flex-direction:{way};'
        f'align-items:center;gap:.4em;white-space:nowrap;{look}"><div style="flex:none;height:1.2em;width:{share:.2%};'
        f'background:{colour};forced-color-adjust:none"></div>{said}</div></td>'
    )


def _table(title: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Rows of a name, from strangers perhaps, and cells; only screen readers tell the title."""
    content = ""
    for name, *cells in rows:
        narrow = (
            "width:1%;white-space:nowrap"
            if len(name) <= SHORT
            else f"width:{min(len(name), 18) * 0.55:.1f}em;overflow-wrap:anywhere"
        )
        look = f"padding:0 .6em 0 0;border:0;font-weight:400;text-align:right;{narrow}"
        content += f'<tr><th scope="row" style="{look}"><bdi>{plain(name)}</bdi></th>{"".join(cells)}</tr>'
    return (
        f'<table aria-label="{title}" style="width:100%;border-collapse:collapse;line-height:1.25;font-size:.875rem;'
        f'font-variant-numeric:tabular-nums">{content}</table>'
    )
