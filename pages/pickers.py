"""Shared: boxes to choose a data set, a run or a model, whose choice is kept in the address, and opening what was chosen."""

from __future__ import annotations

import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import lru_cache

import streamlit as st

from imgrec import data
from imgrec.language import tr
from imgrec.run_table import rows
from imgrec.runs import Run, RunError, list_runs, open_run, usable_runs
from pages import parts

ON_THE_WAY = 1  # second in which a browser may still send the address from before the last change
STAMPED = re.compile(r"(\d{4})-(\d\d-\d\d)_(\d\d)(\d\d)(\d\d)_(.+)")  # what `create_run` calls a run
MOST_ALIKE = 300  # newest runs that are looked through for those of the same classes


def open_dataset(name: str, size: int = 0, resize: str = "crop", channels: int = 0) -> data.Dataset:
    """The data set as it is now, opened once for all visitors until somebody changes it."""
    asked = (name, size, resize, channels, data.stamps(name))
    with nullcontext() if asked in _opened_before else st.spinner(tr("Opening the data set …")):
        dataset = _opened(*asked)
    if len(_opened_before) > 1000:
        _opened_before.clear()
    _opened_before.add(asked)
    return dataset


_opened_before: set[tuple] = set()


@st.cache_resource(max_entries=6, show_spinner=False)
def _opened(name: str, size: int, resize: str, channels: int, stamps: tuple[int, ...]) -> data.Dataset:
    return data.open_dataset(name, size, resize, channels)


def address_box(label: str, names: Sequence[str], key: str, help: str, called: Callable[[str], str] = str) -> str:
    """A box whose choice is kept in the address as ?key=…, so that a link, a reload and the back button show the same;
    ``called`` gives what a name is called in it."""
    asked, shown = st.query_params.get(key), f"{key} in the address"
    before, now = st.session_state.get(shown), st.session_state.get(key)
    wanted = (asked, now, before) if asked != before else (now, before)
    # set in any case: after a link the box would show its first, whatever was kept of it
    st.session_state[key] = next(name for name in (*wanted, *names) if name in names)
    chosen = st.selectbox(label, names, key=key, help=help, format_func=called, persist_state="session")
    st.query_params[key] = st.session_state[shown] = chosen
    return chosen


def is_new(what: str, asked: object) -> bool:
    """Whether the address asks for something that was not written there from here, and was not a moment ago either: what a
    browser sends may be from before the last change."""
    now, said = time.monotonic(), st.session_state.get(f"{what} in the address", [])
    return bool(said or asked) and not any(asked == old and now < until for old, until in said)


def written(what: str, now_there: object) -> None:
    """Remember what the address says now, and what it said a moment ago."""
    name, now = f"{what} in the address", time.monotonic()
    said = [
        (old, min(until, now + ON_THE_WAY))
        for old, until in st.session_state.get(name, [])
        if now < until and old != now_there
    ]
    st.session_state[name] = [*said, (now_there, math.inf)]


def address_choice(label: str, options: Sequence[str], key: str, name: str, first: str, **more) -> str:
    """Options side by side, beginning with ``first``; the chosen one is kept in the address as ?name=…"""
    asked = st.query_params.get(name)
    if asked in options and is_new(name, asked):
        st.session_state[key] = asked
    st.session_state.setdefault(key, first)
    chosen = st.segmented_control(label, options, required=True, key=key, format_func=tr, persist_state="session", **more)  # fmt: skip
    st.query_params[name] = chosen
    written(name, chosen)
    return chosen


def dataset_picker(help: str = "", labelled: bool = True, broken: Callable[[str], None] | None = None) -> data.Dataset:
    """A box to choose a data set, kept in the address as ?dataset=…; opens it, or says why not and stops the page.

    With ``labelled`` the page also stops at a set in which no picture has a label yet. ``broken`` draws what can be done
    about a stored set that cannot be opened.
    """
    ready = {row.name: row for row in data.list_datasets() if row.ready}
    asked = (st.query_params.get("dataset"), st.session_state.get("dataset"))  # perhaps shapes with options
    names = list(dict.fromkeys([*ready, *filter(None, asked)]))
    chosen = address_box(tr("Data set"), names, "dataset", help or tr("The pictures to look at."))
    if chosen.partition(":")[0] == "shapes":
        shapes_options()
    try:
        dataset = open_dataset(chosen)
    except ValueError as error:
        st.error(parts.text(error, 400))
        if broken and any((row.name, row.kind) == (chosen, "imported") for row in data.list_datasets()):
            broken(chosen)
        st.stop()
    row = ready.get(chosen.partition(":")[0])
    st.caption(
        tr(
            "{title}: {kept}, {classes}; {unlabelled:,} more wait for a label"
            if len(dataset.unlabelled)
            else "{title}: {kept}, {classes}",
            title=parts.text(tr(row.title)) if row else parts.text(chosen),
            kept=parts.pictures(len(dataset.kept)),
            classes=parts.classes(len(dataset.classes)),
            unlabelled=len(dataset.unlabelled),
        )
    )
    if labelled and not len(dataset.kept):
        st.info(tr("None of its pictures has a label yet, so there is nothing to learn from."))
        parts.link("label", "Give them labels", ":material/label:", dataset=chosen)
        st.stop()
    return dataset


