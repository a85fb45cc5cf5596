"""Data set: what is in it? Samples by class, counts, splits, sizes, channel statistics, mean pictures; fetching more."""

import io

import numpy as np
import streamlit as st

from imgrec import charts, data, jobs
from imgrec.data import inspection
from imgrec.data.dataset import SPLITS
from pages import editing, parts

MOST_TO_DOWNLOAD = 5000  # pictures in a ZIP that is made in memory while the visitor waits


@st.cache_data(show_spinner="Counting and measuring …", max_entries=12)
def report(name: str, fingerprint: str) -> dict:
    return inspection.overview(parts.open_dataset(name))


@st.cache_data(show_spinner=False, max_entries=12)
def means(name: str, fingerprint: str) -> np.ndarray:
    return inspection.class_means(parts.open_dataset(name))


def chosen_positions(dataset: data.Dataset) -> list[int]:
    """Which pictures the grid shows: some of each class and split that is asked for."""
    first, second, third = st.columns([3, 2, 1], vertical_alignment="bottom")
    chosen = first.multiselect(
        "Classes", range(len(dataset.classes)), key="sample_classes", placeholder="All classes",
        format_func=lambda i: " ".join(str(dataset.classes[i]).split()) if i < len(dataset.classes) else "",
    )  # fmt: skip
    split = second.segmented_control("Split", SPLITS, key="sample_split", help="None chosen shows all.")
    if third.button("Shuffle", icon=":material/shuffle:", help="Show other pictures."):
        st.session_state["sample_seed"] = st.session_state.get("sample_seed", 0) + 1
    pool = dataset.indices(split) if split else dataset.kept
    classes = [i for i in chosen if i < len(dataset.classes)] or list(range(min(len(dataset.classes), 12)))
    generator = np.random.default_rng(st.session_state.get("sample_seed", 0))
    each = max(4, 60 // len(classes))
    return [
        int(position)
        for label in classes
        for position in generator.permutation(pool[dataset.labels[pool] == label])[:each]
    ]


def samples(dataset: data.Dataset) -> None:
    """A grid of pictures by class; a click opens one, or picks it for a change to several."""
    positions = chosen_positions(dataset)
    if not positions:
        st.info("No picture of this class is in this split; choose another.")
        return
    several = editing.editable(dataset) and st.toggle(
        "Pick several", key="several", help="Click pictures to change them together."
    )
    picked = st.session_state.setdefault("picked", set()) if several else set()
    tiles = [
        parts.Tile(
            dataset.images[i],
            str(dataset.classes[dataset.labels[i]])[:24],
            f"{dataset.files[i]}, {SPLITS[dataset.splits[i]]}",
            i in picked,
        )
        for i in positions
    ]
    clicked = parts.tiles(tiles, "samples", 64)
    if clicked is not None and clicked < len(positions):
        if not several:
            editing.show(dataset, positions[clicked])
        else:
            picked ^= {positions[clicked]}
            st.rerun()
    picked &= set(dataset.kept.tolist()) if picked else set()
    if several and picked:
        st.caption(f"{len(picked)} picked")
        editing.correct(dataset, tuple(sorted(picked)), "several")
    st.caption("Click a picture to pick it." if several else "Click a picture to see it large.")


def figures(dataset: data.Dataset) -> None:
    """The numbers behind the pictures, as charts with tables to read."""
    facts = report(dataset.name, dataset.fingerprint)
    shares = {split: parts.percent_of(count, len(dataset.kept)) for split, count in facts["splits"].items()}
    parts.metrics(
        (
            "Pictures",
            f"{len(dataset.kept):,}",
            f"{facts['left_out']:,} more are left out" if facts["left_out"] else None,
        ),
        ("Classes", f"{len(dataset.classes)}", None),
        *((split.capitalize(), f"{facts['splits'][split]:,}", f"{share} of all") for split, share in shares.items()),
    )
    left, right = st.columns(2)
    with left:
        st.subheader("Pictures per class", anchor=False)
        parts.chart(charts.class_counts(facts["classes"]), "counts", "Pictures per class and split")
        st.caption(
            f"The largest class has {facts['imbalance']:.1f} times the pictures of the smallest; beyond 3 a network neglects the small one."
        )
    with right:
        st.subheader("Channels", anchor=False)
        parts.chart(
            charts.channel_bars(facts["channel_mean"], facts["channel_std"]),
            "channels",
            "Channel means and standard deviations",
        )
        st.caption(
            "Mean ± standard deviation of each channel, 0 is black and 1 full light. Training subtracts the one and divides by the other."
        )
    st.subheader("The mean picture of each class", anchor=False)
    averages = means(dataset.name, dataset.fingerprint)
    parts.tiles(
        [parts.Tile(m, str(n)[:24]) for m, n in zip(averages[:60], dataset.classes, strict=False)],
        "means",
        76,
        clickable=False,
    )
    st.caption(
        "Where these differ, even a linear model can tell the classes apart; where all look alike, it takes a CNN."
    )
    st.subheader("Original sizes", anchor=False)
    if len(facts["sizes"]) == 1:
        st.write("All are {width} × {height} pixels.".format(**facts["sizes"][0]))
    else:
        parts.chart(charts.size_scatter(facts["sizes"]), "sizes", "Widths and heights of the original pictures")
    st.caption(f"Source: {parts.text(dataset.source, 300)} Fingerprint {dataset.fingerprint}.")
    with st.expander("As a table"):
        st.dataframe([{"class": name, **row} for name, row in facts["classes"].items()], hide_index=True)


def take_along(dataset: data.Dataset) -> None:
    """The set as a ZIP, for small ones here and for big ones by the command."""

    def archive() -> bytes:
        file = io.BytesIO()
        data.export_dataset(dataset.name, file)
        return file.getvalue()

    with st.expander("Take it along", icon=":material/archive:"):
        st.caption("A ZIP of class folders with a table of labels and splits; it imports again as the same set.")
        if len(dataset.kept) <= MOST_TO_DOWNLOAD:
            st.download_button("Download the ZIP", archive, f"{dataset.name.partition(':')[0]}.zip", "application/zip")
        else:
            st.write(f"It has more than {MOST_TO_DOWNLOAD:,} pictures, so it goes through the command line:")
        st.code(f"python -m imgrec pack {dataset.name} --out {dataset.name.partition(':')[0]}.zip", language="bash")


def fetching() -> None:
    """Data sets to download: one row each, with progress while it comes; the page is drawn anew when one has come."""
    busy, brought = False, {job.name: job for job in jobs.bring_jobs()}
    for row in (row for row in data.list_datasets() if row.kind == "download" and not row.ready):
        name, about, control = st.columns([2, 5, 2], vertical_alignment="center")
        name.markdown(f"**{parts.text(row.title)}**")
        about.caption(f"{row.images:,} pictures, {row.classes} classes. {parts.text(row.note, 200)}")
        job = brought.get(row.name)
        if job and parts.live(job):
            state = job.state
            about.progress(
                min(1.0, float(state.get("progress") or 0.0)), parts.text(state.get("detail", "starting"), 120)
            )
            busy = True
            if control.button("Cancel", key=f"cancel {row.name}", width="stretch"):
                job.ask("stop")
        elif control.button("Download", key=f"fetch {row.name}", icon=":material/download:", width="stretch"):
            jobs.start_fetch(row.name)
            st.rerun()
        if job and job.status == "failed":
            about.error(parts.text(job.state.get("error", ""), 600))
    if st.session_state.get("fetching") and not busy:
        st.session_state["fetching"] = False
        st.rerun()
    st.session_state["fetching"] = busy


st.title("What is in the pictures?", anchor=False)
dataset = parts.dataset_picker()
samples(dataset)
figures(dataset)
take_along(dataset)
with st.expander("Download more data sets", icon=":material/download:"):
    st.caption("Well-known sets from their authors' servers, through torchvision. Nothing is fetched until you click.")
    st.fragment(fetching, run_every=1.0 if any(map(parts.live, jobs.bring_jobs())) else None)()
parts.link("mend", "What is wrong with it?", ":material/healing:", dataset=dataset.name)
parts.link("augment", "Next: preview augmentation", ":material/arrow_forward:", dataset=dataset.name)
