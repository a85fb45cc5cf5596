"""Shared: the camera, live. The browser sends a picture, the server answers, and only then comes the next one.

The pictures do not go through Streamlit: they would draw a part of the page anew several times a second, and its page sends
what was clicked meanwhile along with them, as if it belonged to that part; such clicks and uploads were lost now and then.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson
import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from imgrec.data import class_names
from imgrec.language import LANGUAGES, current, speaking, tr
from pages import camera

if TYPE_CHECKING:  # the server starts without torch
    from imgrec.predict import Classified, Ensemble, Predictor

PATH = "seen"  # of `look`, below the address of the dashboard
WARMTH = 56  # values along a side of the heat that is sent, at most


def show(network: Predictor | Ensemble, temperature: float, count: int) -> None:
    """The camera's picture with the likeliest classes beside it, several times a second, and on demand with where it looks."""
    where = st.toggle(tr("Show where it looks"), key="live_where", help=tr("Grad-CAM for the likeliest class, over the camera's picture."))  # fmt: skip
    asked = {"of": network.name, "views": network.views, "temperature": temperature, "top": count, "where": int(where), "lang": current()}  # fmt: skip
    _camera(
        key="live_camera",
        data={
            "address": f"{PATH}?{urlencode(asked)}",
            "side": max(160, network.at_least),
            "words": {
                "unknown": tr("Probably none of these."),
                "unreliable": tr("Where it looks is not reliable now: covering other places costs as much."),
                "away": tr("The server does not answer; it is asked again."),
                **camera.words(),
            },
        },
        height="content",
    )
    st.caption(
        tr("Nothing is kept: each picture is looked at and forgotten. Your browser asks before it opens the camera.")
    )


async def look(request: Request) -> Response:
    """What a network says about the picture in the request's body, as JSON: {"known", "classes"} or {"error"}.

    Query: ``of`` run or runs, ``views``, ``temperature``, ``top`` classes, ``lang``; with ``where=1`` the answer has the heat
    for the likeliest class, too. 503 while too many others wait.
    """
    asked = request.query_params
    language = asked.get("lang", "")
    with speaking(language if language in LANGUAGES else "en"):
        status, content = await _answer(request, asked.get("of", ""), asked.get("views", ""))
    headers = {"cache-control": "no-store"}
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


async def _answer(request: Request, names: str, views: str) -> tuple[int, dict]:
    from imgrec.serving import Busy

    try:
        temperature, count = float(request.query_params["temperature"]), int(request.query_params["top"])
        if not (0.1 <= temperature <= 10 and 1 <= count <= 50):
            raise ValueError(f"{temperature}, {count}")
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > camera.MOST_BYTES:
                raise ValueError(len(content))
    except (ValueError, KeyError) as error:
        return 400, {"error": str(error)}
    try:
        network, [result] = await _batcher().classify(names, [("camera.jpg", bytes(content))], views)
    except (Busy, TimeoutError):
        return 503, {}
    except (ValueError, OSError) as error:  # no such run, or damaged weights
        return 404, {"error": str(error)}
    if result.error:
        return 200, {"error": result.error}
    classes = result.at_temperature(temperature).top(class_names(network.classes), count)
    heat = await run_in_threadpool(_heat, network, result) if request.query_params.get("where") == "1" else {}
    return 200, {"known": result.known, "classes": classes} | heat


