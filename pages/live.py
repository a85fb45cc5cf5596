"""Shared: the camera, live. The browser sends a picture, the server answers, and only then comes the next one."""

import streamlit as st

from imgrec.data import class_names
from imgrec.language import tr
from imgrec.predict import Ensemble, Predictor
from pages import camera


def show(network: Predictor | Ensemble, temperature: float, count: int) -> None:
    """The camera's picture with the likeliest classes beside it, several times a second."""
    st.fragment(_live)(network, temperature, count)


def _live(network: Predictor | Ensemble, temperature: float, count: int) -> None:
    frame = camera.sent("live_camera", "frame")
    _camera(
        key="live_camera",
        data={
            "answer": _answer(network, frame, temperature, count),
            "side": max(160, network.at_least),
            "words": {"unknown": tr("Probably none of these."), **camera.words()},
        },
        on_frame_change=lambda: None,
        height="content",
    )
    st.caption(
        tr("Nothing is kept: each picture is looked at and forgotten. Your browser asks before it opens the camera.")
    )


def _answer(network: Predictor | Ensemble, frame: dict | None, temperature: float, count: int) -> dict | None:
    """What the network says about a frame {"number", "src"} from the browser."""
    try:
        content, number = camera.content(frame["src"]), int(frame["number"])
    except (TypeError, KeyError, ValueError):
        return None
    [result] = network.classify([("camera.jpg", content)])
    result = result.at_temperature(temperature)
    if result.error:
        return {"number": number, "error": result.error}
    return {"number": number, "known": result.known, "classes": result.top(class_names(network.classes), count)}


_camera = st.components.v2.component(
    "imgrec_live",
    html="<div class='live'><div class='sight'><video muted playsinline></video></div><div class='said' role='status'></div></div>",
    css="""
      .live { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 1.2rem; font-family: var(--st-font);
              color: var(--st-text-color); }
      video { width: 100%; max-width: 24rem; aspect-ratio: 1; object-fit: cover; border-radius: 10px; background: var(--st-secondary-background-color); }
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
      const PAUSE = 120;  // milliseconds between an answer and the next picture

      export default function ({ data, parentElement, setStateValue }) {
        const video = parentElement.querySelector('video'), said = parentElement.querySelector('.said');
        const live = parentElement.imgrecLive ??= { number: 0, stream: null, opening: false };
        live.send = (src) => setStateValue('frame', { number: ++live.number, src });
        live.side = data.side;

        function row(name, share) {
          const line = document.createElement('div'), bar = document.createElement('div'), inner = document.createElement('div');
          const label = document.createElement('span'), figure = document.createElement('span');
          line.className = 'row'; bar.className = 'bar';
          label.textContent = label.title = name;
          figure.textContent = `${(100 * share).toFixed(1)} %`;
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
        function shoot() {
          if (live.stream && video.videoWidth) live.send(squareOf(video, live.side));
        }
        const answer = data.answer;
        if (answer && answer.number >= live.number) {
          const lines = answer.error ? [note(answer.error)] : answer.classes.map((c) => row(c.name, c.probability));
          if (answer.known === false) lines.push(note(data.words.unknown));
          said.replaceChildren(...lines);
          clearTimeout(live.next);
          live.next = setTimeout(shoot, PAUSE);
        }
        openCamera(live, video, data.words, (text) => said.replaceChildren(note(text)), () => { live.number += 1; shoot(); });
        return () => {
          clearTimeout(live.next);
          closeCamera(live);
        };
      }
    """,
)
