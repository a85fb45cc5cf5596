"""Map: which pictures look alike? Every picture a point, near to those like it, by its pixels or by what a network sees."""

import numpy as np
import streamlit as st

from imgrec import data, embedding
from imgrec.data.dataset import LEFT_OUT, sample
from imgrec.language import listed, mark, tr
from imgrec.runs import usable_runs
from pages import editing, gallery, parts, pickers, scatter
from pages.study import Study

PIXELS = mark("Their pixels")


@st.cache_data(show_spinner=False, max_entries=6)
def at_once(name: str, stamps: tuple[int, ...], method: str) -> dict[str, np.ndarray]:
    """A quick map by pixels, as a study would give it."""
    dataset = pickers.open_dataset(name)
    positions = sample(np.flatnonzero(dataset.splits != LEFT_OUT), embedding.METHODS[method].most)
    return {
        "positions": positions,
        "points": embedding.place(method, dataset.shrunk(positions, embedding.SIDE)),
    }


@st.cache_data(show_spinner=False, max_entries=6)
def sheet(name: str, stamps: tuple[int, ...], positions: np.ndarray) -> str:
    return scatter.sheet(pickers.open_dataset(name), positions)


def settings() -> tuple[str, str]:
    """The method and the run whose features are compared, or nothing for pixels."""
    left, right = st.columns(2)
    method = left.segmented_control(
        tr("Method"), embedding.METHODS, default="pca", required=True, key="map_method",
        format_func=lambda name: tr(embedding.METHODS[name].title), persist_state="session",
    )  # fmt: skip
    runs = [run.name for run in usable_runs()]
    called = pickers.run_labels(runs)
    by = right.selectbox(
        tr("Compared by"), [PIXELS, *runs], key="map_by", persist_state="session", format_func=lambda name: tr(name) if name == PIXELS else called(name),
        help=tr("A run compares by the features that its last layer decides by: what the network holds to be alike."),
    )  # fmt: skip
    st.caption(tr(embedding.METHODS[method].help))
    return method, "" if by == PIXELS else by


def placed(dataset: data.Dataset, method: str, run: str) -> dict[str, np.ndarray]:
    """Positions and points, or nothing while they are being made or cannot be."""
    if hint := embedding.missing(method):
        st.info(hint)
        return {}
    if embedding.METHODS[method].quick and not run:
        with parts.refusals():
            return at_once(dataset.name, data.stamps(dataset.name, edits=False), method)
        return {}
    study = Study("map", dataset.name, method=method, run=run)
    if not study.found:
        study.offer(tr("Draw the map"), tr("Ten seconds to a minute, in a process of its own."))
    return study.found


def drawn(dataset: data.Dataset, found: dict[str, np.ndarray]) -> None:
    """The map, and below it what was enclosed."""
    there = dataset.splits[found["positions"]] != LEFT_OUT
    positions, points = found["positions"][there], found["points"][there]
    pictures = st.toggle(tr("Show the pictures themselves"), key="map_pictures", persist_state="session")
    every = sheet(dataset.name, data.stamps(dataset.name, edits=False), found["positions"])
    enclosed, clicked = scatter.scatter(dataset, positions, points, every, pictures, np.flatnonzero(there), "map")
    of_all = (
        tr(" of {dataset:,}, drawn at random", dataset=len(dataset))
        if len(found["positions"]) < (dataset.splits != LEFT_OUT).sum()
        else ""
    )
    st.caption(
        tr(
            "{positions}{of_all}. Point at one to see it, tap or click to open it, draw a line around some to pick "
            "them. Two fingers zoom, or Ctrl and the wheel; pointing at a class, or tapping it, shows it alone.",
            positions=parts.pictures(len(positions)),
            of_all=of_all,
        )
    )
    if enclosed is not None:
        st.session_state["enclosed"] = (dataset.name, enclosed)
    if clicked is not None:
        editing.show(dataset, clicked)
    whose, picked = st.session_state.get("enclosed", ("", []))
    picked = [p for p in picked if whose == dataset.name and p < len(dataset) and dataset.splits[p] != LEFT_OUT]
    if picked:
        chosen(dataset, picked)


def chosen(dataset: data.Dataset, picked: list[int]) -> None:
    """The pictures that were enclosed, and what can be done with them."""
    names, counts = np.unique([editing.called(dataset, editing.label(dataset, p)) for p in picked], return_counts=True)
    order = np.argsort(-counts)[:8]
    st.markdown(
        tr(
            "**{picked:,} picked:** {classes}",
            picked=len(picked),
            classes=listed(f"{parts.text(names[i])} ({counts[i]:,})" for i in order),
        )
    )
    clicked = gallery.grid(dataset, np.array(picked), "map grid", set(), ("enclosed", *picked[:3], len(picked)))
    if clicked is not None:
        editing.show(dataset, clicked)
    if editing.editable(dataset):
        editing.correct(dataset, tuple(picked), "enclosed")


st.title(tr("Which pictures look alike?"), anchor=False)
st.write(
    tr("Every picture is a point. Islands are kinds of pictures; one that lies among strangers may be mislabelled.")
)
dataset = pickers.dataset_picker(labelled=False)
method, run = settings()
found = placed(dataset, method, run)
if found:
    st.fragment(drawn)(dataset, found)
parts.link("mend", "What is wrong with it?", ":material/healing:", dataset=dataset.name)
