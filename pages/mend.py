"""Mend: what is wrong with the pictures? Duplicates, leaks, odd pictures and wrong labels, each mended with a click and undone."""

import numpy as np
import streamlit as st

from imgrec import data, jobs
from imgrec.data import health
from imgrec.data.dataset import LEFT_OUT, SPLITS
from pages import editing, parts

MOST_TO_EXAMINE = 20_000  # pictures that are looked through without being asked; 1 to 2 s


@st.cache_data(show_spinner="Looking for duplicates, leaks and odd pictures …", max_entries=12)
def examined(name: str, fingerprint: str) -> tuple[dict[str, list[np.ndarray]], list[dict]]:
    dataset = parts.open_dataset(name)
    measures = health.measure(dataset)
    return health.examine(dataset, measures), health.spurious(dataset, measures)


def problems(dataset: data.Dataset) -> None:
    """What may be wrong with the set: each kind with its pictures, and a button that leaves out what should go."""
    st.subheader("Anything odd?", anchor=False)
    if len(dataset.kept) > MOST_TO_EXAMINE and not st.toggle(
        "Look for odd pictures", help="Takes a while for so many."
    ):
        return
    findings, giveaways = examined(dataset.name, dataset.fingerprint)
    for row in giveaways:
        st.warning(
            f"The class {parts.text(row['class'])} can be told by its {row['property']} alone "
            f"({row['share']:.0%} of the variance lies between classes): a network may learn that instead of the thing."
        )
    for name, groups in findings.items():
        if groups:
            problem(dataset, name, groups)
    clean = [kind.title for name, kind in health.KINDS.items() if not findings[name]]
    if clean:
        st.markdown(f":material/check_circle: Looked for and not found: {', '.join(clean)}.")


def problem(dataset: data.Dataset, name: str, groups: list[np.ndarray]) -> None:
    """One kind of finding."""
    kind, count = health.KINDS[name], sum(map(len, groups))
    with st.expander(f"{count:,} {kind.title}", icon=":material/warning:"):
        st.write(kind.why)
        shown = [int(position) for group in groups for position in group][:48]
        tiles = [
            parts.Tile(
                dataset.images[i],
                f"{dataset.classes[dataset.labels[i]][:16]}, {SPLITS[dataset.splits[i]]}",
                dataset.files[i],
            )
            for i in shown
        ]
        clicked = parts.tiles(tiles, f"found {name}", 84)
        if clicked is not None and clicked < len(shown):
            editing.show(dataset, shown[clicked])
        out = tuple(health.advised(name, groups, dataset.splits))
        if editing.editable(dataset) and st.button(
            f"Leave out {len(out):,}", key=f"out {name}", icon=":material/block:"
        ):
            editing.change(dataset, data.Edit("exclude", out))


def wrong_labels(dataset: data.Dataset) -> None:
    """Labels that networks which had not seen the picture do not believe; a search in a process of its own."""
    job = jobs.suspects_job(dataset.name)
    if job and parts.live(job):
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.progress(
            float(job.state.get("progress") or 0.0),
            job.state.get("detail") or "Training on three quarters, asking about the rest …",
        )
        if right.button("Cancel", key="cancel suspects", disabled=job.asked() is not None):
            job.ask("stop")
        st.session_state["searching"] = True
        return
    if st.session_state.pop("searching", False):
        st.rerun()
    if job and job.status in ("failed", "lost"):
        st.error(parts.text(job.state.get("error") or "The search vanished; start it again.", 400))
    found = job.read("result.json") if job and job.status == "finished" else {}
    doubted = suspects(dataset, found)
    if doubted:
        st.write(
            f"**{len(doubted):,} label{'s' * (len(doubted) > 1)} may be wrong**, the least believable first. Click one to mend or confirm it."
        )
        shown = doubted[:48]
        tiles = [
            parts.Tile(dataset.images[i], f"{dataset.classes[dataset.labels[i]][:14]} → {to[:14]}?", dataset.files[i])
            for i, to in shown
        ]
        clicked = parts.tiles(tiles, "suspects", 84)
        if clicked is not None and clicked < len(shown):
            editing.show(dataset, shown[clicked][0], shown[clicked][1])
    elif found:
        st.markdown(":material/check_circle: No label is doubted any more.")
    if st.button(
        "Look for wrong labels",
        icon=":material/rule:",
        help="Trains four small networks; a minute for some thousand pictures.",
    ):
        jobs.start_suspects(dataset.name)
        st.rerun()


