"""Shared: what a run said about the pictures of a split, and those pictures to look at."""

import numpy as np
import streamlit as st

from imgrec.charts import percent
from imgrec.data import Dataset, class_name, class_names
from imgrec.evaluate import Answers, answers, kept_answers
from imgrec.explain import explain, overlay
from imgrec.language import tr
from imgrec.predict import Predictor
from imgrec.runs import Run
from pages import editing, gallery, parts, thumbnails


def of_split(run: Run, model: Predictor, dataset: Dataset, split: str) -> Answers:
    """What the run said at its end; asked now if that is not known or the pictures have changed."""
    kept = kept_answers(run, dataset, split, model.passport.temperature)
    return kept or asked(run.name, model.changed, split, dataset.fingerprint, dataset.image_size, model, dataset)


@st.cache_resource(max_entries=8, show_spinner=False)
def asked(
    run: str, changed: int, split: str, fingerprint: str, size: int, _model: Predictor, _dataset: Dataset
) -> Answers:
    return answers(_model, _dataset, split)


def picture(model: Predictor, dataset: Dataset, given: Answers, index: int) -> None:
    """Open a test picture in a dialog."""
    st.dialog(tr("Picture"), width="large")(_picture)(model, dataset, given, index)


def _picture(model: Predictor, dataset: Dataset, given: Answers, index: int) -> None:
    """A test picture, what the network took it for, and what mattered for that."""
    position = int(given.positions[index])
    seen = dataset.images[position]
    left, right = st.columns(2)
    truth, said = given.classes[given.labels[index]], given.classes[given.predicted[index]]
    called = class_name(said, given.classes)
    if editing.editable(dataset):
        thumbnails.image(
            editing.large(dataset, position), tr("{file}, enlarged", file=dataset.files[position]), at=left
        )
    thumbnails.image(seen, tr("The picture as the network saw it"), 260, at=left)
    left.caption(tr("As the network saw it: {width} × {height} px", width=seen.shape[1], height=seen.shape[0]))
    try:
        heat = overlay(seen, explain(model, seen, "gradcam", said).heat)
    except ValueError as error:
        left.caption(parts.text(error, 200))
    else:
        left.image(heat, width=260, output_format="PNG", alt=tr("What mattered for {said}", said=called))
        left.caption(tr("What mattered for {said} (Grad-CAM).", said=parts.text(called)))
    with right:
        st.markdown(
            tr(
                "**Label** {truth} · **Answer** {said} · {files}",
                truth=parts.text(class_name(truth, given.classes)),
                said=parts.text(called),
                files=parts.text(dataset.files[position]),
            )
        )
        parts.likeliest(given.classes, given.probabilities[index])
        if editing.editable(dataset):
            st.caption(tr("Is the label wrong? Change it here; the run keeps what it said until it is trained anew."))
            editing.correct(
                dataset, (position,), "evaluated", said if said != truth and said in dataset.classes else None
            )


def pictures(model: Predictor, dataset: Dataset, given: Answers, chosen: np.ndarray, key: str, what: str) -> None:
    """A grid of some of the answers, by index into them; a click opens one."""
    if not len(chosen):
        st.info(tr("No picture is like that."))
        return
    names = class_names(given.classes)
    by_position = {int(given.positions[index]): int(index) for index in chosen}

    def caption(position: int) -> str:
        index = by_position[position]
        truth, said = names[given.labels[index]], names[given.predicted[index]]
        return f"{said if given.right[index] else f'{truth} → {said}'}\n{percent(float(given.confidence[index]))}"

    clicked = gallery.grid(dataset, given.positions[chosen], key, set(), f"{key} {what}", caption)
    st.caption(
        tr(
            "{chosen}, each with its class, → the answer where that is another, and the answer's probability. Click one to see why.",
            chosen=parts.pictures(len(chosen)),
        )
    )
    if clicked is not None:
        picture(model, dataset, given, by_position[clicked])
