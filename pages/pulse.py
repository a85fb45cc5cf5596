"""Shared: the head of a run, drawn by one small message: what it does, how far it is, how fast, and what to do about it.

A class that watches a training asks for this every second or two, and twenty elements of Streamlit's own cost twenty times
as much as one.
"""

from collections.abc import Sequence

import streamlit as st

Said = tuple[str, str, str]  # a sentence in a coloured box: info, success, warning or error; its first word; the rest


def pulse(
    title: Sequence[str],
    colour: str,
    bars: Sequence[tuple[float, str]],
    figures: Sequence[tuple[str, str, str]],
    said: Sequence[Said],
) -> None:
    """Draw it, or change what is drawn. ``title``: the status, shown in ``colour``, and the words after it; ``bars``: share
    from 0 to 1 and what it is of; ``figures``: label, value, help."""
    _pulse(
        key="pulse",
        data={
            "title": list(title),
            "colour": colour,
            "bars": [(min(1.0, share), words) for share, words in bars],
            "figures": list(figures),
            "said": list(said),
        },
        height="content",
    )


_pulse = st.components.v2.component(
    "imgrec_pulse",
    html="<div class='run'><div class='title'></div><div class='bars'></div><dl></dl><div class='said'></div></div>",
    css="""
      .run { display: grid; gap: 1rem; font-family: var(--st-font); color: var(--st-text-color); }
      .title { display: flex; flex-wrap: wrap; gap: .5rem; align-items: baseline; overflow-wrap: anywhere; }
      .title :first-child { padding: .05rem .5rem; border-radius: .4rem; font-size: .9em; }
      .bars { display: grid; gap: .7rem; }
      .words { margin-bottom: .25rem; font-variant-numeric: tabular-nums; }
      .track { height: .5rem; border-radius: .25rem; overflow: hidden; background: var(--st-secondary-background-color); }
      .track div { height: 100%; background: var(--st-primary-color); transition: width .4s linear; }
      dl { display: flex; flex-wrap: wrap; gap: .6rem 2.2rem; margin: 0; }
      dt { font-size: .88em; opacity: .85; }
      dd { margin: 0; font-size: 1.9em; line-height: 1.3; font-variant-numeric: tabular-nums; }
      .said { display: grid; gap: .6rem; }
      .said:empty { display: none; }
      .box { padding: .7rem 1rem; border-radius: var(--st-base-radius, .5rem); overflow-wrap: anywhere; }
    """,
    js="""
      const COLOURS = { info: 'blue', success: 'green', warning: 'yellow', error: 'red' };

      function child(parent, number, tag) {  // reuse what is there, so that bars move instead of being drawn anew
        return parent.children[number] ?? parent.appendChild(document.createElement(tag));
      }
      function write(element, text) {
        if (element.textContent !== text) element.textContent = text;
      }
      function shorten(parent, count) {
        while (parent.children.length > count) parent.lastChild.remove();
      }
      function paint(element, colour) {
        element.style.background = `var(--st-${colour}-background-color)`;
        element.style.color = `var(--st-${colour}-text-color)`;
      }

      export default function ({ data, parentElement }) {
        const [title, bars, figures, boxes] = parentElement.querySelector('.run').children;
        data.title.forEach((words, number) => write(child(title, number, number ? 'span' : 'strong'), words));
        shorten(title, data.title.length);
        paint(title.children[0], data.colour);
        data.bars.forEach(([share, said], number) => {
          const row = child(bars, number, 'div'), words = child(row, 0, 'div'), track = child(row, 1, 'div');
          words.className = 'words';
          track.className = 'track';
          write(words, said);
          track.setAttribute('role', 'progressbar');
          track.setAttribute('aria-label', said);
          track.setAttribute('aria-valuenow', Math.round(100 * share));
          child(track, 0, 'div').style.width = `${100 * share}%`;
        });
        data.figures.forEach(([label, value, help], number) => {
          const cell = child(figures, number, 'div');
          cell.title = help;
          write(child(cell, 0, 'dt'), label);
          write(child(cell, 1, 'dd'), value);
        });
        data.said.forEach(([kind, lead, words], number) => {
          const box = child(boxes, number, 'div');
          box.className = 'box';
          box.setAttribute('role', kind === 'error' ? 'alert' : 'status');
          paint(box, COLOURS[kind]);
          write(child(box, 0, 'strong'), lead);
          write(child(box, 1, 'span'), (lead ? ' ' : '') + words);
        });
        shorten(boxes, data.said.length);
      }
    """,
)
