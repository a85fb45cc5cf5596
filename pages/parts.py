"""What the pages share: links, tables, charts, figures, and names from strangers as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import streamlit as st

from imgrec import charts, data
from imgrec.home import in_words
from imgrec.images import in_address
from imgrec.jobs import LIVE
from imgrec.language import follow, mark, plural, speaking, tr
from imgrec.runs import Run
from pages import tongue

PAGE: dict[str, st.Page] = {}  # address → page, filled by main.py
ICON = in_address((Path(__file__).parent / "icon.svg").read_bytes(), "svg+xml")
STATUS_COLOURS = {
    mark("new"): "blue", mark("waiting"): "blue", mark("training"): "blue", mark("paused"): "orange",
    mark("finished"): "green", mark("stopped"): "orange", mark("failed"): "red", mark("lost"): "red",
}  # fmt: skip
HEADINGS = (  # of tables, see `table`
    mark("name"), mark("class"), mark("classes"), mark("precision"), mark("recall"), mark("f1"), mark("support"),
    mark("train"), mark("validation"), mark("test"), mark("width"), mark("height"), mark("images"), mark("file"),
    mark("reason"), mark("layer"), mark("shape"), mark("parameters"), mark("when"), mark("what"), mark("network"),
    mark("year"), mark("weights"), mark("multiply-adds"), mark("pictures"), mark("accuracy"), mark("value"),
)  # fmt: skip
BUSY = mark("The network is being asked …")
follow(tongue.spoken)


def text(name: object, most: int = 60) -> str:
    """A name from a stranger for Markdown: shown as it is, never as formatting, links, icons or formulas. What an error says
    in backticks, and addresses in it, are set as code, so that they can be copied."""
    line = " ".join((in_words(name) if isinstance(name, Exception) else str(name)).split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    if isinstance(name, Exception):
        pieces = re.split(r"`([^`]+)`|(https?://[^\s`;,]+)", line)
        return "".join(
            f"`{piece}`" if number % 3 else _plain(piece) for number, piece in enumerate(pieces) if piece is not None
        )
    return _plain(line)


def _plain(line: str) -> str:
    line = re.sub(
        r"(://|www(?=\.)|@)", "\\1\u2060", line
    )  # an invisible joiner, or addresses become links all the same
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&@/])", r"\\\1", line)


def status_badge(run: Run) -> str:
    """The run's one-word status as coloured Markdown."""
    status = run.status
    return f":{STATUS_COLOURS[status]}-badge[{tr(status)}]"


def live(run: Run) -> bool:
    return run.status in LIVE


@lru_cache
def made(table: tuple[tuple[str, ...], ...], language: str) -> list[st.Page]:
    """The pages of main.py's table in a language. Making one looks its file up, for all an eighth of the time of a click."""
    with speaking(language):
        return [
            st.Page(file, title=tr(title), icon=icon, url_path=address, default=not address)
            for file, title, address, icon, _ in table
        ]


@contextmanager
def refusals() -> Iterator[None]:
    """Say in a sentence why what stands within cannot be done, instead of an error page; the rest of it is left out."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        st.error(text(error, 500))


def link(address: str, label: str, icon: str | None = None, **query: str) -> None:
    """A link to another page; does nothing where pages stand alone, as in a test of one page."""
    if address in PAGE:
        st.page_link(PAGE[address], label=tr(label), icon=icon, query_params=query or None)


def go_to(address: str, **query: str) -> None:
    if address in PAGE:
        st.switch_page(PAGE[address], query_params=query or None)


def table(rows: Iterable[Mapping], **more):
    """Rows as a table with headings in the reader's language."""
    return grid(({tr(heading): value for heading, value in row.items()} for row in rows), **more)


def grid(rows: Iterable[Mapping[str, object]], **more):
    """Rows as a table, with their keys as headings.

    Left to itself, st.dataframe takes ten times as long, by way of pandas; so it goes still with what Arrow cannot hold,
    such as numbers and words in one column.
    """
    told = list(rows)
    with suppress(ValueError, TypeError, OverflowError):
        told = pa.table(
            {name: [row.get(name) for row in told] for name in dict.fromkeys(k for row in told for k in row)}
        )
    return st.dataframe(told, hide_index=True, **more)


def chart(figure: charts.Figure, key: str, alt: str, select: bool = False):
    """A Plotly figure without the tool bar, with a text for those who cannot see it; with ``select`` its points can be
    clicked, and it gives those that are. Who has asked for tables gets its numbers as one, too."""
    config, more = {"displayModeBar": False, "responsive": True}, {}
    if (factor := st.session_state.get("larger", 1.0)) != 1:
        figure = figure.larger(factor)
    if select:
        more = {"on_select": "rerun", "selection_mode": "points"}
    chosen = st.plotly_chart(figure, key=key, config=config, alt=alt, **more)
    as_table(figure, alt)
    return chosen


def as_table(figure: charts.Figure, alt: str) -> None:
    """The numbers of a figure, for who has asked for tables."""
    if st.session_state.get("tables"):
        st.caption(text(alt, 300))
        grid(figure.table())


def likeliest(classes: Sequence[str], probabilities: np.ndarray, most: int = 5, ranked: bool = True) -> None:
    """Bars of the likeliest classes of a softmax (C,), the likeliest on top, or where they are not ``ranked`` in their
    order, so that none changes its place while a number moves."""
    order, names = np.argsort(-probabilities, kind="stable")[:most], data.class_names(classes)
    order = order if ranked else np.sort(order)
    st.html(charts.probability_bars([{"name": names[i], "probability": float(probabilities[i])} for i in order]))


def metrics(*rows: tuple[str, str, str | None]) -> None:
    """Numbers side by side, as many in a row as fit: (label, value, help)."""
    with st.container(horizontal=True, gap="medium"):
        for label, value, help in rows:
            st.metric(label, value, help=help, width="content")


def floors(evaluation: dict) -> list[tuple[str, str, str]]:
    """Rows for `metrics`: what an accuracy must be compared with."""
    rows = [
        (
            tr("Always the commonest class"),
            evaluation["majority_accuracy"],
            tr("What guessing reaches without looking."),
        )
    ]
    if evaluation.get("linear_accuracy"):
        rows.append(
            (tr("A linear classifier"), evaluation["linear_accuracy"], tr("What a weighted sum of the pixels reaches."))
        )
    return [(label, f"{value:.1%}", help) for label, value, help in rows]


def percent_of(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "0%"


def pictures(count: int) -> str:
    """So many pictures, in words."""
    return plural("{n:,} picture", "{n:,} pictures", count)


def classes(count: int) -> str:
    """So many classes, in words."""
    return plural("{n:,} class", "{n:,} classes", count)


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "…"
    if seconds < 90:
        return tr("{seconds:.0f} s", seconds=seconds)
    return (
        tr("{seconds:.0f} min", seconds=seconds / 60) if seconds < 5400 else tr("{hours:.1f} h", hours=seconds / 3600)
    )
