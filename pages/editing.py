"""Editing: a picture seen large, and its label, split and place in the set corrected; shared by the pages on data."""

import numpy as np
import streamlit as st

from imgrec import background, data
from imgrec.data.dataset import SPLITS
from imgrec.data.views import PLACES
from imgrec.images import open_image
from imgrec.language import plural, tr
from imgrec.run_table import learned_from
from pages import parts, thumbnails, visitors


def show(dataset: data.Dataset, position: int, suggested: str | None = None) -> None:
    """Open one picture in a dialog."""
    st.dialog(tr("Picture"), width="medium")(_show)(dataset, position, suggested)


def _show(dataset: data.Dataset, position: int, suggested: str | None) -> None:
    """One picture, large, with all that is known of it; in an imported set it can be corrected here."""
    picture, mask = dataset.images[position], dataset.masks
    side = st.columns(2) if mask is not None else [st.container()]
    thumbnails.image(large(dataset, position), tr("{file}, enlarged", file=dataset.files[position]), at=side[0])
    if mask is not None:
        seen = np.where(mask[position][..., None], picture, picture // 5)
        thumbnails.image(seen, tr("Its mask"), side=400, at=side[1])
        side[1].caption(tr("Where the object is, known exactly because it was drawn."))
    width, height = dataset.sizes[position]
    st.markdown(
        tr(
            "**Label** {label} · **Split** {split} · **Original** {width} × {height} px · **File** {file}",
            label=parts.text(called(dataset, label(dataset, position))),
            split=place(dataset, position),
            width=width,
            height=height,
            file=parts.text(dataset.files[position]),
        )
    )
    st.caption(tr("The network sees it at {image_size} × {image_size} pixels.", image_size=dataset.image_size))
    if editable(dataset):
        correct(dataset, (position,), "one", suggested)
        if (
            suggested
            and label(dataset, position) != "?"
            and st.button(tr("The label is right"), icon=":material/check:")
        ):
            change(dataset, data.Edit("confirm", (position,)))


def large(dataset: data.Dataset, position: int):
    """The original of an imported picture, at most 800 pixels a side; the enlarged pixels of a built-in one."""
    if not editable(dataset):
        return thumbnails.enlarge(dataset.images[position], 400)
    original = open_image(data.original(dataset.name, position), dataset.files[position], at_least=800)
    original.thumbnail((800, 800))
    return thumbnails.enlarge(np.asarray(original), 400)


def editable(dataset: data.Dataset) -> bool:
    """Whether it is a set of one's own: built-in ones stay as they are."""
    return bool(data.stamps(dataset.name))


def label(dataset: data.Dataset, position: int) -> str:
    """The name of a picture's class as it is, or a question mark."""
    number = dataset.labels[position]
    return dataset.classes[number] if 0 <= number < len(dataset.classes) else "?"


def called(dataset: data.Dataset, name: str) -> str:
    """A class, or a name that may become one, in the reader's language."""
    return data.class_name(name, dataset.classes)


def place(dataset: data.Dataset, position: int) -> str:
    """Its split, or that it waits for a label or is left out."""
    return next(name for name, code in PLACES.items() if code == dataset.splits[position])


def change(dataset: data.Dataset, edit: data.Edit) -> None:
    """Record an edit and draw the page anew, or say why not."""
    with parts.refusals():
        data.edit(dataset.name, edit)
        st.session_state["picked"] = set()
        st.toast(tr("Changed. The page Mend lists all changes, and undoes the last one."), icon=":material/edit:")
        st.rerun()


def delete(name: str) -> None:
    """The button, and behind it the one that means it; for who brought the set and the operator."""
    if not visitors.may_change(background.dataset_folder(name)):
        if other := visitors.whose(background.dataset_folder(name)):
            st.caption(tr("Brought by {owner}; only they or the operator can delete it.", owner=parts.text(other)))
        return
    with st.popover(tr("Delete the data set"), icon=":material/delete:"):
        st.write(tr("All its pictures and changes go for good. Runs that learned from it stay."))
        if count := len(learned_from(name)):
            st.warning(
                plural(
                    "{n:,} run learned from it: it still classifies pictures, but cannot go on learning or be tested again.",
                    "{n:,} runs learned from it: they still classify pictures, but cannot go on learning or be tested again.",
                    count,
                )
            )
        if st.button(tr("Delete it"), type="primary"):
            with parts.refusals():
                data.delete_dataset(name)
                st.toast(tr("{name} is deleted.", name=parts.text(name)), icon=":material/delete:")
                del st.session_state["dataset"], st.query_params["dataset"]
                st.rerun()


def correct(dataset: data.Dataset, pictures: tuple[int, ...], key: str, suggested: str | None = None) -> None:
    """Another label, another split, or out: for one picture or for all that are picked."""
    first, second, third = st.columns([3, 3, 2], vertical_alignment="bottom")
    with first:
        known = [" ".join(name.split()) for name in dataset.classes]
        known += [suggested] if suggested and suggested not in known else []
        name = st.selectbox(
            tr("Class"),
            known,
            known.index(suggested) if suggested in known else None,
            key=f"label {key} {suggested}",
            format_func=lambda name: called(dataset, name),
            accept_new_options=True,
            placeholder=tr("old or new"),
        )
        words = tr("Relabel") if any(label(dataset, picture) != "?" for picture in pictures) else tr("Label it")
        if st.button(words, key=f"relabel {key}", icon=":material/label:", disabled=not name, width="stretch"):
            value = dict(zip(known, dataset.classes, strict=False)).get(name, name)
            change(dataset, data.Edit("relabel", pictures, value))
    with second:
        split = st.selectbox(
            tr("Split"), SPLITS, None, key=f"split {key}", format_func=tr, placeholder=tr("train, validation or test")
        )
        if st.button(tr("Move"), key=f"move {key}", icon=":material/swap_horiz:", disabled=not split, width="stretch"):
            change(dataset, data.Edit("move", pictures, split))
    if third.button(tr("Leave out"), key=f"exclude {key}", icon=":material/block:", width="stretch"):
        change(dataset, data.Edit("exclude", pictures))
