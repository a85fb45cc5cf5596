"""Predict: what is in this picture? Softmax probabilities for uploads, camera, samples, or a whole folder."""

import numpy as np
import streamlit as st

from imgrec.bulk import row
from imgrec.data import Dataset, class_names
from imgrec.images import to_png
from imgrec.language import listed, mark, tr
from imgrec.models import card
from imgrec.predict import MOST_MEMBERS, Ensemble, Predictor
from imgrec.runs import Run
from imgrec.spreadsheet import as_csv
from imgrec.weights import VIEWS
from pages import answers, drafts, film, live, many, parts, pickers, transfers

MOST = 50  # pictures at once on the page itself
SOURCES = (mark("Files"), mark("Camera"), mark("Live"), mark("Samples"), mark("Many"))
VIEW_NAMES = {
    "one": mark("the picture as it is"),
    "mirror": mark("and its mirror image"),
    "shifted": mark("and moved by a pixel"),
    "six": mark("mirrored and moved, six in all"),
}


def pictures(source: str, dataset: Dataset | None, name: str) -> list[tuple[str, bytes]]:
    """What to classify: (name, bytes) from files, camera or the data set."""
    if source == "Camera":
        shot = st.camera_input(tr("Take a picture"), key="camera")
        return [("camera.jpg", shot.getvalue())] if shot else []
    if source == "Files":
        return from_files()
    if dataset is None:
        st.info(
            tr(
                "{name} is not on this machine, so there are no samples; choose files of your own, or a network whose pictures are here.",
                name=parts.text(name),
            )
        )
        with st.container(horizontal=True):
            for run, words in (("shapes-seed-cnn", tr("Drawn shapes")), ("digits-seed-cnn", tr("Handwritten digits"))):
                parts.link("predict", words, ":material/image_search:", run=run, source="Samples")
        return []
    return samples(dataset)


def from_files() -> list[tuple[str, bytes]]:
    """Files from a box; what was in it is still there after a look at another source or page, and after a reload."""
    drafts.restore("predict", "predict_")
    fresh = "predict_files" not in st.session_state  # a box that was not shown is empty when it is shown again
    files = transfers.upload_box(tr("Choose pictures, or drop them here"), "predict_files")
    if len(files) > MOST:
        st.warning(
            tr(
                "{files} pictures; the first {most} are classified. *Many* takes any number.",
                files=len(files),
                most=MOST,
            )
        )
    given = [film.Shot(file.getvalue(), name=file.name) for file in files[:MOST]]
    emptied = not fresh and st.session_state.get("predict_had", False)
    if given or emptied:
        st.session_state["predict_kept"] = given
    st.session_state["predict_had"] = bool(given)
    kept = st.session_state.get("predict_kept", [])
    out = (kept and not given) and st.button(tr("Take all of them out"), key="predict_out", icon=":material/delete:")
    if out:
        kept.clear()
    drafts.keep("predict", "predict_", ["predict_kept"])
    if out:
        st.rerun()
    return [(shot.name, shot.content) for shot in kept]


def samples(dataset: Dataset) -> list[tuple[str, bytes]]:
    """Some pictures of the data set the run learned from, of those it never saw if there are any."""
    if st.button(tr("Other samples"), icon=":material/shuffle:"):
        st.session_state["sample_draw"] = st.session_state.get("sample_draw", 0) + 1
    pool = dataset.indices("test") if len(dataset.indices("test")) else dataset.kept
    names = class_names(dataset.classes)
    chosen = np.random.default_rng(st.session_state.get("sample_draw", 0)).permutation(pool)[:6]
    return [(f"{names[dataset.labels[i]]} ({dataset.files[i]})", to_png(dataset.images[i])) for i in chosen]


