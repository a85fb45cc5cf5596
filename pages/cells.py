"""Shared: a map whose cells are chosen by pointing, by arrow keys, or one after another by itself; it moves two sliders."""

from __future__ import annotations

import numpy as np
import streamlit as st

from imgrec.language import tr
from pages import parts

_cells = st.components.v2.component(
    "imgrec_cells",
    html="<button class='map'><img></button><button class='play'><span aria-hidden='true'></span> <span></span></button><div class='heard' role='status'></div>",
    css=parts.HEARD_CSS
    + """
      .map { all: unset; display: block; width: calc(100% - 6px); cursor: crosshair; border-radius: 6px; line-height: 0; margin: 3px; }
      .play { all: unset; cursor: pointer; padding: 2px 8px; margin: 3px; border-radius: 6px; font: 0.875rem var(--st-font);
              color: var(--st-text-color); border: 1px solid var(--st-border-color); }
      button:focus-visible { outline: 3px solid var(--st-primary-color); }
      img { width: 100%; border-radius: 6px; image-rendering: pixelated; }
    """,
    js="""
      const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      const PACE = 700;  // milliseconds a cell is looked at
      const timers = new WeakMap();
      export default function ({ data, parentElement, setTriggerValue }) {
        const [button, play] = parentElement.querySelectorAll('button'), image = parentElement.querySelector('img');
        const [glyph, word] = play.children;
        image.src = data.src;
        image.alt = button.ariaLabel = data.alt;
        button.style.maxWidth = data.width ? `${data.width}px` : '';
        const choose = (row, column, heard = true) => {
          play.heard = heard;
          setTriggerValue('cell', [Math.min(Math.max(row, 0), data.rows - 1), Math.min(Math.max(column, 0), data.columns - 1)]);
        };
        if (play.heard) parentElement.querySelector('.heard').textContent = data.said;
        play.heard = false;
        image.onclick = (event) => {
          const { left, top, width, height } = image.getBoundingClientRect();
          choose(Math.floor((event.clientY - top) / height * data.rows), Math.floor((event.clientX - left) / width * data.columns));
        };
        button.onkeydown = (event) => {
          if (!(event.key in MOVES)) return;
          event.preventDefault();
          const [down, right] = MOVES[event.key];
          choose(data.row + down, data.column + right);
        };
        const following = () => {  // as one reads, and from the last to the first
          const next = (data.row * data.columns + data.column + 1) % (data.rows * data.columns);
          choose(Math.floor(next / data.columns), next % data.columns, false);
        };
        const wait = () => {
          clearTimeout(timers.get(parentElement));
          [glyph.textContent, word.textContent] = play.plays ? ['⏸', data.pause] : ['▶', data.play];
          if (play.plays) timers.set(parentElement, setTimeout(following, PACE));
        };
        play.onclick = () => { play.plays = !play.plays; wait(); };
        wait();  // what was chosen is drawn by now: on to the next
        return () => clearTimeout(timers.get(parentElement));
      }
    """,
)


def cells(picture: np.ndarray, values: np.ndarray, at: tuple[int, int], sliders: tuple[str, str], alt: str, width: int = 0) -> None:  # fmt: skip
    """A picture of a map of ``values`` (H, W), of which the one ``at`` is chosen; what is chosen instead goes to the two
    sliders."""
    key, shape = f"cells {sliders[0]}", values.shape
    said = tr("Row {row}, column {column}: {value:.2f}", row=at[0], column=at[1], value=float(values[at]))

    def chosen() -> None:
        cell = st.session_state[key].get("cell")
        for slider, place, side in zip(sliders, cell or (), shape, strict=False):
            if side > 1:  # along a single cell there is no slider
                st.session_state[slider] = int(place)

    _cells(
        key=key,
        data={"src": parts.data_url(picture), "alt": alt, "width": width, "rows": shape[0], "columns": shape[1], "row": at[0], "column": at[1],
              "said": said, "play": tr("Play"), "pause": tr("Pause")},
        on_cell_change=chosen,
        height="content",
    )  # fmt: skip
