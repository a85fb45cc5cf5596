"""Collect: how does a whole class put a data set together? One opens it, the others add photos from their phones by a code."""

from collections import Counter

import numpy as np
import streamlit as st

from imgrec import background
from imgrec.data.collecting import Collection, Photo, collections_of, find_collection, open_collection
from imgrec.home import mend_name
from imgrec.images import fit, open_image
from imgrec.language import listed, tr
from pages import arrivals, film, parts, sharing, thumbnails, transfers, visitors

SHOWN = 60  # photos on the teacher's page


def owns(collection: Collection) -> bool:
    return visitors.is_operator() or (bool(collection.owner) and collection.owner == visitors.me())


def begin() -> None:
    """The form that opens a collection, and the box for a code."""
    left, right = st.columns(2)
    with left:
        st.subheader(tr("Join one"), anchor=False)
        with st.form("collect_join_form", border=False):  # so that Enter joins, too
            code = st.text_input(tr("Code"), key="collect_code", max_chars=12, placeholder="abc234")
            if st.form_submit_button(tr("Join"), icon=":material/login:", key="collect_join"):
                go(code)
    with right:
        st.subheader(tr("Open one"), anchor=False)
        name = st.text_input(
            tr("Name of the data set"), key="collect_name", max_chars=80, placeholder=tr("such as leaves")
        )
        classes = st.text_area(
            tr("Classes, one in each line"), key="collect_classes", placeholder=tr("oak\nmaple"), max_chars=2000
        )
        if st.button(tr("Open"), type="primary", icon=":material/add:", key="collect_open"):
            with parts.refusals():
                collection = open_collection(mend_name(name) or name.strip(), classes.splitlines(), visitors.me())
                st.query_params["code"] = collection.code
                st.rerun()
    for collection in collections_of("" if visitors.is_operator() else visitors.me() or "nobody")[:5]:
        label = parts.text(tr("{name}: {value}", name=collection.name, value=listed(collection.classes[:6])), 100)
        if st.button(label, icon=":material/folder_open:", key=f"collect {collection.code}"):
            st.query_params["code"] = collection.code
            st.rerun()


def go(code: str) -> None:
    with parts.refusals():
        st.query_params["code"] = find_collection(code).code
        st.rerun()


def add(collection: Collection) -> None:
    """For everybody: a class, and photos of it from the camera or from files."""
    if collection.paused:
        st.info(tr("The collection takes no more photos at the moment."), icon=":material/pause:")
        return
    if st.session_state.get("collect_label") not in collection.classes:  # kept of another collection
        st.session_state.pop("collect_label", None)
    counts = Counter(photo.label for photo in collection.photos())
    label = st.segmented_control(
        tr("What is it?"), collection.classes, key="collect_label", on_change=stay, persist_state="session",
        format_func=lambda name: f"{parts.text(name)} · {counts[name]}",
    )  # fmt: skip
    st.session_state["collect_before"] = label
    if label is None:
        st.info(tr("Choose what you photograph, then take photos of it: near and far, from all sides."))
        return
    said()
    turn = st.session_state.setdefault("collect_turn", 0)
    film.record(
        "collect_film", lambda shots: keep(collection, label, shots),
        instead=tr("Tap Upload below: a phone then offers its own camera."),
    )  # fmt: skip
    files = transfers.upload_box(tr("Or photos that you have"), f"collect_files {turn}")
    if files:
        keep(collection, label, [film.Shot(file.getvalue(), "", file.name) for file in files])
        st.session_state["collect_turn"] = turn + 1
        st.rerun()


def stay() -> None:
    """A second tap on the chosen class leaves it chosen."""
    if st.session_state["collect_label"] is None:
        st.session_state["collect_label"] = st.session_state.get("collect_before")


def keep(collection: Collection, label: str, given: list[film.Shot]) -> None:
    """Add photos and remember what became of them."""
    kept, refused = 0, []
    for content, group, name in given:
        try:
            collection.add(content, label, visitors.me(), name, group)
            kept += 1
        except (ValueError, OSError) as error:
            said = str(error)
            refused.append(
                parts.text(said if said.startswith(name) else tr("{name}: {value}", name=name, value=said), 260)
            )
    st.session_state["collect_said"] = (kept, list(dict.fromkeys(refused)))


def said() -> None:
    """What became of the photos that were just sent; above the camera, since below it a phone does not show it."""
    kept, refused = st.session_state.pop("collect_said", (0, []))
    if kept:
        st.toast(
            tr("Added: {photos}. Place, time and camera were taken out of them.", photos=parts.pictures(kept)),
            icon=":material/check:",
        )
    for words in refused[:10]:
        st.error(words)


@st.cache_data(max_entries=2000, show_spinner=False)
def small(path: str) -> np.ndarray:
    return fit(open_image(path), 96, 3, "pad")


def thumbnail(photo: Photo) -> thumbnails.Tile:
    return thumbnails.Tile(small(str(photo.path)), photo.label[:24], photo.label, name=photo.path.name)


def overview(collection: Collection, before: tuple[bool, bool]) -> None:
    """How many there are of each class; for who opened it the latest ones, too, each of which a click takes out. The page is
    drawn anew when the collection is not as it was ``before``, see `how_it_is`, or has ended."""
    if how_it_is(collection) != before or not collection.path.is_dir():
        st.rerun()
    photos = collection.photos()
    parts.metrics(
        *((parts.text(label), str(sum(photo.label == label for photo in photos)), None) for label in collection.classes)
    )
    if not photos or not owns(collection):
        return
    who = from_whom(collection, photos)
    shown = [photo for photo in photos if who in (None, photo.who)][:SHOWN]
    clicked = thumbnails.tiles([thumbnail(photo) for photo in shown], "collected", 84)
    st.caption(tr("The latest {n}. A click takes one out.", n=len(shown)))
    if clicked is not None:
        collection.remove(shown[clicked])
        st.rerun(scope="fragment")


