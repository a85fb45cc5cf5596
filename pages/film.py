"""Shared: the pictures of a class, from the camera, many at once as long as a button is held, and from files."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import streamlit as st

from imgrec.data import uploads
from imgrec.images import ImageError, fit, open_image
from imgrec.language import current, sentences, tr
from pages import camera, parts, scripts, thumbnails, transfers

SIDE, EVERY, MOST = 320, 150, 120  # pixels, milliseconds between two pictures, pictures at once
NAMED = 5  # files that are no pictures, at most
TOGETHER = 7  # pictures, about a second, that are too much alike to stand on both sides of a test


class Shot(NamedTuple):
    """A picture of a film, or from a file; ``group`` is the same for those of one second of a film."""

    content: bytes
    group: str = ""
    name: str = "camera.jpg"


def record(key: str, take: Callable[[list[Shot]], None], instead: str = "") -> None:
    """The camera, and the button that records while it is held. ``take`` gets the pictures of each time, in their order. Where
    the browser opens no camera both are hidden, and it says ``instead`` what to do."""

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
                "stop": tr("Stop"),
                "video": tr("The camera's picture"),
                "wait": tr("The camera is being opened."),
                **(words := camera.words()),
                "insecure": sentences(words["insecure"], instead),
            },
        },
        on_film_change=came,
        height="content",
    )


def files(key: str, shots: list[Shot], most: int) -> None:
    """A box for files, which join the others at once: what a box holds is gone when it, or its page, is not shown. Those that
    are no pictures are named with the reason."""
    turn = st.session_state.setdefault(f"{key} turn", 0)
    came = transfers.upload_box(tr("Pictures"), f"{key} {turn}")
    if came:
        shot = [Shot(file.getvalue(), name=file.name) for file in came]
        seen = [_small(one.name, one.content, current()) for one in shot]
        good = [one for one, small in zip(shot, seen, strict=True) if isinstance(small, thumbnails.Tile)]
        shots.extend(good[: most - len(shots)])
        st.session_state[f"{key} refused"] = [reason for reason in seen if isinstance(reason, str)]
        st.session_state[f"{key} turn"] = turn + 1
        st.rerun()
    if refused := st.session_state.get(f"{key} refused"):
        lines = [f"- {parts.text(reason, 300)}" for reason in refused[:NAMED]]
        if more := refused[NAMED:]:
            lines.append("- " + tr("and {more:,} more files", more=len(more)))
        st.warning("\n".join([tr("Not taken:"), *lines]), icon=":material/warning:")
    if len(shots) >= most:
        st.caption(tr("{n} of a class are the most here; an archive may hold any number.", n=parts.pictures(most)))


def taken(shots: list[Shot], key: str, most: int = 36) -> None:
    """The pictures, the latest first; a click takes one out, a button all."""
    if not shots:
        return
    latest = shots[::-1][:most]
    items = [
        replace(thumbnail(shot.name, shot.content), action=taking_out(number, len(latest)))
        for number, shot in enumerate(latest, 1)
    ]
    clicked = thumbnails.tiles(items, key, 64)
    st.caption(tr("The latest {n}. A click takes one out.", n=len(latest)))
    if clicked is not None and clicked < len(latest):
        shots.remove(latest[clicked])
        st.rerun()
    if st.button(tr("Take all of them out"), key=f"{key} out", icon=":material/delete:"):
        shots.clear()
        st.rerun()


def taking_out(number: int, count: int) -> str:
    """What a click on one of so many pictures does, for who does not see which it is."""
    return tr("Take out picture {number} of {count}", number=number, count=count)


def alike(labels: Iterable[str], there: Iterable[str]) -> None:
    """Warn of classes that are called nearly as others, of these or of those that are there already."""
    names: dict[str, str] = {name.casefold(): name for name in there}
    for label in labels:
        other = names.setdefault(label.casefold(), label)
        if other != label:
            st.warning(tr("{label} and {other} will be two classes; write them alike if they are one.", label=parts.text(label), other=parts.text(other)))  # fmt: skip


def loose(shots: list[Shot], label: str) -> list[uploads.Loose]:
    """As an import takes them."""
    return [uploads.Loose(shot.name, shot.content, label, shot.group) for shot in shots]


def thumbnail(name: str, content: bytes) -> thumbnails.Tile:
    """The picture small, or a grey tile with the reason why it is none."""
    small = _small(name, content, current())
    return (
        small
        if isinstance(small, thumbnails.Tile)
        else thumbnails.Tile(np.full((96, 96, 1), 128, np.uint8), tr("not a picture"), small)
    )


@st.cache_data(max_entries=500, show_spinner=False)
def _small(name: str, content: bytes, language: str) -> thumbnails.Tile | str:
    """The picture small, or why it is none."""
    try:
        return thumbnails.Tile(fit(open_image(content, name, 96), 96, 3), "", name)
    except ImageError as error:
        return str(error)


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
    css=scripts.read("film.css"),
    js=scripts.read("camera.js", "film.js"),
)
