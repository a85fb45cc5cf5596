"""Shared: a confusion matrix as a table of buttons, which a finger, a mouse and the keyboard press alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import streamlit as st

from imgrec.charts.evaluation import strengths
from imgrec.language import tr
from pages import scripts

MOST = 20  # classes of a table whose cells a finger still hits

_matrix = st.components.v2.component(
    "imgrec_matrix",
    html="<div class='frame'><table></table></div>",
    css=scripts.read("matrix.css"),
    js=scripts.read("matrix.js"),
)


def matrix(counts: np.ndarray, names: Sequence[str], chosen: tuple[int, int], choose: Callable[[int, int], None]) -> None:  # fmt: skip
    """Rows are the true classes, columns the answers, ``counts`` (C, C); the cell ``chosen`` is framed. Pressing one calls
    ``choose`` with its row and column."""

    def pressed() -> None:
        with suppress(TypeError, ValueError, OverflowError):  # whatever a browser sends
            row, column = map(int, st.session_state["matrix"].get("cell"))
            if 0 <= row < len(names) and 0 <= column < len(names):
                choose(row, column)

    names = [" ".join(name.split())[:40] for name in names]
    share, mistake = strengths(counts)
    right = np.eye(len(names), dtype=bool)
    rows = zip(names, counts.tolist(), np.where(right, share, mistake).round(3).tolist(), strict=True)
    _matrix(
        key="matrix",
        data={
            "names": names,
            "rows": [
                [
                    {"count": count, "strength": strength, "said": said(truth, answer, count)} if count else None
                    for answer, count, strength in zip(names, *cells, strict=True)
                ]
                for truth, *cells in rows
            ],
            "chosen": list(chosen),
            "truth": tr("truth"),
            "answer": tr("answer"),
            "larger": st.session_state.get("larger", 1.0),
        },
        on_cell_change=pressed,
        height="content",
    )


def said(truth: str, answer: str, count: int) -> str:
    """A cell for who cannot see where it is."""
    if truth == answer:
        return tr("{truth} recognised: {count:,}", truth=truth, count=count)
    return tr("{truth} taken for {answer}: {count:,}", truth=truth, answer=answer, count=count)