def options(run: Run, model: Predictor) -> tuple[Predictor | Ensemble, float, int]:
    """The network as it shall answer, the temperature, and how many classes are shown."""
    with st.expander(tr("How it answers"), icon=":material/tune:"):
        left, right = st.columns(2)
        others = [name for name, _ in pickers.alike(run, model)]
        chosen = left.multiselect(
            tr("Ask others as well"), others, key="predict_others", format_func=pickers.run_labels(others), max_selections=MOST_MEMBERS - 1,
            placeholder=tr("runs of the same classes") if others else tr("no other run knows the same classes"),
            disabled=not others, help=tr("An ensemble: the mean of their probabilities is usually better than the best of them."),
        )  # fmt: skip
        views = left.selectbox(
            tr("Views of each picture"), list(VIEWS), list(VIEWS).index(model.passport.views), key=f"views {run.name}",
            format_func=lambda views: tr(VIEW_NAMES[views]), help=tr("Test-time augmentation: the mean over several views of the same picture."),
        )  # fmt: skip
        temperature = right.slider(
            tr("Softmax temperature"), 0.1, 10.0, 1.0, 0.1, key="predict_temperature", persist_state="session",
            help=tr("The logits are divided by it. Above 1 all classes come closer together, below 1 the first one takes "
"all."),
        )  # fmt: skip
        most = len(model.classes)
        count = right.slider(tr("Classes shown"), 1, min(most, 50), min(5, most), key="predict_top") if most > 1 else 1
    network = (pickers.network(",".join([run.name, *chosen])) if chosen else None) or model
    if views != model.passport.views:
        network = network.looking(views)
    return network, temperature, count


def about(run: Run, model: Predictor) -> None:
    """What it learned, how good it is, and that it knows nothing else."""
    found = run.read("evaluation.json")
    accuracy = found.get("accuracy")
    st.caption(
        tr(
            "A network ({title}) that learned {n} classes from {dataset} and gets {accuracy:.1%} of {images:,} unseen pictures right. "
            "It knows only these: {classes}."
            if accuracy
            else "A network ({title}) that learned {n} classes from {dataset}. It knows only these: {classes}.",
            title=parts.text(tr(card(model.passport.model).title)),
            n=len(model.classes),
            dataset=parts.text(run.recipe.dataset),
            accuracy=accuracy,
            images=found.get("images", 0),
            classes=parts.text(listed(class_names(model.classes)), 300),
        )
        + (
            ""
            if model.passport.threshold is not None
            else " "
            + tr(
                "Shown anything else it names one of them all the same: it had too few pictures to learn what is strange."
            )
        )
    )


def show(network: Predictor | Ensemble, files: list[tuple[str, bytes]], temperature: float, count: int) -> None:
    """Every picture with its answer, two in a row, and all of it as a table."""
    with st.spinner(parts.BUSY):
        results = [result.at_temperature(temperature) for result in network.classify(files)]
    for start in range(0, len(results), 2):
        for column, number in zip(st.columns(2), range(start, min(start + 2, len(results))), strict=False):
            with column:
                answers.card(network, results[number], number, count, trained_on)
    table = [row(network.classes, result) for result in results]
    transfers.download(tr("All probabilities as CSV"), as_csv(table), "predictions.csv", "text/csv")
    with st.expander(tr("As a table")):
        parts.grid(table)


st.title(tr("What is in this picture?"), anchor=False)
run, model = pickers.model_picker()
trained_on = run.recipe.dataset
about(run, model)
try:
    dataset = pickers.open_dataset(trained_on)
except ValueError:
    dataset = None
source = pickers.address_choice(
    tr("Pictures from"), SOURCES, "predict_source", "source",
    "Many" if "answers" in st.query_params else "Samples" if dataset else "Files",
    help=tr("Many: a whole folder or archive, classified in the background into a table."),
)  # fmt: skip
try:
    network, temperature, count = options(run, model)
except ValueError as error:
    st.error(parts.text(error, 400))
    st.stop()
if source == "Many":
    many.show(network.name, network.views, temperature)
elif source == "Live":
    live.show(network, temperature, count)
elif files := pictures(source, dataset, trained_on):
    show(network, files, temperature, count)