def how_it_is(collection: Collection) -> tuple[bool, bool]:
    """Whether it takes no photos at the moment, and, for who can add them, whether there are some that its data set lacks."""
    return collection.paused, owns(collection) and collection.new > 0


def from_whom(collection: Collection, photos: list[Photo]) -> str | None:
    """The visitor whose photos are shown, None for all; all of theirs can be taken out at once."""
    counts = Counter(photo.who for photo in photos)
    if len(counts) < 2 and set(counts) <= {visitors.me()}:
        return None
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    called: dict[str, str] = {}  # in the order in which they came, so that a name stays whose it is
    for visitor in dict.fromkeys(photo.who for photo in reversed(photos)):
        name = visitors.spoken(visitors.called(visitor)) if visitor else "?"
        alike = sum(other.partition(" #")[0] == name for other in called.values())
        called[visitor] = f"{name} #{alike + 1}" if alike else name
    st.caption(listed(f"{called[visitor]} {count}" for visitor, count in counts.most_common()))
    if st.session_state.get("collect_who") not in counts:
        st.session_state["collect_who"] = None
    who = left.selectbox(
        tr("Added by"), list(called), None, key="collect_who", placeholder=tr("all"), format_func=called.get
    )
    with right.popover(
        tr("Take out all of theirs"), icon=":material/person_remove:", disabled=who is None, width="stretch"
    ):
        st.write(
            tr(
                "The photos of {name} go for good; what was made into a data set stays.",
                name=parts.text(called.get(who, "")),
            )
        )
        if st.button(tr("Take them out"), type="primary", key="collect_out", disabled=who is None):
            st.toast(tr("Taken out: {photos}.", photos=parts.pictures(collection.remove_all_of(who))))
            st.rerun()
    return who


def invite(collection: Collection) -> None:
    """The code and the address, to read, to copy and to point a phone at."""
    address = sharing.here(code=collection.code)
    told = st.container()
    if not sharing.only_here(address):
        left, told = st.columns([1, 2])
        with left:
            sharing.qr_code(address)
    with told:
        st.markdown(tr("Others join with this code, or by pointing a phone here:"))
        st.title(collection.code, anchor=False)
        st.code(address, language=None, wrap_lines=True)
        sharing.near(address)
        st.caption(
            tr(
                "A phone's browser opens its camera only on an https address; without that it offers the phone's own camera app under the files."
            )
        )


def lead(collection: Collection) -> None:
    """For who opened it: how others join, folded away for who comes back to photos, and the end."""
    opened = st.session_state.setdefault(f"collect_open {collection.code}", not collection.photos())
    with st.expander(tr("How others join"), icon=":material/qr_code:", expanded=opened):
        invite(collection)
    with st.container(horizontal=True):
        job = background.bring_folder(collection.name)
        busy = job.under_way
        settled = not collection.begun or (collection.made and job.status == "finished")
        make = tr("Add what is new to the data set") if collection.made else tr("Make the data set")
        if st.button(
            make, type="primary", icon=":material/check:", key="collect_make",
            disabled=busy or (settled and not collection.new),
        ):  # fmt: skip
            with parts.refusals():
                background.start_import(
                    collection.bundle(), collection.name, adding=collection.made, owner=visitors.visitor()
                )
                collection.note_made()
                st.rerun()
        paused = collection.paused
        if st.button(
            tr("Take photos again") if paused else tr("Take no more photos"),
            icon=":material/play_arrow:" if paused else ":material/pause:", key="collect_pause",
        ):  # fmt: skip
            with parts.refusals():
                collection.pause(not paused)
                st.rerun()
        with st.popover(tr("End it"), icon=":material/delete:", disabled=busy):
            st.write(tr("The code ends, and its photos go. What was made into a data set stays."))
            if st.button(tr("End it and forget the photos"), type="primary", key="collect_end"):
                collection.close()
                st.query_params.pop("code", None)
                st.rerun()


st.title(tr("How does a class collect pictures?"), anchor=False)
code = str(st.query_params.get("code", ""))
if not code:
    st.write(
        tr(
            "One opens a collection and shows its code. The others join without an account, choose what they photograph, and add photos from their phones."
        )
    )
    begin()
    st.stop()
try:
    collection = find_collection(code)
except ValueError as error:
    ended = st.session_state.get("collect_joined") == code
    st.info(tr("The collection has ended.")) if ended else st.error(parts.text(error, 200))
    if st.button(tr("Another code"), key="collect_again"):
        st.query_params.pop("code", None)
        st.rerun()
    st.stop()
st.subheader(parts.text(collection.name), anchor=False)
if owns(collection):
    lead(collection)
    if collection.begun:
        arrivals.follow(lambda: [background.bring_folder(collection.name)])
if visitor := visitors.visitor():
    st.caption(tr("You are {name}.", name=parts.text(visitors.spoken(visitor.name))))
add(collection)
st.session_state["collect_joined"] = collection.code
st.fragment(overview, run_every=3.0)(collection, how_it_is(collection))
