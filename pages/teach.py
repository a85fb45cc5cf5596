"""Teach: how do I teach a machine to tell things apart? Show them, train, try it out: three steps side by side."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import streamlit as st

from imgrec import coach, data, jobs
from imgrec.data import uploads
from imgrec.home import mend_name
from imgrec.language import mark, tr
from imgrec.recipe import Recipe
from imgrec.runs import LIVE, Run, RunError, open_run
from pages import answers, drafts, editing, film, live, live_run, parts, visitors

FEWEST, MOST, SHOWN = 10, 500, 8  # pictures of a class: below which more are advised; kept from the camera; seen
WAYS = (mark("Camera"), mark("A picture"))
SOURCES = (("camera", mark("Camera"), ":material/videocam:"), ("files", mark("Files"), ":material/upload:"))


def taught(run: Run | None) -> data.Dataset | None:
    """The data set that the pictures go into, once there is one. An import of it that is under way is followed, also after a
    reload."""
    name = remembered("dataset") or (run.recipe.dataset if run else "")
    job = jobs.bring_folder(name)
    if mend_name(name) == name and job.file("state.json").exists() and parts.live(job):
        st.session_state["teach_pending"] = name, job.state["created"]
    if any(row.name == name and row.kind == "imported" and row.ready for row in data.list_datasets()):
        note(dataset=name)
        st.session_state["teach_form"] = name
        return parts.open_dataset(name)
    st.session_state["teach_form"] = ""
    if not importing():
        st.session_state["teach_dataset"] = ""
        st.query_params.pop("dataset", None)
    return None


def last_run() -> Run | None:
    """The last training, if it can be read."""
    try:
        run = open_run(remembered("run"))
        return run if run.recipe else None
    except RunError:
        return None


def remembered(name: str) -> str:
    """What the address names, or what it named when this page was left by the menu."""
    kept = st.query_params.get(name) or st.session_state.get(f"teach_{name}", "")
    note(**{name: kept})
    return kept


def note(**names: str) -> None:
    """Keep names in the address and for the way back."""
    for name, value in names.items():
        st.session_state[f"teach_{name}"] = value
        if value:
            st.query_params[name] = value


def anew() -> None:
    """Begin with other things; what was taught stays on the pages Data set and Runs."""
    forget()
    for name in ("dataset", "run", "tried"):
        st.session_state[f"teach_{name}"] = ""
        st.query_params.pop(name, None)


def forget() -> None:
    """Empty the form."""
    for kept in [kept for kept in st.session_state if str(kept).startswith(f"teach {turn()} ")]:
        del st.session_state[kept]
    st.session_state["teach_turn"] = turn() + 1
    st.session_state["teach_source"] = None


def turn() -> int:
    return st.session_state.get("teach_turn", 0)


def key(name: object) -> str:
    """The key of a form field; every import begins with fresh ones, and so does every data set."""
    return f"teach {turn()} {st.session_state.get('teach_form', '')} {name}"


def show_them(dataset: data.Dataset | None, busy: bool) -> list[tuple[str, list[uploads.Loose]]]:
    """The classes, in the order in which they came; gives the name of each and its pictures that are new."""
    first = {name: int(np.argmax(dataset.labels == i)) for i, name in enumerate(dataset.classes)} if dataset else {}
    known = sorted(first, key=lambda name: first[name])
    extra = st.session_state.setdefault(key("extra"), max(0, 2 - len(known)))
    found = []
    for number in range(len(known) + extra):
        with st.container(border=True):
            label = known[number] if number < len(known) else None
            found.append(
                one_class(number, f"new {number - len(known)}" if label is None else label, label, dataset, busy)
            )
    with st.container(horizontal=True):
        if st.button(tr("Another class"), icon=":material/add:", key="teach_more", disabled=importing()):
            st.session_state[key("extra")] = extra + 1
            st.rerun()
        if known:
            st.button(
                tr("Begin anew"), icon=":material/refresh:", key="teach_anew", on_click=anew, disabled=importing()
            )
        if dataset and data.history(dataset.name):
            back = st.button(tr("Undo the last change"), icon=":material/undo:", key="teach_undo", disabled=busy)
            if back:
                data.undo(dataset.name)
                st.rerun()
    return found


def importing() -> bool:
    """Whether what was shown is on its way; nothing joins it meanwhile."""
    return bool(st.session_state.get("teach_pending"))


def one_class(
    number: int, slot: str, label: str | None, dataset: data.Dataset | None, busy: bool
) -> tuple[str, list[uploads.Loose]]:
    """One class: its name, which stays once the network has learned it, and its new pictures; ``slot`` is its own, wherever
    it stands."""
    known = label is not None
    if not known:
        label = st.text_input(
            tr("Class {number}", number=number + 1), key=key(f"label {slot}"), placeholder=tr("such as cat"),
            max_chars=100, persist_state="session", disabled=importing(),
        )  # fmt: skip
        label = " ".join(label.split())
    else:
        title(dataset, label, busy)
    shots = st.session_state.setdefault(key(f"shots {slot}"), [])
    opened = source(number)
    if opened == "camera":
        st.session_state["teach_filmed"] = True
        film.record(f"teach_film {number}", lambda came: shots.extend(came[: MOST - len(shots)]))
        st.caption(tr("Hold it for eight seconds or more, and move it meanwhile: near and far, from all sides."))
    elif opened == "files":
        film.files(key(f"files {slot}"), shots, MOST)
    film.taken(shots, key(f"taken {slot}"), SHOWN)
    there, new = known_pictures(dataset, label, busy) if known else 0, len(shots)
    st.caption(
        tr("{pictures}, {n} of them new", pictures=parts.pictures(there + new), n=new)
        if there and new
        else parts.pictures(there + new)
    )
    return label, film.loose(shots, label)


def title(dataset: data.Dataset, label: str, busy: bool) -> None:
    """The name of a class that the network has learned, and what can be done with it."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{parts.text(label)}**", width="content")
        with st.popover("", icon=":material/edit:", help=tr("Rename the class or take it out"), disabled=busy):
            name = st.text_input(tr("New name"), label, key=key(f"rename {label}"), max_chars=100)
            name = " ".join(name.split())
            if st.button(
                tr("Rename"),
                icon=":material/label:",
                key=key(f"renamed {label}"),
                disabled=name in ("", *dataset.classes),
            ):
                st.session_state[key(f"shots {name}")] = st.session_state.pop(key(f"shots {label}"), [])
                editing.change(dataset, data.Edit("rename", value=name, old=label))
            if st.button(tr("Take the class out"), icon=":material/block:", key=key(f"out {label}")):
                editing.change(dataset, data.Edit("exclude", tuple(of_class(dataset, label).tolist())))


