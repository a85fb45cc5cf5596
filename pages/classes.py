"""Shared: the classes that are taught, each with its name, what it has already, and what is shown for it now."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from imgrec import data
from imgrec.data import uploads
from imgrec.language import mark, tr
from pages import editing, film, parts, thumbnails

MOST, SHOWN = 500, 8  # pictures of a class: kept from the camera; seen
SOURCES = (("camera", mark("Camera"), ":material/videocam:"), ("files", mark("Files"), ":material/upload:"))
Shown = list[tuple[str, list[uploads.Loose]]]  # the classes of the form, and of each the pictures that are new


def show(
    dataset: data.Dataset | None, busy: bool, anew: Callable[[], None], called: Callable[[str, str], None]
) -> Shown:
    """The classes, in the order in which they came, and buttons for more, for other ones (``anew``), and for what was changed.

    While ``busy`` the pictures are being learned, and what is there stays as it is. ``called`` hears of a class that has
    another name from now on: the old one and the new.
    """
    first = {name: int(np.argmax(dataset.labels == i)) for i, name in enumerate(dataset.classes)} if dataset else {}
    known = sorted(first, key=lambda name: first[name])
    extra = st.session_state.setdefault(key("extra"), max(0, 2 - len(known)))
    found = []
    for number in range(len(known) + extra):
        label = known[number] if number < len(known) else None
        slot = slot_of(label) if label is not None else f"new {number - len(known)}"
        with st.container(border=True, key=key(f"class {slot}")):
            found.append(one_class(number, slot, label, dataset, busy, called))
    with st.container(horizontal=True):
        if st.button(tr("Another class"), icon=":material/add:", key="teach_more", disabled=importing()):
            st.session_state[key("extra")] = extra + 1
            st.rerun()
        if known:
            begin_anew(any(shots for _, shots in found), anew)
        changed = data.history(dataset.name) if dataset else []
        if changed:
            words = tr("Undo: {describe}", describe=parts.text(changed[-1].describe()))
            if st.button(words, icon=":material/undo:", key="teach_undo", disabled=busy):
                undo(dataset, changed[-1], called)
    return found


def begin_anew(unsent: bool, anew: Callable[[], None]) -> None:
    """Other things; what was shown and not trained yet goes only after a second click."""
    place = st.popover(tr("Begin anew"), icon=":material/refresh:", disabled=importing()) if unsent else st.container(width="content")  # fmt: skip
    if unsent:
        place.caption(tr("What was shown and not trained yet will be gone."))
    place.button(tr("Begin anew"), icon=":material/refresh:", key="teach_anew", on_click=anew, disabled=importing())


def one_class(
    number: int, slot: str, label: str | None, dataset: data.Dataset | None, busy: bool, called: Callable
) -> tuple[str, list[uploads.Loose]]:
    """One class: its name, which stays once the network has learned it, and its new pictures; ``slot`` is its own, wherever
    it stands."""
    known = label is not None
    if not known:
        label = st.text_input(
            tr("Class {number}", number=number + 1), key=key(f"label {slot}"), placeholder=tr("such as cat"),
            max_chars=100, persist_state="session", disabled=importing(),
        )  # fmt: skip
        label = " ".join(label.split())
    else:
        title(dataset, label, busy, called)
    shots = st.session_state.setdefault(key(f"shots {slot}"), [])
    opened = source(number)
    if opened == "camera":
        st.session_state["teach_filmed"] = True
        film.record(f"teach_film {number}", lambda came: shots.extend(came[: MOST - len(shots)]))
        st.caption(tr("Hold it for eight seconds or more, and move it meanwhile: near and far, from all sides."))
    elif opened == "files":
        film.files(key(f"files {slot}"), shots, MOST)
    film.taken(shots, key(f"taken {slot}"), SHOWN)
    there, new = known_pictures(dataset, label, busy) if known else 0, len(shots)
    st.caption(
        tr("{pictures}, {n} of them new", pictures=parts.pictures(there + new), n=new)
        if there and new
        else parts.pictures(there + new)
    )
    return label, film.loose(shots, label)


def title(dataset: data.Dataset, label: str, busy: bool, called: Callable[[str, str], None]) -> None:
    """The name of a class that the network has learned, and what can be done with it."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{parts.text(label)}**", width="content")
        with st.popover(
            tr("Change {label}", label=parts.text(label, 30)),
            icon=":material/edit:",
            key=key(f"edit {label}"),
            help=tr("Rename the class or take it out"),
            disabled=busy,
        ):
            with st.form(key(f"naming {label}"), border=False):
                name = st.text_input(tr("New name"), label, key=key(f"rename {label}"), max_chars=100)
                sent = st.form_submit_button(tr("Rename"), icon=":material/label:", key=key(f"renamed {label}"))
            name = " ".join(name.split())
            if sent and name in dataset.classes and name != label:
                st.error(tr("Two classes are called {name}.", name=parts.text(name)))
            elif sent and name not in ("", label):
                rename(dataset, label, name, called)
            if st.button(tr("Take the class out"), icon=":material/block:", key=key(f"out {label}")):
                editing.change(dataset, data.Edit("exclude", tuple(of_class(dataset, label).tolist())))