def suspects(dataset: data.Dataset, found: dict) -> list[tuple[int, str]]:
    """(position, suggested class) of the labels that are doubted and were neither changed nor confirmed since."""
    confirmed = (
        {p for edit in data.history(dataset.name) if edit.kind == "confirm" for p in edit.pictures}
        if editing.editable(dataset)
        else set()
    )
    rows = zip(*(found.get(key, ()) for key in ("positions", "labels", "suggested", "flagged")), strict=True)
    return [
        (position, suggested)
        for position, label, suggested, flagged in rows
        if flagged
        and position < len(dataset)
        and position not in confirmed
        and dataset.splits[position] != LEFT_OUT
        and dataset.classes[dataset.labels[position]] == label
        and suggested in dataset.classes
    ]


def of_class(dataset: data.Dataset, index: int) -> np.ndarray:
    """Which pictures, of those that are not left out, have a class: bool (N,)."""
    return (dataset.labels == index) & (dataset.splits != LEFT_OUT)


def changes(dataset: data.Dataset) -> None:
    """Class names, pictures left out, and what was changed, the last of it to be undone."""
    done = data.history(dataset.name)
    with st.expander(f"Classes and changes ({len(done)})", icon=":material/edit:"):
        first, second, third = st.columns([3, 3, 2], vertical_alignment="bottom")
        index = first.selectbox(
            "Class", range(len(dataset.classes)), key="rename_old",
            format_func=lambda i: " ".join(dataset.classes[i].split()) if i < len(dataset.classes) else "",
        )  # fmt: skip
        name = second.text_input(
            "New name", key="rename_new", max_chars=100, help="The name of another class merges the two."
        )
        if third.button("Rename", icon=":material/label:", disabled=not name.strip(), width="stretch"):
            editing.change(dataset, data.Edit("rename", value=name, old=dataset.classes[index]))
        out = np.flatnonzero(dataset.splits == LEFT_OUT)
        if len(out):
            st.caption(f"{len(out):,} left out; click one to take it back in.")
            clicked = parts.tiles(
                [parts.Tile(dataset.images[i], "", dataset.files[i]) for i in out[:60]], "left_out", 64
            )
            if clicked is not None and clicked < len(out):
                editing.change(dataset, data.Edit("include", (int(out[clicked]),)))
        with st.container(horizontal=True):
            if st.button("Undo the last change", icon=":material/undo:", disabled=not done):
                data.undo(dataset.name)
                st.rerun()
            if st.button("Leave the class out", icon=":material/block:"):
                editing.change(dataset, data.Edit("exclude", tuple(np.flatnonzero(of_class(dataset, index)).tolist())))
            with st.popover("Delete the data set", icon=":material/delete:"):
                st.write("All its pictures and changes go for good. Runs that learned from it stay.")
                if st.button("Delete it", type="primary"):
                    data.delete_dataset(dataset.name)
                    del st.session_state["dataset"], st.query_params["dataset"]
                    st.rerun()
        st.dataframe([{"when": edit.when, "what": edit.describe()} for edit in done[::-1][:200]], hide_index=True)
        st.caption("The import itself is never touched. A run that began before a change cannot be resumed after it.")


st.title("What is wrong with the pictures?", anchor=False)
st.write("Most errors of a network begin in its data. What is found here can be mended here, and every change undone.")
dataset = parts.dataset_picker()
problems(dataset)
st.subheader("Wrong labels?", anchor=False)
search = jobs.suspects_job(dataset.name)
st.fragment(wrong_labels, run_every=1.0 if search and parts.live(search) else None)(dataset)
if editing.editable(dataset):
    changes(dataset)
else:
    st.caption(
        "Built-in sets stay as they are. Take one along as a ZIP on the page Data set and import it to change it."
    )
parts.link("dataset", "Look at the data set", ":material/photo_library:", dataset=dataset.name)
