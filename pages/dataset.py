"""Data set: what is in it? Samples by class, counts, splits, sizes, channel statistics, mean pictures; fetching more."""

import io

import numpy as np
import streamlit as st

from imgrec import charts, data, jobs
from imgrec.data import health, inspection
from imgrec.data.dataset import LEFT_OUT, SPLITS
from imgrec.images import open_image
from pages import parts

MOST_TO_EXAMINE = 20_000  # pictures that are looked through without being asked; 1 to 2 s
MOST_TO_DOWNLOAD = 5000  # pictures in a ZIP that is made in memory while the visitor waits


@st.cache_data(show_spinner="Counting and measuring …", max_entries=12)
def report(name: str, fingerprint: str) -> dict:
    return inspection.overview(parts.open_dataset(name))


@st.cache_data(show_spinner=False, max_entries=12)
def means(name: str, fingerprint: str) -> np.ndarray:
    return inspection.class_means(parts.open_dataset(name))


@st.dialog("Picture", width="medium")
def show(dataset: data.Dataset, position: int) -> None:
    """One picture, large, with all that is known of it; in an imported set it can be corrected here."""
    picture, mask = dataset.images[position], dataset.masks
    side = st.columns(2) if mask is not None else [st.container()]
    side[0].image(large(dataset, position), width="stretch", alt=f"{dataset.files[position]}, enlarged")
    if mask is not None:
        seen = np.where(mask[position][..., None], picture, picture // 5)
        side[1].image(parts.enlarge(seen, 400), width="stretch", alt="Its mask")
        side[1].caption("Where the object is, known exactly because it was drawn.")
    width, height = dataset.sizes[position]
    st.markdown(
        f"**Label** {label(dataset, position)} · **Split** {SPLITS[dataset.splits[position]]} · "
        f"**Original** {width} × {height} px · **File** {parts.text(dataset.files[position])}"
    )
    st.caption(f"The network sees it at {dataset.image_size} × {dataset.image_size} pixels.")
    if editable(dataset):
        correct(dataset, (position,), "one")


def large(dataset: data.Dataset, position: int):
    """The original of an imported picture, at most 800 pixels a side; the enlarged pixels of a built-in one."""
    if not editable(dataset):
        return parts.enlarge(dataset.images[position], 400)
    original = open_image(data.original(dataset.name, position), dataset.files[position], at_least=800)
    original.thumbnail((800, 800))
    return parts.enlarge(np.asarray(original), 400)


def editable(dataset: data.Dataset) -> bool:
    """Whether it is a set of one's own: built-in ones stay as they are."""
    return bool(data.stamps(dataset.name))


def label(dataset: data.Dataset, position: int) -> str:
    return parts.text(dataset.classes[dataset.labels[position]])


def change(dataset: data.Dataset, edit: data.Edit) -> None:
    """Record an edit and draw the page anew, or say why not."""
    try:
        data.edit(dataset.name, edit)
    except (ValueError, OSError) as error:
        st.error(parts.text(error, 300))
    else:
        st.session_state["picked"] = set()
        st.rerun()


def correct(dataset: data.Dataset, pictures: tuple[int, ...], key: str) -> None:
    """Another label, another split, or out: for one picture or for all that are picked."""
    first, second, third = st.columns([3, 3, 2], vertical_alignment="bottom")
    with first:
        known = [" ".join(name.split()) for name in dataset.classes]
        name = st.selectbox("Label", known, None, key=f"label {key}", accept_new_options=True, placeholder="old or new")
        if st.button("Relabel", key=f"relabel {key}", icon=":material/label:", disabled=not name, width="stretch"):
            value = dataset.classes[known.index(name)] if name in known else name
            change(dataset, data.Edit("relabel", pictures, value))
    with second:
        split = st.selectbox("Split", SPLITS, None, key=f"split {key}", placeholder="train, validation or test")
        if st.button("Move", key=f"move {key}", icon=":material/swap_horiz:", disabled=not split, width="stretch"):
            change(dataset, data.Edit("move", pictures, split))
    if third.button("Leave out", key=f"exclude {key}", icon=":material/block:", width="stretch"):
        change(dataset, data.Edit("exclude", pictures))


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
    several = editable(dataset) and st.toggle(
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
            show(dataset, positions[clicked])
        else:
            picked ^= {positions[clicked]}
            st.rerun()
    picked &= set(dataset.kept.tolist()) if picked else set()
    if several and picked:
        st.caption(f"{len(picked)} picked")
        correct(dataset, tuple(sorted(picked)), "several")
    st.caption("Click a picture to pick it." if several else "Click a picture to see it large.")


def changes(dataset: data.Dataset) -> None:
    """Class names, pictures left out, and what was changed, the last of it to be undone."""
    done = data.history(dataset.name)
    with st.expander(f"Classes and changes ({len(done)})", icon=":material/edit:"):
        first, second, third = st.columns([3, 3, 2], vertical_alignment="bottom")
        index = first.selectbox(
            "Class", range(len(dataset.classes)), key="rename_old",
            format_func=lambda i: " ".join(dataset.classes[i].split()) if i < len(dataset.classes) else "",
        )  # fmt: skip
        name = second.text_input(
            "New name", key="rename_new", max_chars=100, help="The name of another class merges the two."
        )
        if third.button("Rename", icon=":material/label:", disabled=not name.strip(), width="stretch"):
            change(dataset, data.Edit("rename", value=name, old=dataset.classes[index]))
        out = np.flatnonzero(dataset.splits == LEFT_OUT)
        if len(out):
            st.caption(f"{len(out):,} left out; click one to take it back in.")
            clicked = parts.tiles(
                [parts.Tile(dataset.images[i], "", dataset.files[i]) for i in out[:60]], "left_out", 64
            )
            if clicked is not None and clicked < len(out):
                change(dataset, data.Edit("include", (int(out[clicked]),)))
        if done and st.button("Undo the last change", icon=":material/undo:"):
            data.undo(dataset.name)
            st.rerun()
        st.dataframe([{"when": edit.when, "what": edit.describe()} for edit in done[::-1][:200]], hide_index=True)
        st.caption("The import itself is never touched. A run that began before a change cannot be resumed after it.")


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


@st.cache_data(show_spinner="Looking for duplicates, leaks and odd pictures …", max_entries=12)
def examined(name: str, fingerprint: str) -> tuple[dict[str, list[np.ndarray]], list[dict]]:
    dataset = parts.open_dataset(name)
    measures = health.measure(dataset)
    return health.examine(dataset, measures), health.spurious(dataset, measures)


def problems(dataset: data.Dataset) -> None:
    """What may be wrong with the set: each kind with its pictures, and a button that leaves out what should go."""
    st.subheader("Anything odd?", anchor=False)
    if len(dataset.kept) > MOST_TO_EXAMINE and not st.toggle(
        "Look for odd pictures", help="Takes a while for so many."
    ):
        return
    findings, giveaways = examined(dataset.name, dataset.fingerprint)
    for row in giveaways:
        st.warning(
            f"The class {parts.text(row['class'])} can be told by its {row['property']} alone "
            f"({row['share']:.0%} of the variance lies between classes): a network may learn that instead of the thing."
        )
    for name, groups in findings.items():
        if groups:
            problem(dataset, name, groups)
    clean = [kind.title for name, kind in health.KINDS.items() if not findings[name]]
    if clean:
        st.markdown(f":material/check_circle: Looked for and not found: {', '.join(clean)}.")


def problem(dataset: data.Dataset, name: str, groups: list[np.ndarray]) -> None:
    """One kind of finding."""
    kind, count = health.KINDS[name], sum(map(len, groups))
    with st.expander(f"{count:,} {kind.title}", icon=":material/warning:"):
        st.write(kind.why)
        shown = [int(position) for group in groups for position in group][:48]
        tiles = [
            parts.Tile(
                dataset.images[i],
                f"{dataset.classes[dataset.labels[i]][:16]}, {SPLITS[dataset.splits[i]]}",
                dataset.files[i],
            )
            for i in shown
        ]
        clicked = parts.tiles(tiles, f"found {name}", 84)
        if clicked is not None and clicked < len(shown):
            show(dataset, shown[clicked])
        out = tuple(health.advised(name, groups, dataset.splits))
        if editable(dataset) and st.button(f"Leave out {len(out):,}", key=f"out {name}", icon=":material/block:"):
            change(dataset, data.Edit("exclude", out))


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
if editable(dataset):
    changes(dataset)
figures(dataset)
problems(dataset)
take_along(dataset)
with st.expander("Download more data sets", icon=":material/download:"):
    st.caption("Well-known sets from their authors' servers, through torchvision. Nothing is fetched until you click.")
    st.fragment(fetching, run_every=1.0 if any(map(parts.live, jobs.bring_jobs())) else None)()
parts.link("augment", "Next: preview augmentation", ":material/arrow_forward:", dataset=dataset.name)