def of_class(dataset: data.Dataset, label: str) -> np.ndarray:
    """The pictures of a class that are not left out."""
    return dataset.kept[dataset.labels[dataset.kept] == dataset.classes.index(label)]


def source(number: int) -> str:
    """The buttons that open the camera or a box for files, for one class at a time; gives which is open."""
    opened = st.session_state.get("teach_source")
    with st.container(horizontal=True):
        for kind, label, icon in SOURCES:
            shown = opened == (number, kind)
            if st.button(
                tr("Close") if shown else tr(label),
                icon=":material/close:" if shown else icon,
                key=f"teach_{kind} {number}",
                disabled=importing(),
            ):
                st.session_state["teach_source"] = None if shown else (number, kind)
                st.rerun()
    return opened[1] if opened and opened[0] == number else ""


def known_pictures(dataset: data.Dataset, label: str, busy: bool) -> int:
    """Show the latest pictures that a class has already, of which a click takes one out; gives how many there are."""
    where = of_class(dataset, label)
    latest = where[::-1][:SHOWN].tolist()
    clicked = parts.tiles(
        [parts.Tile(dataset.images[i], "", dataset.files[i]) for i in latest], key(f"known {label}"), 48, clickable=not busy
    )  # fmt: skip
    if not busy:
        st.caption(tr("The latest {n}. A click takes one out.", n=len(latest)))
    if clicked is not None and clicked < len(latest):
        editing.change(dataset, data.Edit("exclude", (latest[clicked],)))
    return len(where)


def missing(dataset: data.Dataset | None, shown: list[tuple[str, list[uploads.Loose]]]) -> str:
    """What has to be done before it can be trained, or empty."""
    known = dataset.classes if dataset else ()
    names = [label for label, _ in shown if label]
    twice = next((name for name in names if names.count(name) > 1), "")
    empty = next((label for label, new in shown if label and not new and label not in known), "")
    if any(new and not label for label, new in shown):
        return tr("Give every class with pictures a name.")
    if twice:
        return tr("Two classes are called {name}.", name=parts.text(twice))
    if len([label for label, new in shown if new or label in known]) < 2:
        return tr("Show it at least two things.")
    return tr("{name} has no pictures yet; show some, or empty its name.", name=parts.text(empty)) if empty else ""


