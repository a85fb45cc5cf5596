"""Shared: many pictures from the camera at once, as long as a button is held."""

import secrets
from collections.abc import Callable
from typing import NamedTuple

import streamlit as st

from imgrec.language import tr
from pages import camera

SIDE, EVERY, MOST = 320, 150, 120  # pixels, milliseconds between two pictures, pictures at once
TOGETHER = 7  # pictures, about a second, that are too much alike to stand on both sides of a test


class Shot(NamedTuple):
    """A picture of a film; ``group`` is the same for those of one second."""

    content: bytes
    group: str


def record(key: str, take: Callable[[list[Shot]], None]) -> None:
    """The camera, and the button that records while it is held. ``take`` gets the pictures of each time, in their order."""

    def came() -> None:
        if shots := _shots(camera.sent(key, "film")):
            take(shots)

    _film(
        key=key,
        data={
            "side": SIDE,
            "every": EVERY,
            "most": MOST,
            "words": {
                "hold": tr("Hold to record"),
                "recording": tr("recording"),
                "wait": tr("The camera is being opened."),
                **camera.words(),
            },
        },
        on_film_change=came,
        height="content",
    )


def _shots(film: object) -> list[Shot]:
    """What a browser sent, without what is no picture and without exact copies."""
    found: dict[bytes, Shot] = {}
    group = ""
    for address in film[:MOST] if isinstance(film, list) else ():
        try:
            content = camera.content(address)
        except ValueError:
            continue
        if len(found) % TOGETHER == 0:
            group = secrets.token_hex(6)
        if content:
            found.setdefault(content, Shot(content, group))
    return list(found.values())


_film = st.components.v2.component(
    "imgrec_film",
    html="""<div class='film'><video muted playsinline></video>
      <button type='button' disabled></button><div class='note' role='status'></div></div>""",
    css="""
      .film { display: grid; gap: .5rem; font-family: var(--st-font); color: var(--st-text-color); }
      video { width: 100%; max-width: 20rem; aspect-ratio: 1; object-fit: cover; border-radius: 10px;
              background: var(--st-secondary-background-color); }
      button { max-width: 20rem; padding: .6rem 1rem; border: 0; border-radius: .5rem; font: inherit; color: #fff; cursor: pointer;
               background: var(--st-primary-color); touch-action: none; user-select: none; -webkit-user-select: none; }
      button:disabled { opacity: .5; cursor: default; }
      button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
      button.on { background: #c0392b; }
      .note { font-size: .875rem; opacity: .8; max-width: 20rem; overflow-wrap: anywhere; }
    """,
    js=camera.JS
    + """
      export default function ({ data, parentElement, setTriggerValue }) {
        const video = parentElement.querySelector('video'), button = parentElement.querySelector('button');
        const note = parentElement.querySelector('.note'), film = parentElement.imgrecFilm ??= { frames: [] };
        film.send = (frames) => setTriggerValue('film', frames);
        film.data = data;

        function shoot() {
          if (film.frames.length < film.data.most) film.frames.push(squareOf(video, film.data.side));
          button.textContent = `${film.data.words.recording} ${film.frames.length}`;
        }
        function begin(event) {
          if (film.timer || button.disabled || event.repeat || event.button > 0) return;
          event.preventDefault();
          if (event.pointerId !== undefined) button.setPointerCapture(event.pointerId);
          film.frames = [];
          button.classList.add('on');
          shoot();
          film.timer = setInterval(shoot, film.data.every);
        }
        function end() {
          if (!film.timer) return;
          clearInterval(film.timer);
          film.timer = null;
          button.classList.remove('on');
          button.textContent = film.data.words.hold;
          film.send(film.frames);
          film.frames = [];
        }
        button.onpointerdown = begin;
        button.onpointerup = button.onpointercancel = button.onlostpointercapture = button.onblur = end;
        button.onkeydown = (event) => { if (event.key === ' ' || event.key === 'Enter') begin(event); };
        button.onkeyup = (event) => { if (event.key === ' ' || event.key === 'Enter') end(); };
        button.oncontextmenu = (event) => event.preventDefault();  // a long touch asks for a menu
        if (!film.timer) button.textContent = data.words.hold;
        if (!film.stream) note.textContent = data.words.wait;
        openCamera(film, video, data.words, (text) => { note.textContent = text; },
          () => { button.disabled = false; note.textContent = ''; });
        return () => {
          clearInterval(film.timer);
          film.timer = null;
          button.disabled = true;
          closeCamera(film);
        };
      }
    """,
)
