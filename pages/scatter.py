"""Scatter: pictures as points in the plane; hovering shows the picture, a click opens it, a line drawn around some picks them."""

from __future__ import annotations

import io

import numpy as np
import streamlit as st
from PIL import Image

from imgrec import data
from imgrec.images import as_pillow, in_address
from imgrec.language import tr
from pages import parts

CELL = 40  # pixels of a picture in the sheet that hovering looks into
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A900", "#8A8F98", "#7B4FA3", "#7A5230",
)  # fmt: skip


def sheet(dataset: data.Dataset, positions: np.ndarray) -> str:
    """All the pictures small on one sheet, as a JPEG inside an address."""
    columns = int(np.ceil(np.sqrt(len(positions))))
    whole = Image.new("RGB", (columns * CELL, -(-len(positions) // columns) * CELL))
    for number, position in enumerate(positions.tolist()):
        picture = dataset.images[position]
        small = as_pillow(picture)
        shrink = small.reduce(small.width // CELL) if small.width >= 2 * CELL else small
        whole.paste(shrink.resize((CELL, CELL)), (number % columns * CELL, number // columns * CELL))
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=80)
    return in_address(file.getvalue(), "jpeg")


def scatter(
    dataset: data.Dataset, positions: np.ndarray, points: np.ndarray, sheet: str, pictures: bool, cells: np.ndarray,
    key: str,
) -> tuple[list[int] | None, int | None]:  # fmt: skip
    """Draw the map; ``points`` (N, 2) from 0 to 1, ``cells`` (N,) where the sheet holds each picture.

    Gives the positions just enclosed, and the one just clicked.
    """
    labels = dataset.labels[positions]
    names = data.class_names(dataset.classes)
    used = [index for index in np.unique(labels).tolist() if index >= 0]
    result = _scatter(
        key=key,
        data={
            "points": points.round(4).ravel().tolist(),
            "labels": labels.tolist(),
            "names": {str(index): " ".join(names[index].split())[:40] for index in used} | {"-1": "?"},
            "colours": {str(index): COLOURS[index % len(COLOURS)] for index in used} | {"-1": "#8A8F98"},
            "titles": [f"{names[dataset.labels[p]] if dataset.labels[p] >= 0 else '?'}: {dataset.files[p]}"[:90] for p in positions.tolist()],
            "name": tr("The map: arrow keys lead from one picture to the nearest in that direction, Enter opens it"),
            "sheet": sheet, "cell": CELL, "cells": cells.tolist(), "pictures": pictures,
        },
        on_enclosed_change=lambda: None,
        on_clicked_change=lambda: None,
        height="content",
    )  # fmt: skip
    enclosed = [int(positions[i]) for i in result.enclosed if 0 <= i < len(positions)] if result.enclosed else None
    clicked = result.clicked
    return enclosed, int(positions[clicked]) if clicked is not None and 0 <= clicked < len(positions) else None


_scatter = st.components.v2.component(
    "imgrec_scatter",
    html="<div class='legend'></div><div class='field'><canvas tabindex='0' role='application'></canvas><div class='tip' hidden><canvas></canvas><span></span></div><div class='heard' role='status'></div></div>",
    css=parts.HEARD_CSS
    + """
      .legend { display: flex; flex-wrap: wrap; gap: 2px 12px; font: .8rem/1.5 var(--st-font); color: var(--st-text-color);
                max-height: 6.2em; overflow-y: auto; }
      .legend button { all: unset; cursor: pointer; white-space: nowrap; border-radius: 4px; }
      .legend button[aria-pressed=true] { text-decoration: underline; text-underline-offset: 3px; }
      button:focus-visible, .field > canvas:focus-visible { outline: 2px solid var(--st-primary-color); }
      .legend i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 5px;
                  forced-color-adjust: none; }
      .field { position: relative; }
      .field > canvas { width: 100%; aspect-ratio: 1.3; max-height: min(70vh, 640px); touch-action: none; cursor: crosshair; display: block;
                        border: 1px solid var(--st-border-color); border-radius: 8px; box-sizing: border-box; }
      @media (max-width: 600px) { .field > canvas { aspect-ratio: 1; } }
      .tip { position: absolute; pointer-events: none; background: var(--st-background-color); border-radius: 8px; padding: 5px;
             border: 1px solid var(--st-border-color); box-shadow: 0 2px 10px #0004; font: .75rem/1.3 var(--st-font);
             color: var(--st-text-color); width: 122px; overflow-wrap: anywhere; }
      .tip canvas { width: 120px; height: 120px; border-radius: 5px; display: block; margin-bottom: 3px; }
    """,
    js=parts.BACK_JS
    + """
      const MARGIN = 18, REACH = 16, NEAR = 6;
      const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

      export default function ({ data, parentElement, setTriggerValue }) {
        const field = parentElement.querySelector('.field');
        const canvas = field.querySelector('canvas');
        const tip = field.querySelector('.tip');
        const legend = parentElement.querySelector('.legend');
        const count = data.labels.length;
        const wide = Math.max(1e-6, ...data.points.filter((_, i) => i % 2 === 0));
        const tall = Math.max(1e-6, ...data.points.filter((_, i) => i % 2 === 1));
        const sheet = new Image();
        const heard = field.querySelector('.heard');
        let zoom = { scale: 1, x: 0, y: 0 }, hovered = null, path = null, at = null;
        let chosen = field.chosen < data.labels.length ? field.chosen : -1;
        const focused = () => canvas.getRootNode().activeElement === canvas;
        const alone = () => hovered ?? legend.pressed ?? null;
        const shines = (i) => alone() === null || alone() === data.labels[i];

        function size() {
          const ratio = window.devicePixelRatio || 1;
          canvas.width = canvas.clientWidth * ratio;
          canvas.height = canvas.clientHeight * ratio;
          canvas.getContext('2d').setTransform(ratio, 0, 0, ratio, 0, 0);
        }
        function spot(i) {
          const w = canvas.clientWidth, h = canvas.clientHeight;
          const scale = Math.min((w - 2 * MARGIN) / wide, (h - 2 * MARGIN) / tall);
          const x = (w - wide * scale) / 2 + data.points[2 * i] * scale, y = (h + tall * scale) / 2 - data.points[2 * i + 1] * scale;
          return [x * zoom.scale + zoom.x, y * zoom.scale + zoom.y];
        }
        function cell(i) {
          const columns = Math.max(1, Math.round(sheet.naturalWidth / data.cell));
          const n = data.cells[i];
          return [n % columns * data.cell, Math.floor(n / columns) * data.cell];
        }
        function draw() {
          const pen = canvas.getContext('2d');
          pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
          const side = Math.min(64, (data.pictures ? 22 : 7) * Math.sqrt(zoom.scale));
          for (let i = 0; i < count; i++) {
            const [x, y] = spot(i), label = data.labels[i];
            if (x < -side || y < -side || x > canvas.clientWidth + side || y > canvas.clientHeight + side) continue;
            pen.globalAlpha = shines(i) ? (data.pictures ? 1 : 0.75) : 0.08;
            pen.fillStyle = data.colours[label];
            if (data.pictures && sheet.naturalWidth) {
              pen.fillRect(x - side / 2 - 1, y - side / 2 - 1, side + 2, side + 2);
              pen.drawImage(sheet, ...cell(i), data.cell, data.cell, x - side / 2, y - side / 2, side, side);
            } else {
              pen.beginPath(); pen.arc(x, y, side / 2, 0, 7); pen.fill();
            }
          }
          pen.globalAlpha = 1;
          if (chosen >= 0 && focused()) {
            pen.beginPath();
            pen.arc(...spot(chosen), side / 2 + 4, 0, 7);
            pen.strokeStyle = '#D55E00'; pen.lineWidth = 3; pen.stroke();
          }
          if (path) {
            pen.beginPath();
            path.forEach(([x, y]) => pen.lineTo(x, y));
            pen.closePath();
            pen.strokeStyle = '#D55E00'; pen.lineWidth = 2; pen.stroke();
            pen.fillStyle = '#D55E0022'; pen.fill();
          }
        }
        function nearest([x, y]) {
          let best = -1, least = REACH * REACH;
          for (let i = 0; i < count; i++) {
            const [a, b] = spot(i), away = (a - x) ** 2 + (b - y) ** 2;
            if (away < least) { least = away; best = i; }
          }
          return best;
        }
        function inside([x, y], line) {  // even-odd rule
          let odd = false;
          for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
            const [a, b] = line[i], [c, d] = line[j];
            if (b > y !== d > y && x < (c - a) * (y - b) / (d - b) + a) odd = !odd;
          }
          return odd;
        }
        function towards([right, down]) {  // the nearest one within 45°, else anywhere on that side; -1 if there is none
          const [x, y] = chosen < 0 ? [canvas.clientWidth / 2, canvas.clientHeight / 2] : spot(chosen);
          let best = -1, least = Infinity;
          for (let i = 0; i < count; i++) {
            const [a, b] = spot(i), along = (a - x) * right + (b - y) * down, aside = Math.abs((a - x) * down + (b - y) * right);
            const away = Math.hypot(along, aside) + (aside > along ? 1e6 : 0);
            if (shines(i) && along > 0.01 && away < least) { least = away; best = i; }
          }
          return best;
        }
        function go(i) {
          chosen = field.chosen = i;
          const [x, y] = spot(i), w = canvas.clientWidth, h = canvas.clientHeight;
          if (x < 0 || y < 0 || x > w || y > h) zoom = { ...zoom, x: zoom.x + w / 2 - x, y: zoom.y + h / 2 - y };
          draw();
          show(i);
          heard.textContent = data.titles[i];
        }
        function show(i) {
          tip.hidden = i < 0;
          if (i < 0) return;
          const picture = tip.querySelector('canvas');
          picture.width = picture.height = 120;
          const pen = picture.getContext('2d');
          pen.imageSmoothingEnabled = false;
          if (sheet.naturalWidth) pen.drawImage(sheet, ...cell(i), data.cell, data.cell, 0, 0, 120, 120);
          tip.querySelector('span').textContent = data.titles[i];
          const [x, y] = spot(i);
          tip.style.left = `${Math.min(Math.max(0, x + 14), canvas.clientWidth - 136)}px`;
          tip.style.top = `${y + 190 > canvas.clientHeight ? Math.max(0, y - 186) : y + 14}px`;
        }
        const where = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
        canvas.onpointerdown = (event) => { chosen = field.chosen = -1; path = [where(event)]; at = path[0]; try { canvas.setPointerCapture(event.pointerId); } catch {} };
        canvas.onpointermove = (event) => {
          if (!path) return show(nearest(where(event)));
          path.push(where(event));
          tip.hidden = true;
          draw();
        };
        canvas.onpointerup = (event) => {
          if (!path) return;
          const line = path, [x, y] = where(event);
          path = null;
          const moved = line.some(([a, b]) => Math.hypot(a - at[0], b - at[1]) > NEAR);
          if (moved) {
            const found = [];
            for (let i = 0; i < count; i++) if (shines(i) && inside(spot(i), line)) found.push(i);
            setTriggerValue('enclosed', found);
          } else {
            const i = nearest([x, y]);
            if (i >= 0) open(i);
          }
          draw();
        };
        canvas.onpointercancel = () => { path = null; draw(); };
        canvas.onpointerleave = () => { if (!path) tip.hidden = true; };
        function open(i) {
          setTriggerValue('clicked', i);
          comeBack(() => canvas.focus({ preventScroll: true }));
        }
        canvas.onkeydown = (event) => {
          if (event.altKey || event.ctrlKey || event.metaKey) return;
          if (event.key === 'Enter' && chosen >= 0) open(chosen);
          if (!(event.key in WAYS)) return;
          event.preventDefault();
          const to = towards(WAYS[event.key]);
          if (to >= 0) go(to);
        };
        canvas.onfocus = draw;
        canvas.onblur = () => { tip.hidden = true; draw(); };
        canvas.ariaLabel = data.name;
        canvas.onwheel = (event) => {  // with Ctrl, so that the page still scrolls; two fingers on a touchpad count as that
          if (!event.ctrlKey) return;
          event.preventDefault();
          const [x, y] = where(event), grow = Math.exp(-event.deltaY / 200);
          const scale = Math.min(40, Math.max(1, zoom.scale * grow)), by = scale / zoom.scale;
          zoom = scale === 1 ? { scale: 1, x: 0, y: 0 } : { scale, x: x - (x - zoom.x) * by, y: y - (y - zoom.y) * by };
          tip.hidden = true;
          draw();
        };
        legend.replaceChildren(...Object.keys(data.names).filter((l) => data.labels.includes(+l)).map((label) => {
          const entry = document.createElement('button'), dot = document.createElement('i'), name = document.createElement('span');
          dot.style.background = data.colours[label];
          name.textContent = data.names[label];
          entry.append(dot, name);
          entry.ariaPressed = legend.pressed === +label;
          entry.onpointerenter = () => { hovered = +label; draw(); };
          entry.onpointerleave = () => { hovered = null; draw(); };
          entry.onclick = () => {
            legend.pressed = legend.pressed === +label ? null : +label;
            [...legend.children].forEach((other) => { other.ariaPressed = other === entry && legend.pressed !== null; });
            draw();
          };
          return entry;
        }));
        sheet.onload = draw;
        sheet.src = data.sheet;
        const resized = new ResizeObserver(() => { size(); draw(); });
        resized.observe(canvas);
        size();
        draw();
        return () => resized.disconnect();
      }
    """,
)
