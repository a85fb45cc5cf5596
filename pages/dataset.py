"""Data set: what is in it? Samples by class, counts, splits, sizes, channel statistics, mean pictures; fetching more."""

import io

import numpy as np
import streamlit as st

from imgrec import background, charts, data
from imgrec.data import inspection
from imgrec.language import listed, mark, tr
from imgrec.runs import usable_runs
from pages import editing, gallery, parts, pickers, thumbnails, transfers, visitors

MOST_TO_MEASURE = 50_000  # pictures behind channel statistics and means
MOST_TO_DOWNLOAD = 5000  # pictures in a ZIP that is made in memory while the visitor waits
MOST_TO_TEACH = 12  # classes whose boxes fit a page


@st.cache_data(show_spinner=False, max_entries=12)
def report(name: str, fingerprint: str) -> dict:
    return inspection.overview(pickers.open_dataset(name), MOST_TO_MEASURE)


@st.cache_data(show_spinner=False, max_entries=12)
def class_pictures(name: str, fingerprint: str) -> tuple[np.ndarray, np.ndarray]:
    return inspection.class_pictures(pickers.open_dataset(name), MOST_TO_MEASURE)


def figures(dataset: data.Dataset) -> None:
    """The numbers behind the pictures, as charts with tables to read."""
    facts = report(dataset.name, dataset.fingerprint)
    totals(dataset, facts)
    left, right = st.columns(2)
    with left:
        st.subheader(tr("Pictures per class"), anchor=False)
        counts = dict(zip(data.class_names(list(facts["classes"])), facts["classes"].values(), strict=True))
        parts.chart(charts.class_counts(counts), "counts", tr("Pictures per class and split"))
        st.caption(
            tr(
                "All classes have about as many pictures, which is best."
                if facts["imbalance"] < 1.2
                else "The largest class has {imbalance:.1f} times the pictures of the smallest; beyond 3 a network "
                "neglects the small one.",
                imbalance=facts["imbalance"],
            )
        )
    with right:
        st.subheader(tr("Channels"), anchor=False)
        parts.chart(
            charts.channel_bars(facts["channel_mean"], facts["channel_std"]),
            "channels",
            tr("Channel means and standard deviations"),
        )
        st.caption(
            tr(
                "Mean ± standard deviation of each channel, 0 is black and 1 full light. Training subtracts the one "
                "and divides by the other."
            )
        )
    typical(dataset)
    originals(facts)
    if len(dataset.kept) > MOST_TO_MEASURE:
        st.caption(
            tr(
                "Channels, means and deviations are those of {most_to_measure:,} pictures, drawn at random.",
                most_to_measure=MOST_TO_MEASURE,
            )
        )
    st.caption(
        tr(
            "Source: {source} Fingerprint {fingerprint}.",
            source=parts.text(tr(dataset.source), 300),
            fingerprint=dataset.fingerprint,
        )
    )
    with st.expander(tr("As a table")):
        parts.table({"class": name, **row} for name, row in counts.items())
        parts.table(facts["sizes"])


def totals(dataset: data.Dataset, facts: dict) -> None:
    """How many pictures there are, and where."""
    shares = {split: parts.percent_of(count, len(dataset.kept)) for split, count in facts["splits"].items()}
    parts.metrics(
        (
            tr("Pictures"),
            f"{len(dataset.kept):,}",
            tr("{left_out:,} more are left out", left_out=facts["left_out"]) if facts["left_out"] else None,
        ),
        *(
            [(tr("Without a label"), f"{facts['unlabelled']:,}", tr("They wait on the page Label."))]
            * bool(facts["unlabelled"])
        ),
        (tr("Classes"), f"{len(dataset.classes)}", None),
        *(
            (tr(split).capitalize(), f"{facts['splits'][split]:,}", tr("{share} of all", share=share))
            for split, share in shares.items()
        ),
    )


def typical(dataset: data.Dataset) -> None:
    """The mean picture of each class, or how its pictures vary."""
    st.subheader(tr("What is typical of each class"), anchor=False)
    shown = st.segmented_control(
        tr("Show"),
        (mark("Mean"), mark("Deviation")),
        default=mark("Mean"),
        format_func=tr,
        required=True,
        key="typical",
        label_visibility="collapsed",
    )
    pictures = class_pictures(dataset.name, dataset.fingerprint)[shown == "Deviation"]
    names = zip(pictures[:60], data.class_names(dataset.classes), strict=False)
    thumbnails.tiles(
        [thumbnails.Tile(picture, str(name)[:24]) for picture, name in names], "means", 76, clickable=False
    )
    st.caption(
        tr(
            "The mean of all pictures. Where these differ, even a linear model can tell the classes apart; where "
            "all look alike, it takes a CNN."
        )
        if shown == "Mean"
        else tr(
            "The standard deviation of each pixel, twice as bright: dark where all pictures of a class agree, "
            "light where they vary."
        )
    )