def rename(dataset: data.Dataset, old: str, name: str, called: Callable[[str, str], None]) -> None:
    """Give a class another name; what is new in it goes along."""
    with parts.refusals():
        done = data.edit(dataset.name, data.Edit("rename", value=name, old=old))
        move(old, done.value)
        called(old, done.value)
        st.rerun()


def undo(dataset: data.Dataset, last: data.Edit, called: Callable[[str, str], None]) -> None:
    """Take the ``last`` change of the set back, unless somebody was quicker."""
    with parts.refusals():
        done = data.undo(dataset.name, last)
        if done.kind == "rename":
            move(done.value, done.old)
            called(done.value, done.old)
        st.rerun()


def move(old: str, new: str) -> None:
    """What is new in a class belongs to another one from now on."""
    left, taken = (key(f"shots {slot_of(label)}") for label in (old, new))
    shots = st.session_state.pop(left, [])
    st.session_state[taken] = st.session_state.get(taken, []) + shots


def slot_of(label: str) -> str:
    """What stands in the keys of a class that is known: a name that no new class has."""
    return f" {label}" if label.startswith("new ") else label


def of_class(dataset: data.Dataset, label: str) -> np.ndarray:
    """The pictures of a class that are not left out."""
    return dataset.kept[dataset.labels[dataset.kept] == dataset.classes.index(label)]


def source(number: int) -> str:
    """The buttons that open the camera or a box for files, for one class at a time; gives which is open."""
    opened = st.session_state.get("teach_source")
    with st.container(horizontal=True):
        for kind, label, icon in SOURCES:
            shown = opened == (number, kind)
            if st.button(
                tr("Close") if shown else tr(label),
                icon=":material/close:" if shown else icon,
                key=f"teach_{kind} {number}",
                disabled=importing(),
            ):
                st.session_state["teach_source"] = None if shown else (number, kind)
                st.rerun()
    return opened[1] if opened and opened[0] == number else ""


def known_pictures(dataset: data.Dataset, label: str, busy: bool) -> int:
    """Show the latest pictures that a class has already, of which a click takes one out; gives how many there are."""
    where = of_class(dataset, label)
    latest = where[::-1][:SHOWN].tolist()
    items = [
        thumbnails.Tile(
            dataset.images[i], "", dataset.files[i], action=film.taking_out(number, len(latest)), name=str(i)
        )
        for number, i in enumerate(latest, 1)
    ]
    clicked = thumbnails.tiles(items, key(f"known {label}"), 48, clickable=not busy)
    if not busy:
        st.caption(tr("The latest {n}. A click takes one out.", n=len(latest)))
    if clicked is not None:
        editing.change(dataset, data.Edit("exclude", (latest[clicked],)))
    return len(where)


def missing(dataset: data.Dataset | None, shown: Shown) -> str:
    """What has to be done before it can be trained, or empty."""
    known = dataset.classes if dataset else ()
    names = [label for label, _ in shown if label]
    twice = next((name for name in names if names.count(name) > 1), "")
    empty = next((label for label, new in shown if label and not new and label not in known), "")
    if any(new and not label for label, new in shown):
        return tr("Give every class with pictures a name.")
    if twice:
        return tr("Two classes are called {name}.", name=parts.text(twice))
    if len([label for label, new in shown if new or label in known]) < 2:
        return tr("Show it at least two things.")
    return tr("{name} has no pictures yet; show some, or empty its name.", name=parts.text(empty)) if empty else ""


def smallest(dataset: data.Dataset | None, new: Sequence[uploads.Loose]) -> int:
    """How many pictures the class with the fewest has."""
    counts = {name: sum(row.values()) for name, row in dataset.counts().items()} if dataset else {}
    for picture in new:
        counts[picture.label] = counts.get(picture.label, 0) + 1
    return min(counts.values())


def importing() -> bool:
    """Whether what was shown is on its way; nothing joins it meanwhile."""
    return bool(st.session_state.get("teach_pending"))


def forget() -> None:
    """Empty the form."""
    for kept in [kept for kept in st.session_state if str(kept).startswith(f"teach {turn()} ")]:
        del st.session_state[kept]
    st.session_state["teach_turn"] = turn() + 1
    st.session_state["teach_source"] = None


def turn() -> int:
    return st.session_state.get("teach_turn", 0)


def key(name: object) -> str:
    """The key of a form field; every import begins with fresh ones, and so does every data set."""
    return f"teach {turn()} {st.session_state.get('teach_form', '')} {name}"


def fields(dataset: data.Dataset | None) -> list[str]:
    """The keys of all that a form holds before it is sent."""
    new = [f"new {number}" for number in range(st.session_state.get(key("extra"), 0))]
    slots = [*map(slot_of, dataset.classes if dataset else ()), *new]
    return [key("extra"), *(key(f"label {slot}") for slot in new), *(key(f"shots {slot}") for slot in slots)]