def train(
    dataset: data.Dataset | None, shown: list[tuple[str, list[uploads.Loose]]], run: Run | None, busy: bool
) -> None:
    """The button, and how far it is."""
    lacking, new = missing(dataset, shown), [picture for _, pictures in shown for picture in pictures]
    if st.button(
        tr("Train again") if run else tr("Train"), type="primary", icon=":material/model_training:", key="teach_train",
        disabled=bool(lacking) or busy, width="stretch",
    ):  # fmt: skip
        try:
            bring(dataset, new) if new else begin(dataset.name)
        except (ValueError, RuntimeError, OSError) as error:
            st.error(parts.text(error, 400))
        else:
            st.session_state["teach_source"] = None
            st.rerun()
    if lacking:
        st.caption(lacking)
    elif (fewest := smallest(dataset, new)) < FEWEST:
        words = tr("The smallest class has {pictures}; a dozen or more work better.", pictures=parts.pictures(fewest))
        st.caption(words)
    film.alike([label for label, new_ones in shown if label and new_ones], dataset.classes if dataset else ())
    st.fragment(progress, run_every=1.0 if busy else None)(run)
    if refused := st.session_state.get("teach_refused"):
        with st.expander(tr("Why {refused:,} were rejected", refused=len(refused))):
            parts.table(refused)


def smallest(dataset: data.Dataset | None, new: Sequence[uploads.Loose]) -> int:
    """How many pictures the class with the fewest has."""
    counts = {name: sum(row.values()) for name, row in dataset.counts().items()} if dataset else {}
    for picture in new:
        counts[picture.label] = counts.get(picture.label, 0) + 1
    return min(counts.values())


def bring(dataset: data.Dataset | None, new: list[uploads.Loose]) -> None:
    """Begin to import what is new; the training begins once it is there."""
    name = dataset.name if dataset else free_name([picture.label for picture in new])
    job = jobs.start_import(uploads.bundle(new), name, adding=dataset is not None)
    st.session_state["teach_pending"] = name, job.state["created"]
    if not dataset:
        st.query_params["dataset"] = name  # for a reload; the form stays this one's until it is there


def free_name(labels: Sequence[str]) -> str:
    """A name for a data set of these classes that none has or is about to have."""
    name = mend_name("-".join(dict.fromkeys(labels))[:40]) or "taught"
    for number in range(1, 1000):
        with suppress(ValueError):
            free = data.check_free(name if number == 1 else f"{name}-{number}")
            job = jobs.bring_folder(free)
            if not (job.file("state.json").exists() and parts.live(job)):
                return free
    return data.check_free(name)  # which says why not


def begin(name: str) -> None:
    """Start to train with a set. Raises what `jobs.start` raises."""
    preset = coach.few_preset(parts.open_dataset(name).channels)
    note(dataset=name, run=jobs.start(Recipe.from_values({"dataset": name}, preset), visitors.visitor()).name)


def progress(run: Run | None) -> None:
    """How far the import is, and after it the training, which begins by itself."""
    if importing():
        name, created = st.session_state["teach_pending"]
        coming(jobs.bring_folder(name), created)
    elif run is not None:
        learning(run)


def coming(job: Run, created: float) -> None:
    """An import under way; once it is done, the training is started."""
    status = job.status if job.state.get("created") == created else "lost"  # or it is another's of that name
    if status in LIVE:
        st.progress(min(1.0, float(job.state.get("progress") or 0.0)), tr("Looking at the pictures …"))
        if st.button(tr("Cancel"), key="teach_cancel", disabled=job.asked() is not None):
            job.ask("stop")
        return
    st.session_state["teach_pending"] = None
    if status == "finished":
        st.session_state["teach_refused"] = job.read("report.json").get("rejected", [])
        forget()
        note(dataset=job.name)
        try:
            begin(job.name)
        except (ValueError, RuntimeError, OSError) as error:
            st.session_state["teach_error"] = parts.text(error, 400)
    elif status != "stopped":
        reason = (status == "failed" and job.state.get("error")) or tr("its process vanished; nothing of it was kept. Start it again.")  # fmt: skip
        st.session_state["teach_error"] = parts.text(reason, 400)
    st.rerun()


