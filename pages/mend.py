"""Mend: what is wrong with the pictures? Duplicates, leaks, odd pictures and wrong labels, each mended with a click and undone."""

import numpy as np
import streamlit as st

from imgrec import data
from imgrec.data import health
from imgrec.data.dataset import LEFT_OUT, SPLITS
from imgrec.language import listed, plural, tr
from pages import editing, gallery, parts, pickers
from pages.study import Study


def problems(dataset: data.Dataset) -> None:
    """What may be wrong with the set: each kind with its pictures, and a button that leaves out what should go."""
    st.subheader(tr("Anything odd?"), anchor=False)
    measures = gallery.measured(dataset)
    if measures is None:
        return
    for row in health.spurious(dataset, measures):
        st.warning(
            tr(
                "{names} can be told from the other classes by {property} alone: of two pictures, one of each side, that tells "
                "which is which in {share:.0%} of all pairs. A network may learn it instead of the thing: bring pictures of "
                "all classes that are alike in it.",
                names=listed([parts.text(name) for name in row["classes"]]),
                property=tr(row["property"]),
                share=row["share"],
            )
        )
    findings = health.examine(dataset, measures)
    for name, groups in findings.items():
        if groups:
            problem(dataset, name, groups)
    clean = [tr(kind.title) for name, kind in health.KINDS.items() if not findings[name]]
    if clean:
        st.markdown(tr(":material/check_circle: Looked for and not found: {clean}.", clean=listed(clean)))


def problem(dataset: data.Dataset, name: str, groups: list[np.ndarray]) -> None:
    """One kind of finding."""
    kind, count = health.KINDS[name], sum(map(len, groups))
    with st.expander(f"{count:,} {tr(kind.title)}", icon=":material/warning:"):
        st.write(tr(kind.why))
        shown = np.concatenate(groups)
        clicked = gallery.grid(
            dataset, shown, f"found {name}", set(), name,
            lambda p: f"{editing.called(dataset, editing.label(dataset, p))}\n{editing.place(dataset, p)}",
        )  # fmt: skip
        if clicked is not None:
            editing.show(dataset, clicked)
        out = tuple(health.advised(name, groups, dataset.splits))
        if (
            out
            and editing.editable(dataset)
            and st.button(tr("Leave out {out:,}", out=len(out)), key=f"out {name}", icon=":material/block:")
        ):
            editing.change(dataset, data.Edit("exclude", out))


def wrong_labels(dataset: data.Dataset) -> None:
    """Labels that networks which had not seen the picture do not believe; a search in a process of its own."""
    st.subheader(tr("Wrong labels?"), anchor=False)
    study = Study("suspects", dataset.name)
    doubted = suspects(dataset, study.found)
    if doubted:
        st.write(
            tr(
                "**{labels} may be wrong**, the least believable first. Click one to mend or confirm it."
                if editing.editable(dataset)
                else "**{labels} may be wrong**, the least believable first.",
                labels=plural("{n:,} label", "{n:,} labels", len(doubted)),
            )
        )
        clicked = gallery.grid(
            dataset, np.array(list(doubted)), "suspects", set(), "suspects",
            lambda p: f"{editing.called(dataset, editing.label(dataset, p))} → {editing.called(dataset, doubted[p])}?",
        )  # fmt: skip
        if clicked is not None:
            editing.show(dataset, clicked, doubted[clicked])
    elif study.found:
        st.markdown(tr(":material/check_circle: No label is doubted any more."))
    study.offer(tr("Look for wrong labels"), tr("Trains four small networks; a minute for some thousand pictures."))


def suspects(dataset: data.Dataset, found: dict[str, np.ndarray]) -> dict[int, str]:
    """{position: suggested class} of the labels that are doubted and were neither changed nor confirmed since."""
    confirmed = (
        {p for edit in data.history(dataset.name) if edit.kind == "confirm" for p in edit.pictures}
        if editing.editable(dataset)
        else set()
    )
    columns = (found[key].tolist() if found else () for key in ("positions", "labels", "suggested", "flagged"))
    return {
        position: suggested
        for position, label, suggested, flagged in zip(*columns, strict=True)
        if flagged
        and position < len(dataset)
        and position not in confirmed
        and dataset.splits[position] != LEFT_OUT
        and editing.label(dataset, position) == label
        and suggested in dataset.classes
    }


def of_class(dataset: data.Dataset, index: int) -> np.ndarray:
    """Which pictures, of those that are not left out, have a class: bool (N,)."""
    return (dataset.labels == index) & (dataset.splits < len(SPLITS))


def changes(dataset: data.Dataset) -> None:
    """Class names, pictures left out, and what was changed, the last of it to be undone."""
    done = data.history(dataset.name)
    with st.expander(tr("Classes and changes ({done})", done=len(done)), icon=":material/edit:"):
        first, second, third = st.columns([3, 3, 2], vertical_alignment="bottom")
        index = first.selectbox(
            tr("Class"), range(len(dataset.classes)), key="rename_old",
            format_func=lambda i: " ".join(editing.called(dataset, dataset.classes[i]).split()) if i < len(dataset.classes) else "",
        )  # fmt: skip
        name = second.text_input(
            tr("New name"), key="rename_new", max_chars=100, help=tr("The name of another class merges the two.")
        )
        if third.button(
            tr("Rename"), icon=":material/label:", disabled=not name.strip() or index is None, width="stretch"
        ):
            editing.change(dataset, data.Edit("rename", value=name, old=dataset.classes[index]))
        out = np.flatnonzero(dataset.splits == LEFT_OUT)
        if len(out):
            st.caption(tr("{out:,} left out; click one to take it back in.", out=len(out)))
            clicked = gallery.grid(dataset, out, "left_out", set(), tr("left out"))
            if clicked is not None:
                editing.change(dataset, data.Edit("include", (clicked,)))
        with st.container(horizontal=True):
            if st.button(tr("Undo the last change"), icon=":material/undo:", disabled=not done):
                with parts.refusals():
                    data.undo(dataset.name, done[-1])
                    st.rerun()
            if st.button(tr("Leave the class out"), icon=":material/block:", disabled=index is None):
                editing.change(dataset, data.Edit("exclude", tuple(np.flatnonzero(of_class(dataset, index)).tolist())))
            editing.delete(dataset.name)
        parts.table({"when": edit.when, "what": edit.describe()} for edit in done[::-1][:200])
        st.caption(
            tr("The import itself is never touched. A run that began before a change cannot be resumed after it.")
        )


st.title(tr("What is wrong with the pictures?"), anchor=False)
st.write(
    tr("Most errors of a network begin in its data. What is found here can be mended here, and every change undone.")
)
dataset = pickers.dataset_picker(labelled=False, broken=editing.delete)
if len(dataset.kept):
    problems(dataset)
    wrong_labels(dataset)
else:
    st.info(tr("None of its pictures has a label yet, so there is nothing to learn from."))
    parts.link("label", "Give them labels", ":material/label:", dataset=dataset.name)
if editing.editable(dataset):
    changes(dataset)
else:
    st.caption(
        tr("Built-in sets stay as they are. Take one along as a ZIP on the page Data set and import it to change it.")
    )
with st.container(horizontal=True):
    parts.link("dataset", "Look at the data set", ":material/photo_library:", dataset=dataset.name)
    parts.link("train", "Train a network with it", ":material/model_training:", dataset=dataset.name)
