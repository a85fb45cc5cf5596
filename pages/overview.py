"""Shared: a whole network at a glance, its layers side by side, with wires between their maps; a click chooses a map."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import streamlit as st

from imgrec.charts import percent
from imgrec.language import mark, tr
from imgrec.lessons.network import Layer, fed_by, shown_of, wires
from pages import parts, teaching

MAPS, COLUMNS, SIDE = 8, 20, 40  # of a layer that are shown; layers; pixels along a map
LEAST = 24  # pixels along a map that a finger still hits
KINDS = {  # PyTorch's names of layers that are words; others, such as ReLU, are names in every language
    "Conv2d": mark("Convolution"),
    "MaxPool2d": mark("Max pooling"),
    "AdaptiveMaxPool2d": mark("Max pooling"),
    "AvgPool2d": mark("Average pooling"),
    "AdaptiveAvgPool2d": mark("Average pooling"),
    "BatchNorm2d": mark("Batch norm"),
    "Linear": mark("Dense"),
}
PLAIN = ("BatchNorm2d", "ReLU", "ReLU6", "GELU", "SiLU", "Hardswish")  # left out where there are too many layers


def kind_of(layer: Layer) -> str:
    """What kind of layer it is, in the reader's language; one of our own is of the kind that it was made from."""
    names = (kind.__name__ for kind in type(layer.module).__mro__)
    return tr(next((KINDS[name] for name in names if name in KINDS), layer.kind))


def show(
    picture: np.ndarray, found: list[Layer], names: Sequence[str], probabilities: np.ndarray, chosen: tuple[int, int],
    choose: Callable[[int, int], None],
) -> None:  # fmt: skip
    """The picture, the first maps of each layer, the classes; ``chosen``: layer and map, which are framed. A click calls
    ``choose`` with others."""

    def clicked() -> None:
        with suppress(TypeError, ValueError, IndexError, OverflowError):  # whatever a browser sends
            layer, number = map(int, st.session_state["network_overview"].get("clicked"))
            if layer >= 0 and 0 <= number < len(found[layer].values):
                choose(layer, number)

    shown = layers_shown(found, chosen[0])
    columns = [{"title": tr("Picture"), "size": _size(picture.shape[:2]), "layer": -1, "cells": [_picture(picture)]}]
    maps = {index: shown_of(found[index], MAPS, chosen[1] if index == chosen[0] else None) for index in shown}
    columns += [column(found, index, maps) for index in shown]
    scores = len(columns[-1]["cells"]) == len(names) and shown[-1] == len(found) - 1
    columns.append(classes(names, probabilities, len(columns) - 1 if scores else None))
    _overview(
        key="network_overview",
        data={"columns": columns, "chosen": list(chosen), "side": SIDE, "least": LEAST},
        on_clicked_change=clicked,
        height="content",
    )


def classes(names: Sequence[str], probabilities: np.ndarray, before: int | None) -> dict:
    """What comes out: all classes behind the numbers of the column ``before``, or the likeliest."""
    order = np.argsort(-probabilities)[:MAPS].tolist() if before is None else range(len(names))
    shares = [float(probabilities[i]) for i in order]
    cells = [
        {"title": f"{names[i]}: {percent(share)}", "text": names[i], "share": share}
        for i, share in zip(order, shares, strict=True)
    ]
    wires = [] if before is None else np.eye(len(cells)).tolist()
    return {
        "title": tr("Softmax"),
        "size": str(len(names)),
        "layer": -1,
        "cells": cells,
        "from": before,
        "wires": wires,
    }


