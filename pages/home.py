"""Home: what this is, four doors into it, and what is running now."""

import shutil

import numpy as np
import streamlit as st

from imgrec import queue
from imgrec.data import open_dataset
from imgrec.home import held, home
from imgrec.images import to_png
from imgrec.language import tr
from imgrec.lessons.convolution import KERNELS, convolve
from imgrec.runs import list_runs
from pages import parts, thumbnails, visitors

FEW = 30  # test pictures, of which a share says less than the count
CELL = 96  # pixels of one picture in the page's strips
NIGHT, LIGHT = np.array([15, 42, 68]), np.array([255, 255, 255])


@st.cache_data(show_spinner=False)
def pictures() -> dict[str, bytes]:
    """The pictures of this page, computed from the data sets themselves: nothing here is painted by hand."""
    drawn = open_dataset(f"shapes:size={CELL},difficulty=0.3,count=60")
    shapes, digits = drawn.images, open_dataset("digits").images
    of = lambda name: shapes[drawn.labels == drawn.classes.index(name)][:5]  # noqa: E731
    return {
        "banner": strip(shapes[:30], 15),
        "try": strip(shapes[30:40], 5),
        "teach": strip(np.concatenate([of("circle"), of("star")]), 5),
        "train": strip(np.stack([framed(digit) for digit in digits[:40]]), 10),
        "learn": strip(np.concatenate([shapes[42:47], np.stack([edges(picture) for picture in shapes[42:47]])]), 5),
    }


def strip(images: np.ndarray, columns: int) -> bytes:
    """Pictures side by side, row by row, as one PNG."""
    return to_png(
        np.concatenate([np.concatenate(list(row), 1) for row in images.reshape(-1, columns, *images.shape[1:])])
    )


def framed(digit: np.ndarray) -> np.ndarray:
    """A digit in light on a dark ground, with room around it."""
    light = np.pad(thumbnails.enlarge(digit, 40), ((4, 4), (4, 4), (0, 0))) / 255
    return (NIGHT + (LIGHT - NIGHT) * light).astype(np.uint8)


def edges(picture: np.ndarray) -> np.ndarray:
    """How strongly the brightness changes at each pixel: two convolutions put together."""
    grey = np.pad(picture.mean(2), 1, mode="edge")
    strength = np.hypot(convolve(grey, KERNELS["Edges, vertical"]), convolve(grey, KERNELS["Edges, horizontal"]))
    return (NIGHT + (LIGHT - NIGHT) * np.clip(strength / 400, 0, 1)[..., None]).astype(np.uint8)


def door(column, picture: str, alt: str, title: str, words: str, page: str, label: str, **query: str) -> None:
    """One way in: a picture, a sentence, a button."""
    with column.container(border=True, height="stretch"):
        st.image(pictures()[picture], width="stretch", output_format="PNG", alt=alt)
        st.subheader(title, anchor=False)
        st.write(words)
        if st.button(label, key=f"door_{page}", icon=":material/arrow_forward:", type="primary", width="stretch"):
            parts.go_to(page, **query)


@st.fragment(run_every=2.0)
def running_now(me: str) -> None:
    """The queue, for who is of the digest ``me``, and the last results; polls twice as seldom as the page that watches one run."""
    live = queue.live_runs()
    st.subheader(tr("Running now"), anchor=False)
    if not live:
        st.caption(tr("Nothing is training at the moment."))
    for run in live:
        state = run.state
        line = f"{parts.status_badge(run)} {parts.text(run.title)}"
        if owner := visitors.whose(run, me):
            line += " · " + parts.text(owner)
        st.progress(
            float(state.get("progress") or 0.0),
            line
            if run.status == "waiting"
            else tr("{run}, {time} left", run=line, time=parts.duration(state.get("seconds_left"))),
        )
        parts.link("train", "Watch it", ":material/visibility:", run=run.name)
    finished = [run for run in list_runs()[:40] if run.file("evaluation.json").exists()][:3]
    if finished:
        st.subheader(tr("Latest results"), anchor=False)
    for run in finished:
        found = run.read("evaluation.json")
        accuracy, images = found.get("accuracy", 0.0), found.get("images", 0)
        line = tr(
            "**{accuracy:.1%}** of unseen pictures right: {title}"
            if images >= FEW
            else "**{right} of {images}** unseen pictures right: {title}",
            accuracy=accuracy,
            right=round(accuracy * images),
            images=images,
            title=parts.text(run.title),
        )
        parts.link("predict", line, ":material/image_search:", run=run.name)


@st.fragment
def on_the_disk() -> None:
    """What the workspace holds, the largest first; counted when somebody asks."""
    if not st.button(tr("What is kept on the disk"), icon=":material/hard_drive:", key="disk", type="tertiary"):
        return
    with st.spinner(tr("Counting …")):
        sizes, free = held(), shutil.disk_usage(home().parent).free
    st.caption(tr("{held} in the workspace, {free} free on the disk.", held=megabytes(sum(sizes.values())), free=megabytes(free)))  # fmt: skip
    kinds = {"datasets": tr("Data set"), "runs": tr("Run")}
    largest = sorted(sizes.items(), key=lambda pair: -pair[1])[:50]
    parts.grid(
        {
            tr("Kept"): kinds[path.partition("/")[0]] if "/" in path else tr("Shared"),
            tr("Name"): path.partition("/")[2] or path,
            tr("Size"): megabytes(size),
        }
        for path, size in largest
    )
    st.caption(tr("Data sets are deleted on the page Data set, trainings on the page Runs."))


def megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


st.title(tr("See how a machine learns to see"), anchor=False)
st.write(
    tr(
        "An image-recognition lab in your browser: look at pictures, train a network while you watch, ask it "
        "what it sees, and find out why. Everything stays on this machine."
    )
)
st.image(
    pictures()["banner"],
    width="stretch",
    output_format="PNG",
    alt=tr("Drawn shapes in many colours: the built-in data set."),
)
doors = [*st.columns(2), *st.columns(2)]
door(
    doors[0], "teach", tr("Five circles above five stars"), tr("Teach it your own things"),
    tr("Show two things to the camera; after some seconds of training it tells them apart."), "teach", tr("Teach it"),
)  # fmt: skip
door(
    doors[1], "try", tr("Coloured shapes waiting to be recognised"), tr("Try a model"),
    tr("Upload a picture, or take a sample, and see how sure the network is of what it sees."), "predict", tr("Classify a picture"), run="shapes-seed-cnn",
)  # fmt: skip
door(
    doors[2], "train", tr("Handwritten digits"), tr("Train your first network"),
    tr("In under a minute a small CNN learns to read 1,797 handwritten digits. Watch the curves move."), "train", tr("Start training"),
    dataset="digits",
)  # fmt: skip
door(
    doors[3], "learn", tr("Shapes, and the edges that a convolution finds in them"), tr("Learn how a CNN sees"),
    tr("Slide a small window over a picture and follow every number from the pixels to the result."), "learn_convolution", tr("Open the lesson"),
)  # fmt: skip
with st.container(horizontal=True):
    parts.link("bring", "Bring your own pictures", ":material/add_photo_alternate:")
    parts.link("collect", "Collect photos with a class", ":material/groups:")
running_now(visitors.me())
on_the_disk()