def _heat(network: Predictor | Ensemble, result: Classified) -> dict:
    """What speaks for the likeliest class: ``side``² values as base64 bytes, and whether hiding them proves it."""
    from imgrec.explain import explain
    from pages.answers import first

    likeliest = network.classes[int(result.probabilities.argmax())]
    try:
        found = explain(first(network), result.seen, class_name=likeliest)
    except ValueError as error:  # a network without maps
        return {"heat": {"error": str(error)}}
    step = -(-len(found.heat) // WARMTH)
    values = (255 * found.heat[::step, ::step]).round().astype("uint8")
    encoded = base64.b64encode(values.tobytes()).decode()
    return {"heat": {"side": len(values), "values": encoded, "reliable": found.reliable}}


@cache
def _batcher():
    from imgrec.serving import Batcher

    return Batcher()


_camera = st.components.v2.component(
    "imgrec_live",
    html="<div class='live'><div class='sight'><video muted playsinline></video><canvas aria-hidden='true'></canvas></div><div class='said' role='status'></div></div>",
    css="""
      .live { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 1.2rem; font-family: var(--st-font);
              color: var(--st-text-color); }
      .sight { position: relative; max-width: 24rem; }
      video { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 10px; background: var(--st-secondary-background-color); }
      canvas { position: absolute; inset: 0; width: 100%; aspect-ratio: 1; border-radius: 10px; pointer-events: none; }
      .said { display: grid; grid-template-columns: fit-content(9em) minmax(3em, 1fr) auto; gap: .7rem .6rem;
              align-items: center; align-content: start; }
      .row { display: contents; }
      .row span:first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
      .row span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
      .bar { height: 1.1rem; border-radius: 4px; background: var(--st-secondary-background-color); overflow: hidden; }
      .bar div { height: 100%; background: var(--st-primary-color); transition: width .15s; }
      .note { grid-column: 1 / -1; opacity: .8; }
    """,
    js=camera.JS
    + """
      const PAUSE = 120, LATER = 1500;  // milliseconds between an answer and the next picture; until who is away is asked again

      export default function ({ data, parentElement }) {
        const video = parentElement.querySelector('video'), said = parentElement.querySelector('.said');
        const canvas = parentElement.querySelector('canvas');
        const live = parentElement.imgrecLive ??= { stream: null, opening: false };
        Object.assign(live, data);

        function row(name, share) {
          const line = document.createElement('div'), bar = document.createElement('div'), inner = document.createElement('div');
          const label = document.createElement('span'), figure = document.createElement('span');
          line.className = 'row'; bar.className = 'bar';
          label.textContent = label.title = name;
          figure.textContent = `${(100 * share).toFixed(1)}%`;
          inner.style.width = `${100 * share}%`;
          bar.append(inner);
          line.append(label, bar, figure);
          return line;
        }
        function note(text) {
          const line = document.createElement('div');
          line.className = 'note';
          line.textContent = text;
          return line;
        }
        function warm(heat) {  // black, red, yellow, white, the hotter the less the picture shines through
          canvas.width = canvas.height = heat?.side ?? 1;
          if (!heat?.side) return;
          const context = canvas.getContext('2d'), image = context.createImageData(heat.side, heat.side);
          [...atob(heat.values)].forEach((letter, i) => {
            const warmth = letter.charCodeAt(0) / 255;
            image.data.set([0, 1, 2].map((k) => 255 * Math.min(1, Math.max(0, 3 * warmth - k))), 4 * i);
            image.data[4 * i + 3] = 255 * 0.65 * warmth;
          });
          context.putImageData(image, 0, 0);
        }
        function draw(answer) {
          warm(answer.heat);
          const lines = answer.error ? [note(answer.error)] : answer.classes.map((c) => row(c.name, c.probability));
          if (answer.known === false) lines.push(note(live.words.unknown));
          if (answer.heat?.error) lines.push(note(answer.heat.error));
          if (answer.heat?.reliable === false) lines.push(note(live.words.unreliable));
          said.replaceChildren(...lines);
        }
        async function shoot() {
          let pause = PAUSE;
          if (live.stream && video.videoWidth && !document.hidden) {
            const address = live.address;
            try {
              const picture = await (await fetch(squareOf(video, live.side))).blob();
              const answer = await fetch(address, { method: 'POST', body: picture });
              if (!live.stream) return;
              if (!answer.ok) pause = LATER;
              if (answer.status !== 503 && address === live.address) draw(await answer.json());
            } catch {
              said.replaceChildren(note(live.words.away));
              pause = LATER;
            }
          }
          if (live.stream) live.next = setTimeout(shoot, pause);
        }
        openCamera(live, video, data.words, (text) => said.replaceChildren(note(text)), shoot);
        return () => {
          clearTimeout(live.next);
          closeCamera(live);
        };
      }
    """,
)