def originals(facts: dict) -> None:
    """Sizes, proportions and kinds of the files as they came."""
    st.subheader(tr("The originals"), anchor=False)
    if len(facts["sizes"]) == 1:
        st.write(tr("All are {width} × {height} pixels.", **facts["sizes"][0]))
    elif facts["sizes"]:
        left, right = st.columns(2)
        with left:
            parts.chart(charts.size_scatter(facts["sizes"]), "sizes", tr("Widths and heights of the original pictures"))
        with right:
            parts.chart(
                charts.aspect_bars(facts["aspect_ratios"]), "aspects", tr("Width divided by height of the originals")
            )
        st.caption(
            tr(
                "Left the commonest sizes, right the proportions: far from 1 : 1, a centre crop loses much of a "
                "picture."
            )
        )
    if facts["modes"]:
        st.caption(
            tr(
                "Stored as {kinds}.",
                kinds=tr("; ").join(
                    tr("{name}: {value}", name=parts.text(listed(kind.split(", "))), value=f"{n:,}")
                    for kind, n in facts["modes"].items()
                ),
            )
        )


def take_along(dataset: data.Dataset) -> None:
    """The set as a ZIP, for small ones here and for big ones by the command."""

    def archive() -> bytes:
        file = io.BytesIO()
        data.export_dataset(dataset.name, file)
        return file.getvalue()

    with st.expander(tr("Take it along"), icon=":material/archive:"):
        st.caption(tr("A ZIP of class folders with a table of labels and splits; it imports again as the same set."))
        if len(dataset.kept) <= MOST_TO_DOWNLOAD:
            transfers.download(
                tr("Download the ZIP"), archive, f"{dataset.name.partition(':')[0]}.zip", "application/zip"
            )
        else:
            st.write(
                tr(
                    "It has more than {most_to_download:,} pictures, so it goes through the command line:",
                    most_to_download=MOST_TO_DOWNLOAD,
                )
            )
        st.code(f"python -m imgrec pack {dataset.name} --out {dataset.name.partition(':')[0]}.zip", language="bash")


def fetching() -> None:
    """Data sets to download: one row each, with progress while it comes; the page is drawn anew when one has come."""
    busy, brought = False, {job.name: job for job in background.bring_jobs()}
    for row in (row for row in data.list_datasets() if row.kind == "download" and not row.ready):
        name, about, control = st.columns([2, 5, 2], vertical_alignment="center")
        name.markdown(f"**{parts.text(tr(row.title))}**")
        about.caption(
            tr(
                "{images:,} pictures, {classes} classes. {note}",
                images=row.images,
                classes=row.classes,
                note=parts.text(row.note, 200),
            )
        )
        job = brought.get(row.name)
        if job and parts.live(job):
            state = job.state
            about.progress(
                min(1.0, float(state.get("progress") or 0.0)), parts.text(state.get("detail", "starting"), 120)
            )
            busy = True
            mine = visitors.may_change(job)
            if mine and control.button(tr("Cancel"), key=f"cancel {row.name}", width="stretch"):
                job.ask("stop")
        elif control.button(tr("Download"), key=f"fetch {row.name}", icon=":material/download:", width="stretch"):
            try:
                background.start_fetch(row.name, visitors.visitor())
            except (ValueError, OSError) as error:
                about.error(parts.text(error, 400))
            else:
                st.rerun()
        if job and job.status == "failed":
            about.error(parts.text(job.state.get("error", ""), 600))
    if st.session_state.get("fetching") and not busy:
        st.session_state["fetching"] = False
        st.rerun()
    st.session_state["fetching"] = busy


st.title(tr("What is in the pictures?"), anchor=False)
dataset = pickers.dataset_picker(broken=editing.delete)
st.fragment(gallery.browse)(dataset)
if len(dataset.kept):
    figures(dataset)
else:
    st.info(tr("No picture has a label yet; the page Label helps to give some."))
take_along(dataset)
if editing.editable(dataset):
    editing.delete(dataset.name)
coming = any(map(parts.live, background.bring_jobs()))
more = st.expander(tr("Download more data sets"), icon=":material/download:", key="more_sets", on_change="rerun")
if more.open or coming:
    with more:
        st.caption(
            tr("Well-known sets from their authors' servers, through torchvision. Nothing is fetched until you click.")
        )
        st.fragment(fetching, run_every=1.0 if coming else None)()
if editing.editable(dataset) and 1 < len(dataset.classes) <= MOST_TO_TEACH:
    learned = pickers.runs_of(dataset.name)
    latest = [run.name for run in usable_runs() if run.name in learned][:1]
    query = {"dataset": dataset.name, **({"run": latest[0]} if latest else {})}
    parts.link("teach", "Show it more with the camera", ":material/front_hand:", **query)
parts.link("mend", "What is wrong with it?", ":material/healing:", dataset=dataset.name)
parts.link("augment", "Next: preview augmentation", ":material/arrow_forward:", dataset=dataset.name)