def shapes_options() -> None:
    """How hard and how large the drawn shapes are; a change goes into the data set's name and so into the address."""
    from imgrec.data import shapes
    from imgrec.recipe import RecipeError, parse_options

    try:
        given = shapes.parse(parse_options(st.session_state["dataset"].partition(":")[2]))
    except RecipeError:
        given = {}

    def rename() -> None:
        st.session_state["dataset"] = shapes.name(
            **{**given, "size": st.session_state["shapes_size"], "difficulty": st.session_state["shapes_difficulty"]}
        )

    left, right = st.columns(2)
    difficulty = given.get("difficulty", shapes.OPTIONS["difficulty"].default)
    left.slider(
        tr("Difficulty"),
        0.0,
        1.0,
        difficulty,
        0.1,
        key="shapes_difficulty",
        on_change=rename,
        help=tr(shapes.OPTIONS["difficulty"].help),
    )
    sizes = sorted({32, 48, 64, 96, 128, given.get("size", 32)})
    right.select_slider(
        tr("Size in pixels"),
        sizes,
        given.get("size", 32),
        key="shapes_size",
        on_change=rename,
        help=tr(shapes.OPTIONS["size"].help),
    )


def run_picker(
    usable: bool = False, label: str = "", trained_on: str = "", first: str = "", only: bool = False, here: bool = False
) -> Run | None:
    """A box to choose a run, newest first, kept in the address as ?run=…; None when there is none.

    Those that learned from the data set ``trained_on`` come before the others, or ``only`` those come; of those that come
    with imgrec the ones whose pictures are ``here`` come first; the run named ``first`` comes before all.
    """
    runs = usable_runs() if usable else list_runs()
    if trained_on:
        learned = runs_of(trained_on)
        runs.sort(key=lambda run: run.name not in learned)
        if only:
            asked = st.query_params.get("run")
            if asked not in learned and any(run.name == asked for run in runs):
                del st.query_params["run"]  # of the data set that was chosen before
            runs = [run for run in runs if run.name in learned]
    if here:
        runs.sort(key=lambda run: run.bundled and not data.is_here(run.recipe.dataset))
    runs.sort(key=lambda run: run.name != first)
    names = [run.name for run in runs]
    if not names:
        return None
    if st.query_params.get("run", names[0]) not in names:
        st.warning(
            tr("There is no run named {run} to show here; this is another one.", run=parts.text(st.query_params["run"]))
        )
    help = tr("Each training is kept as a run.")
    return open_run(address_box(label or tr("Run"), names, "run", help, run_labels(names)))


def run_label(name: str, exact: bool = False) -> str:
    """A run's name as people look for it: first what learned from what, for a phone cuts off the end, then the day and the
    minute, or ``exact`` the year and the second, too. Names that people gave are left alone."""
    found = STAMPED.fullmatch(name)
    if not found:
        return name
    year, day, hour, minute, second, what = found.groups()
    return f"{what} · {year}-{day} {hour}:{minute}:{second}" if exact else f"{what} · {day} {hour}:{minute}"


def run_labels(names: Sequence[str]) -> Callable[[str], str]:
    """What gives the label of each of these runs; where two would look alike, it is exact."""
    short = {name: run_label(name) for name in names}
    often = Counter(short.values())
    labels = {name: label if often[label] == 1 else run_label(name, exact=True) for name, label in short.items()}
    return lambda name: labels.get(name, name)


def model_picker(label: str = "", first: str = "", here: bool = False):
    """The box of `run_picker` for runs that can classify: the run and its Predictor; the page ends here without one."""
    run = run_picker(usable=True, label=label or tr("Model"), first=first, here=here)
    if run is None:
        st.info(tr("No trained model yet. Train one first; the digits take well under a minute."))
        parts.link("train", "Train a network", ":material/arrow_forward:", dataset="digits")
        st.stop()
    try:
        run.recipe  # noqa: B018  unreadable: said here, once
    except RunError as error:
        st.error(parts.text(error, 400))
        st.stop()
    return run, network(run.name) or st.stop()


def network(names: str):
    """The network of a run, or of several with commas between; None once it was said why it cannot be opened."""
    from imgrec.predict import open_network  # brings torch in, which other pages do without

    try:
        return open_network(names)
    except (ValueError, OSError) as error:
        st.error(parts.text(error, 400))
        return None


def alike(run: Run, model) -> list[tuple[str, dict]]:
    """The other runs, among the newest, that tell the same classes apart: name and passport."""
    found = []
    for other in usable_runs()[:MOST_ALIKE]:
        with suppress(OSError):  # deleted just now
            given = _passport(other, os.stat(other.path).st_mtime_ns)
            if other != run and sorted(given.get("classes", [])) == sorted(model.classes):
                found.append((other.name, given))
    return found


@lru_cache(2 * MOST_ALIKE)
def _passport(run: Run, changed: int) -> dict:
    """What a run says of its classes; ``changed`` is when its folder did."""
    return run.read("classes.json")


def runs_of(dataset: str) -> set[str]:
    """The names of all runs that learned from the data set of that name, whatever its options."""
    return {row["run"] for row in rows() if str(row.get("dataset")).partition(":")[0] == dataset.partition(":")[0]}