def layers_shown(found: list[Layer], chosen: int) -> list[int]:
    """Which layers have a column: all, or if they are too many those near the chosen one that do more than bend or shift."""
    every = list(range(len(found)))
    if len(every) > COLUMNS:
        every = [i for i in every if found[i].kind not in PLAIN or i == chosen]
    first = max(0, min(every.index(chosen) - COLUMNS // 2, len(every) - COLUMNS))
    return every[first : first + COLUMNS]


def column(found: list[Layer], index: int, shown: dict[int, list[int]]) -> dict:
    """One layer: some of its maps or numbers, which ``shown`` says of all layers that have a column, and the wires to one of
    these."""
    layer, numbers = found[index], shown[index]
    before = fed_by(found, index)
    while before not in (None, -1, *shown) and found[before].kind in PLAIN:  # its maps are those before it
        before = fed_by(found, before)
    strengths = np.zeros((0, 0))
    if before == -1:
        channels = len(layer.given)
        strengths = wires(found, index, numbers, channels, range(channels)).max(1, keepdims=True)
    elif before in shown:
        strengths = wires(found, index, numbers, len(found[before].values), shown[before])
    return {
        "title": kind_of(layer),
        "size": _size(layer.values.shape),
        "layer": index,
        "cells": [_cell(layer.values[number], number, layer) | {"number": number} for number in numbers],
        "from": 1 + list(shown).index(before) if before in shown else 0,
        "wires": strengths.round(3).tolist(),
    }


def _cell(values: np.ndarray, number: int, layer: Layer) -> dict:
    if values.ndim == 0:
        most = max(float(np.abs(layer.values).max()), 1e-9)
        colour = teaching.shades(np.array([[values / most, 1.0]]), signed=True)[:, :1]
        return {"src": parts.data_url(colour), "title": f"{tr('unit {i}', i=number)}: {float(values):.2f}"}
    step = max(1, values.shape[0] // SIDE)
    return {
        "src": parts.data_url(teaching.shades(values[::step, ::step], signed=True)),
        "title": tr("Map {i}", i=number),
    }


def _picture(picture: np.ndarray) -> dict:
    return {"src": parts.thumbnail_url(picture), "title": tr("The picture as the network sees it")}


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


_overview = st.components.v2.component(
    "imgrec_overview",
    html="<div class='scroll'><div class='net'><svg aria-hidden='true'></svg></div></div>",
    css="""
      .scroll { overflow-x: auto; padding-bottom: 6px; }
      .net { position: relative; display: flex; gap: var(--gap); width: max-content; font: 0.75rem var(--st-font);
             color: var(--st-text-color); padding: 4px; }
      svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
      .column { display: flex; flex-direction: column; gap: 5px; align-items: center; }
      .head { width: 0; display: flex; justify-content: center; text-align: center; line-height: 1.35; white-space: nowrap; }
      .turns .head { height: 5.4em; align-items: start; }
      .turns .column:nth-of-type(even) .head { align-items: end; }
      .head span { font-size: var(--words, 1em); }
      .head small { opacity: .75; font-size: .84em; }
      .cells { flex: 1; display: flex; flex-direction: column; gap: 5px; justify-content: center; }
      .cells button, .cells div { all: unset; display: block; border-radius: 5px; line-height: 0; background: var(--st-background-color);
                                  outline: 1px solid var(--st-border-color); position: relative; }
      .cells button { cursor: pointer; }
      .cells button:hover, .cells button:focus-visible { outline: 3px solid var(--st-primary-color); }
      .cells .chosen { outline: 3px solid #d55e00; }
      .cells img { border-radius: 5px; image-rendering: pixelated; display: block; width: var(--cell); height: var(--cell); }
      .column:first-of-type img { width: calc(1.5 * var(--cell)); height: calc(1.5 * var(--cell)); }
      .cells .class { line-height: 1.3; padding: 5px 8px; min-width: 4.5em; max-width: 9em; overflow: hidden; white-space: nowrap;
                      text-overflow: ellipsis; }
      .class span { position: relative; }
      .class i { position: absolute; inset: 0 auto 0 0; background: var(--st-primary-color); opacity: .3;
                 forced-color-adjust: none; }
      line { stroke: var(--st-text-color); }
      line.on { stroke: #d55e00; }
    """,
    js="""
      const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

      export default function ({ data, parentElement, setTriggerValue }) {
        const net = parentElement.querySelector('.net'), svg = net.querySelector('svg'), places = [];
        const scroll = parentElement.querySelector('.scroll'), before = scroll.scrollLeft;
        const focused = net.getRootNode().activeElement?.ariaLabel;
        net.querySelectorAll('.column').forEach((old) => old.remove());
        let framed = null;
        data.columns.forEach((column, c) => {
          const box = document.createElement('div'), head = document.createElement('div'), cells = document.createElement('div');
          const name = document.createElement('b'), size = document.createElement('small'), words = document.createElement('span');
          box.className = 'column'; head.className = 'head'; cells.className = 'cells';
          name.textContent = column.title;
          size.textContent = column.size;
          words.append(name, document.createElement('br'), size);
          head.append(words);
          places.push(column.cells.map((cell, k) => {
            const element = document.createElement(column.layer < 0 ? 'div' : 'button');
            element.title = cell.title;
            if (cell.src) {
              const image = document.createElement('img');
              image.src = cell.src;
              image.alt = column.layer < 0 ? cell.title : '';
              element.append(image);
            } else {
              const bar = document.createElement('i'), text = document.createElement('span');
              element.className = 'class';
              bar.style.width = `${100 * cell.share}%`;
              text.textContent = cell.text;
              element.append(bar, text);
            }
            if (column.layer >= 0) {
              element.setAttribute('aria-label', `${column.title} ${column.layer + 1}, ${cell.title}`);
              element.onclick = () => setTriggerValue('clicked', [column.layer, cell.number]);
              element.onpointerenter = () => wire(c, k);
              element.onfocus = () => { wire(c, k); stop(element); };
              element.onkeydown = (event) => move(event, c, k);
              element.onpointerleave = element.onblur = () => wire();
              if (column.layer === data.chosen[0] && cell.number === data.chosen[1]) {
                element.classList.add('chosen');
                element.ariaCurrent = true;
                framed = [c, k];
              }
            }
            cells.append(element);
            return element;
          }));
          box.append(head, cells);
          net.append(box);
        });
        function fit() {  // cells as large as lets all columns be seen at once; the words above them take turns, if need be
          net.style.setProperty('--words', '1em');
          const letter = parseFloat(getComputedStyle(document.documentElement).fontSize), maps = data.columns.length - 1;
          const widths = [...net.querySelectorAll('.head span')].map((words) => words.offsetWidth);
          const room = scroll.clientWidth - 9 - net.querySelector('.column:last-of-type').offsetWidth;
          const gap = Math.max(8, Math.min(20, room / maps / 4));
          const cell = Math.max(data.least, Math.min(data.side / 16 * letter, (room - maps * gap) / (maps + 0.5)));
          const needed = (apart) => Math.max(...widths.slice(apart).map((width, i) => (width + widths[i]) / 2 + 6));
          net.style.setProperty('--gap', `${gap}px`);
          net.style.setProperty('--cell', `${cell}px`);
          net.style.setProperty('--words', `${Math.min(1, 2 * (cell + gap) / needed(2))}em`);
          net.classList.toggle('turns', needed(1) > cell + gap);
        }
        function stop(at) {  // where Tab leads; the arrow keys go on from there
          net.querySelectorAll('button').forEach((button) => { button.tabIndex = button === at ? 0 : -1; });
        }
        function move(event, c, k) {
          const [along, down] = MOVES[event.key] ?? [0, 0], cells = places[c + along];
          if (!along && !down) return;
          event.preventDefault();
          const to = cells?.[along ? Math.min(k, cells.length - 1) : k + down];
          if (to?.tagName === 'BUTTON') to.focus();
        }
        stop(framed ? places[framed[0]][framed[1]] : net.querySelector('button'));
        function line(one, other, strength, on) {
          const frame = net.getBoundingClientRect(), from = one.getBoundingClientRect(), to = other.getBoundingClientRect();
          const drawn = document.createElementNS('http://www.w3.org/2000/svg', 'line');
          drawn.setAttribute('x1', from.right - frame.left);
          drawn.setAttribute('y1', (from.top + from.bottom) / 2 - frame.top);
          drawn.setAttribute('x2', to.left - frame.left);
          drawn.setAttribute('y2', (to.top + to.bottom) / 2 - frame.top);
          drawn.setAttribute('stroke-width', on ? 0.5 + 2.5 * strength : 1);
          drawn.setAttribute('opacity', on ? 0.25 + 0.75 * strength : 0.04 + 0.18 * strength);
          if (on) drawn.classList.add('on');
          svg.append(drawn);
        }
        function wire(c = framed?.[0], k = framed?.[1]) {  // all of them faintly, those into one map clearly
          svg.replaceChildren();
          data.columns.forEach((column, at) => (column.wires ?? []).forEach((row, to) => row.forEach((strength, from) => {
            if (strength > 0.02) line(places[column.from][from], places[at][to], strength, at === c && to === k);
          })));
          svg.append(...svg.querySelectorAll('.on'));  // above the others
        }
        if (focused) [...net.querySelectorAll('button')].find((b) => b.ariaLabel === focused)?.focus({ preventScroll: true });
        scroll.scrollLeft = before;
        fit();
        const watch = new ResizeObserver(() => { fit(); wire(); });
        watch.observe(net);
        watch.observe(scroll);
        return () => watch.disconnect();
      }
    """,
)
