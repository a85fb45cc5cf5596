"""Home: what this is, three doors into it, and what is running now."""

import numpy as np
import streamlit as st

from imgrec import jobs
from imgrec.data import open_dataset
from imgrec.images import to_png
from imgrec.lessons.convolution import KERNELS, convolve
from imgrec.runs import list_runs
from pages import parts


@st.cache_data(show_spinner=False)
def pictures() -> dict[str, bytes]:
    """The pictures of this page, computed from the data sets themselves: nothing here is painted by hand."""
    shapes, digits = parts.open_dataset("shapes:size=96,difficulty=0.3,count=60"), open_dataset("digits")
    rows = [np.concatenate(list(shapes.images[row * 15 : row * 15 + 15]), 1) for row in range(2)]
    grid = [np.concatenate([parts.enlarge(digits.images[9 * r + c], 40) for c in range(9)], 1) for r in range(4)]
    star = shapes.images[3].astype(float).mean(2)
    edges = np.hypot(convolve(star, KERNELS["Edges, vertical"]), convolve(star, KERNELS["Edges, horizontal"]))
    seen = np.concatenate([np.pad(star, 0)[1:-1, 1:-1], (edges / edges.max() * 255)], 1)
    return {
        "banner": to_png(np.concatenate(rows)),
        "learn": to_png(parts.enlarge(seen.astype(np.uint8)[..., None], 280)),
        "train": to_png(255 - np.concatenate(grid)),
        "try": to_png(
            np.concatenate([np.concatenate(list(shapes.images[30 + 5 * r : 35 + 5 * r]), 1) for r in range(2)])
        ),
    }


def door(column, picture: str, alt: str, title: str, words: str, page: str, label: str, **query: str) -> None:
    """One way in: a picture, a sentence, a link."""
    with column.container(border=True, height="stretch"):
        st.image(pictures()[picture], width="stretch", alt=alt)
        st.subheader(title, anchor=False)
        st.write(words)
        parts.link(page, label, ":material/arrow_forward:", **query)


@st.fragment(run_every=2.0)
def running_now() -> None:
    """The queue and the last results; polls twice as seldom as the page that watches one run."""
    live = jobs.live_runs()
    st.subheader("Running now", anchor=False)
    if not live:
        st.caption("Nothing is training at the moment.")
    for run in live:
        state = run.state
        line = f"{parts.status_badge(run)} {parts.text(run.title)}"
        st.progress(float(state.get("progress") or 0.0), f"{line}, {parts.duration(state.get('seconds_left'))} left")
        parts.link("train", "Watch it", ":material/visibility:", run=run.name)
    finished = [run for run in list_runs()[:40] if run.file("evaluation.json").exists()][:3]
    if finished:
        st.subheader("Latest results", anchor=False)
    for run in finished:
        accuracy = run.read("evaluation.json").get("accuracy", 0.0)
        line = f"**{accuracy:.1%}** of unseen pictures right: {parts.text(run.title)}"
        parts.link("predict", line, ":material/image_search:", run=run.name)


st.title("See how a machine learns to see", anchor=False)
st.write(
    "An image-recognition lab in your browser: look at pictures, train a network while you watch, "
    "ask it what it sees, and find out why. Everything stays on this machine."
)
st.image(pictures()["banner"], width="stretch", alt="Drawn shapes in many colours: the built-in data set.")
doors = st.columns(3)
door(
    doors[0], "try", "Coloured shapes waiting to be recognised", "Try a model",
    "Upload a picture, or take a sample, and see how sure the network is of what it sees.", "predict", "Classify a picture",
)  # fmt: skip
door(
    doors[1], "train", "Handwritten digits", "Train your first network",
    "In under a minute a small CNN learns to read 1,797 handwritten digits. Watch the curves move.", "train", "Start training",
    dataset="digits",
)  # fmt: skip
door(
    doors[2], "learn", "A star, and the edges that a convolution finds in it", "Learn how a CNN sees",
    "Slide a small window over a picture and follow every number from the pixels to the result.", "learn_convolution", "Open the lesson",
)  # fmt: skip
running_now()