def learning(run: Run) -> None:
    """A training: how far it is, then how good it became."""
    state, status = run.state, run.status
    if status in LIVE:
        st.session_state["teach_watched"] = run.name
        epoch, total = min(run.recipe.epochs, state.get("epoch", 0) + 1), run.recipe.epochs
        st.progress(min(1.0, float(state.get("progress") or 0.0)), tr("Epoch {epoch} of {total}", epoch=epoch, total=total))  # fmt: skip
        if visitors.may_change(run) and st.button(tr("Stop"), key="teach_stop", disabled=run.asked() is not None):
            with suppress(RunError):  # it has ended by now
                jobs.stop(run.name)
    elif st.session_state.pop("teach_watched", "") == run.name:
        st.rerun()  # the network can be tried now
    me = visitors.visitor()
    if status == "stopped" and not run.usable:
        st.info(tr("It was stopped before its first epoch had ended."))
        return
    for kind, _, words in live_run.news(run, status, state, me.visitor if me else ""):
        getattr(st, kind)(parts.text(words, 400))
    if evaluation := run.read("evaluation.json"):
        n, accuracy = evaluation["images"], evaluation["accuracy"]
        st.markdown(
            tr("**{right} of {n}** pictures right that it never saw: {accuracy:.0%}.", right=round(n * accuracy), n=n, accuracy=accuracy)
        )  # fmt: skip
        untested(run)
    elif status == "finished":
        st.caption(tr("There were too few pictures to keep some apart for a test; show more, in several goes."))
    if status not in LIVE:
        parts.link("train", "How it learned", ":material/show_chart:", run=run.name, dataset=run.recipe.dataset)
        parts.link("evaluate", "Where it errs", ":material/analytics:", run=run.name)


def untested(run: Run) -> None:
    """Say of which classes no picture was kept apart for the test."""
    with suppress(ValueError):
        counts = parts.open_dataset(run.recipe.dataset).counts()
        names = [name for name, row in counts.items() if not row["test"]]
        if names:
            words = tr("Not tested: {names}. Show more, in several goes.", names=", ".join(map(parts.text, names)))
            st.warning(words, icon=":material/warning:")


def usable(run: Run | None) -> Run | None:
    """The network to try: of the last training, or until that can be tried of the one before."""
    if run is not None and run.usable:
        st.session_state["teach_tried"] = run.name
        return run
    try:
        before = open_run(st.session_state.get("teach_tried", ""))
    except RunError:
        return None
    return before if before.usable and run is not None and before.recipe.dataset == run.recipe.dataset else None


def try_it(run: Run | None) -> None:
    """What the network says of the camera's picture or of another one."""
    if run is None:
        st.info(tr("What it says appears here once it is trained."), icon=":material/hourglass_empty:")
        return
    model = parts.network(run.name)
    if model is None:
        return
    way = st.segmented_control(
        tr("Try it with"), WAYS, default=WAYS[0 if st.session_state.get("teach_filmed") else 1], required=True, key="teach_way", format_func=tr, persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    shown = min(5, len(model.classes))
    if (
        way == "Camera" and (st.session_state.get("teach_source") or ("", ""))[1] == "camera"
    ):  # one at a time, as on a phone
        st.caption(tr("The camera rests here while you show something; close that, or train."))
    elif way == "Camera":
        live.show(model, 1.0, shown)
    else:
        file = parts.upload_box(tr("Drop a picture here"), "teach_picture", many=False)
        if file:
            [result] = model.classify([(file.name, file.getvalue())])
            if result.error:
                st.error(parts.text(result.error, 300))
            else:
                parts.image(result.seen, tr("The picture as the network saw it"), 160)
                answers.bars(model, result, shown)
    parts.link("predict", "Why does it say so?", ":material/image_search:", run=run.name)
    parts.link("export", "Take it along", ":material/package_2:", run=run.name)


st.title(tr("How do I teach a machine to tell things apart?"), anchor=False)
st.write(
    tr(
        "Name two things or more, show each to the camera for some seconds, and train. It begins with a network that knows "
        "ten things already and learns yours in seconds."
    )
)
drafts.restore("teach", f"teach {turn()} ")
run = last_run()
dataset = taught(run)
busy = importing() or (run is not None and parts.live(run))  # and the pictures stay as they are
if error := st.session_state.pop("teach_error", ""):
    st.error(error)
st.html(
    "<style>@media (min-width: 800px) { .st-key-teach_middle, .st-key-teach_end { position: sticky; top: 4rem; } }</style>"
)
first, second, third = st.columns([4, 3, 4], gap="medium")
with first:
    st.subheader(tr("1. Show"), anchor=False)
    shown = show_them(dataset, busy)
with second, st.container(key="teach_middle"):
    st.subheader(tr("2. Train"), anchor=False)
    train(dataset, shown, run, busy)
with third, st.container(key="teach_end"):
    st.subheader(tr("3. Try"), anchor=False)
    try_it(usable(run))
drafts.keep("teach", f"teach {turn()} ")
