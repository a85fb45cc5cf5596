"""Predict: what is in this picture? Softmax probabilities for uploads, camera pictures or samples."""

import numpy as np
import streamlit as st

from imgrec import charts
from imgrec.data import Dataset
from imgrec.explain import METHODS, Explanation, explain, overlay
from imgrec.predict import Classified, Predictor, predictor
from pages import parts

MOST = 50  # pictures at once


def pictures(dataset_name: str) -> list[tuple[str, bytes]]:
    """What to classify: (name, bytes) from files, camera or the data set."""
    try:
        dataset = parts.open_dataset(dataset_name)
    except ValueError:
        dataset = None
    st.session_state.setdefault("predict_source", "Samples" if dataset else "Files")
    source = st.segmented_control(
        "Pictures from", ("Files", "Camera", "Samples"), required=True, key="predict_source", persist_state="session"
    )
    if source == "Camera":
        shot = st.camera_input("Take a picture", key="camera")
        return [("camera.jpg", shot.getvalue())] if shot else []
    if source == "Files":
        files = parts.upload_box("Drop pictures here", "predict_files")
        if len(files) > MOST:
            st.warning(f"{len(files)} pictures; the first {MOST} are classified. The command line takes any number.")
        return [(file.name, file.getvalue()) for file in files[:MOST]]
    if dataset is None:
        st.info(
            f"{parts.text(dataset_name)} is not on this machine, so there are no samples; choose files of your own."
        )
        return []
    return samples(dataset)


def samples(dataset: Dataset) -> list[tuple[str, bytes]]:
    """Some pictures of the data set the run learned from, of those it never saw if there are any."""
    if st.button("Other samples", icon=":material/shuffle:"):
        st.session_state["sample_draw"] = st.session_state.get("sample_draw", 0) + 1
    pool = dataset.indices("test") if len(dataset.indices("test")) else dataset.kept
    chosen = np.random.default_rng(st.session_state.get("sample_draw", 0)).permutation(pool)[:6]
    return [
        (f"{dataset.classes[dataset.labels[i]]} ({dataset.files[i]})", parts.to_png(dataset.images[i])) for i in chosen
    ]


@st.cache_data(max_entries=64, show_spinner=False)
def heat(
    run: str, changed: int, picture: bytes, shape: tuple, method: str, class_name: str
) -> tuple[bytes, Explanation]:
    seen = np.frombuffer(picture, np.uint8).reshape(shape)
    found = explain(predictor(run), seen, method, class_name)
    return overlay(seen, found.heat), found


def card(model: Predictor, result: Classified, number: int) -> None:
    """One picture: as uploaded and as the network saw it, and its probabilities."""
    with st.container(border=True):
        st.markdown(f"**{parts.text(result.file, 80)}**")
        if result.error:
            st.error(parts.text(result.error, 300))
            return
        left, right = st.columns([1, 2])
        left.image(parts.enlarge(result.seen, 200), width=200, alt="The picture as the network saw it")
        left.caption(f"As the network saw it: {result.seen.shape[1]} × {result.seen.shape[0]} px")
        with right:
            top = result.top(model.classes, 5)
            if result.known is False:
                st.warning(
                    "Probably none of these: it is less familiar than 95 % of the pictures it was checked with.",
                    icon=":material/help:",
                )
            parts.chart(
                charts.probability_bars(top),
                f"bars_{number}",
                ", ".join(f"{row['name']} {row['probability']:.1%}" for row in top),
            )
            st.caption(
                f"Softmax: the {len(model.classes)} probabilities add up to {float(result.probabilities.sum(dtype=np.float64)):.5f}."
            )
        why(model, result, number)
        alike(model, result, number)


@st.fragment
def why(model: Predictor, result: Classified, number: int) -> None:
    """A heat map for a class, on demand."""
    with st.expander("Why?"):
        if not st.toggle("Show what mattered", key=f"why_{number}"):
            return
        left, right = st.columns([1, 2])
        method = right.selectbox(
            "Method", list(METHODS), format_func=lambda m: METHODS[m].title, key=f"method_{number}"
        )
        order = [row["name"] for row in result.top(model.classes, len(model.classes))]
        target = right.selectbox("For the class", order, key=f"class_{number}")
        right.caption(METHODS[method].help)
        try:
            image, found = heat(model.name, id(model), result.seen.tobytes(), result.seen.shape, method, target)
        except ValueError as error:
            right.info(parts.text(error, 300))
        else:
            left.image(image, width=224, alt=f"Heat map for {target}")
            proof = (
                f"With the hottest fifth covered the probability of {parts.text(target)} goes from {found.probability:.1%} to "
                f"{found.hidden:.1%}; covered elsewhere, to {found.elsewhere:.1%}."
            )
            if found.reliable:
                right.caption(proof)
            else:
                right.warning(f"Not reliable here. {proof}", icon=":material/warning:")


@st.fragment
def alike(model: Predictor, result: Classified, number: int) -> None:
    """The training pictures that the network takes for most like this one, on demand."""
    if model.neighbours is None:
        return
    with st.expander("Because it looks like these"):
        if not st.toggle("Show the training pictures most alike", key=f"alike_{number}"):
            return
        wanted = model.passport.preprocess
        try:
            dataset = parts.open_dataset(trained_on, wanted.size, wanted.resize)
        except ValueError:
            st.caption("Its training pictures are not on this machine.")
            return
        positions, likeness = model.neighbours.nearest(model.features(result.seen[None])[0])
        parts.tiles(
            [
                parts.Tile(parts.enlarge(dataset.images[p], 96), f"{dataset.classes[dataset.labels[p]]} {share:.2f}")
                for p, share in zip(positions.tolist(), likeness, strict=True)
                if p < len(dataset.labels) and dataset.labels[p] >= 0
            ],
            f"alike_tiles_{number}", 84, clickable=False,
        )  # fmt: skip
        st.caption("The number says how alike they are for the network, at most 1.")


st.title("What is in this picture?", anchor=False)
run, model = parts.model_picker()
trained_on = run.recipe.dataset
accuracy = run.read("evaluation.json").get("accuracy")
st.caption(
    f"A {parts.text(model.passport.model)} that learned {len(model.classes)} classes from {parts.text(trained_on)}"
    + (f" and gets {accuracy:.1%} of unseen pictures right" if accuracy else "")
    + f". It knows only these: {parts.text(', '.join(model.classes), 300)}."
)
files = pictures(trained_on)
if files:
    with st.spinner(parts.BUSY):
        results = model.classify(files)
    table = [
        {
            "file": result.file,
            "error": result.error or "",
            "known": "" if result.known is None else "yes" if result.known else "probably none of these",
            **({} if result.error else dict(zip(model.classes, map(float, result.probabilities), strict=True))),
        }
        for result in results
    ]
    for start in range(0, len(results), 2):
        for column, number in zip(st.columns(2), range(start, min(start + 2, len(results))), strict=False):
            with column:
                card(model, results[number], number)
    st.download_button(
        "All probabilities as CSV", parts.rows_as_csv(table), "predictions.csv", "text/csv", icon=":material/download:"
    )
    with st.expander("As a table"):
        st.dataframe(table, hide_index=True)
