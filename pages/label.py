"""Label: what are these pictures? A trained network proposes, people accept or correct, one by one or all at once."""

import numpy as np
import streamlit as st

from imgrec import charts, data
from imgrec.language import listed, mark, tr
from imgrec.renaming import names_by_now
from pages import editing, gallery, parts, pickers
from pages.study import Study

ORDERS = (mark("Surest first"), mark("Least sure first"))


def proposals(dataset: data.Dataset) -> dict[int, tuple[str, float]]:
    """{position: (class, confidence)} for what waits, as a network that is chosen here proposes; empty before it did."""
    run = pickers.run_picker(usable=True, label=tr("Network that proposes"), trained_on=dataset.name)
    if run is None:
        return {}
    knows = list(names_by_now(run))
    st.caption(tr("It knows {knows}.", knows=parts.text(listed(knows), 200)))
    if dataset.classes and not set(knows) & set(dataset.classes):
        st.warning(tr("It knows none of the classes of this set; train a network on those that have a label."))
        return {}
    if not dataset.classes:
        st.caption(
            tr(
                "It proposes only what it knows. If that is not what these are, label some of each kind first, and train on them."
            )
        )
    study = Study("proposals", dataset.name, run=run.name)
    found = study.found
    proposed = dict(zip(*(found[key].tolist() for key in ("positions", "names")), strict=True)) if found else {}
    sure = dict(zip(*(found[key].tolist() for key in ("positions", "confidence")), strict=True)) if found else {}
    known = {int(p): (proposed[p], sure[p]) for p in dataset.unlabelled.tolist() if p in proposed}
    if len(known) < len(dataset.unlabelled):
        study.offer(tr("Propose labels"), tr("The network looks at every picture that waits."))
    return known


def accept(dataset: data.Dataset, known: dict[int, tuple[str, float]]) -> None:
    """A threshold, what it would accept, and the button that does."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        parts.chart(
            charts.confidence_bars([confidence for _, confidence in known.values()]),
            "confidences",
            tr("How sure the network is of its proposals"),
        )
    with right:
        least = st.slider(
            tr("Accept from"), 0.0, 1.0, 0.9, 0.01, key="least_sure", format="percent",
            help=tr("A network is often surer than it is right: look at the least sure of those you accept."),
        )  # fmt: skip
        sure = {position: name for position, (name, confidence) in known.items() if confidence >= least}
        if st.button(
            tr("Accept {sure:,} of {known:,}", sure=len(sure), known=len(known)), type="primary", icon=":material/done_all:", disabled=not sure,
            help=tr("They become training pictures. One undo takes all of it back."),
        ):  # fmt: skip
            editing.change(dataset, data.Edit("accept", tuple(sure), values=tuple(sure.values())))


def waiting(dataset: data.Dataset, known: dict[int, tuple[str, float]]) -> None:
    """The pictures that wait, with what is proposed; one is opened by a click, or several picked."""
    positions = dataset.unlabelled
    order = (
        st.segmented_control(tr("Order"), ORDERS, default=ORDERS[0], required=True, key="label_order", format_func=tr)
        if known
        else ""
    )
    if known:
        sure = np.array([known.get(p, ("", 0.0))[1] for p in positions.tolist()])
        positions = positions[np.argsort(sure if order == ORDERS[1] else -sure, kind="stable")]
    st.caption(tr("Click a picture and say what it is: choose a class, or type a new one."))
    several = st.toggle(tr("Pick several"), key="several", help=tr("Click pictures to label them together."))
    picked = st.session_state.setdefault("picked", set()) if several else set()

    def caption(position: int) -> str:
        name, confidence = known.get(position, ("?", 0.0))
        return f"{name}\n{charts.percent(confidence)}" if confidence else name

    clicked = gallery.grid(dataset, positions, "waiting", picked, order, caption)
    if clicked is not None and several:
        picked ^= {clicked}
        st.rerun(scope="fragment")
    elif clicked is not None:
        editing.show(dataset, clicked, known.get(clicked, (None, 0.0))[0])
    if several:
        gallery.several_picked(dataset, positions, picked)


st.title(tr("What are these pictures?"), anchor=False)
st.write(tr("Label some by hand, train on them, and let that network propose the rest: you only check."))
if "dataset" not in st.query_params and "dataset" not in st.session_state:
    wait = [row.name for row in data.list_datasets() if row.waiting]
    st.session_state["dataset"] = wait[0] if wait else None
dataset = pickers.dataset_picker(tr("The set with pictures that have no label yet."), labelled=False)
if not editing.editable(dataset):
    st.info(tr("The pictures of built-in sets all have a label. Bring some that have none:"))
elif not len(dataset.unlabelled):
    st.info(tr("Every picture of this set has a label. Bring some that have none:"))
else:
    known = proposals(dataset)
    if known:
        accept(dataset, known)
    st.fragment(waiting)(dataset, known)
parts.link("bring", "Bring pictures without labels", ":material/add_photo_alternate:", way="Without labels")
if editing.editable(dataset):
    done = data.history(dataset.name)
    if st.button(
        tr("Undo: {describe}", describe=parts.text(done[-1].describe())) if done else tr("Undo"),
        icon=":material/undo:",
        disabled=not done,
        key="undo label",
    ):
        with parts.refusals():
            data.undo(dataset.name, done[-1])
            st.rerun()
    if len(dataset.classes) > 1:
        parts.link("train", "Train on it", ":material/model_training:", dataset=dataset.name)
