"""Teach: how do I teach a machine to tell things apart? Show them, train, try it out: three steps side by side."""

from collections.abc import Sequence
from contextlib import suppress

import streamlit as st

from imgrec import background, coach, data, trainings
from imgrec.data import uploads
from imgrec.home import mend_name
from imgrec.jobs import LIVE
from imgrec.language import listed, mark, tr
from imgrec.recipe import Recipe
from imgrec.runs import Run, RunError, open_run
from pages import answers, classes, drafts, film, live, live_run, parts, pickers, thumbnails, transfers, visitors

FEWEST = 10  # pictures of a class, below which more are advised
WAYS = (mark("Camera"), mark("A picture"))


def taught(run: Run | None, named: str) -> data.Dataset | None:
    """The data set that the pictures go into, once there is one: the one ``named``, or where that is none, the last one. An
    import of it that is under way is followed, also after a reload."""
    ready = {row.name for row in data.list_datasets() if row.kind == "imported" and row.ready}
    for name in filter(None, (named, st.session_state.get("teach_dataset"), run.recipe.dataset if run else "")):
        job = background.bring_folder(name)
        if mend_name(name) == name and job.file("state.json").exists() and parts.live(job):
            st.session_state["teach_pending"] = name, job.state["created"]
        if name in ready:
            note(dataset=name)
            st.session_state["teach_form"] = name
            return pickers.open_dataset(name)
    st.session_state["teach_form"] = ""
    if not classes.importing():
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
    classes.forget()
    for name in ("dataset", "run", "tried"):
        st.session_state[f"teach_{name}"] = ""
        st.query_params.pop(name, None)


def called(old: str, new: str) -> None:
    """What the visitor's networks say of a class that has another name from now on."""
    from imgrec.evaluate import amend  # brings torch in, which the page does without until there is a network

    for name in {st.session_state.get("teach_run"), st.session_state.get("teach_tried")}:
        with suppress(ValueError, OSError):  # gone, or another's
            run = open_run(name or "")
            names = run.classes if run.usable and visitors.may_change(run) else ()
            if old in names and new not in names:
                amend(run, None, classes=tuple(new if label == old else label for label in names))


def train(dataset: data.Dataset | None, shown: classes.Shown, run: Run | None, busy: bool) -> None:
    """The button, and how far it is."""
    lacking, new = classes.missing(dataset, shown), [picture for _, pictures in shown for picture in pictures]
    if st.button(
        tr("Train again") if run else tr("Train"), type="primary", icon=":material/model_training:", key="teach_train",
        disabled=bool(lacking) or busy, width="stretch",
    ):  # fmt: skip
        with parts.refusals():
            bring(dataset, new) if new else begin(dataset.name)
            st.session_state["teach_source"] = None
            st.rerun()
    if lacking:
        st.caption(lacking)
    elif (fewest := classes.smallest(dataset, new)) < FEWEST:
        words = tr("The smallest class has {pictures}; a dozen or more work better.", pictures=parts.pictures(fewest))
        st.caption(words)
    film.alike([label for label, new_ones in shown if label and new_ones], dataset.classes if dataset else ())
    st.fragment(progress, run_every=1.0 if busy else None)(run)
    if refused := st.session_state.get("teach_refused"):
        with st.expander(tr("Rejected: {refused:,}", refused=len(refused))):
            parts.table(refused)


def bring(dataset: data.Dataset | None, new: list[uploads.Loose]) -> None:
    """Begin to import what is new; the training begins once it is there."""
    name = dataset.name if dataset else free_name([picture.label for picture in new])
    job = background.start_import(uploads.bundle(new), name, adding=dataset is not None, owner=visitors.visitor())
    st.session_state["teach_pending"] = name, job.state["created"]
    if not dataset:
        st.query_params["dataset"] = name  # for a reload; the form stays this one's until it is there


def free_name(labels: Sequence[str]) -> str:
    """A name for a data set of these classes that none has or is about to have."""
    name = mend_name("-".join(dict.fromkeys(labels))[:40]) or "taught"
    for number in range(1, 1000):
        with suppress(ValueError):
            free = data.check_free(name if number == 1 else f"{name}-{number}")
            job = background.bring_folder(free)
            if not (job.file("state.json").exists() and parts.live(job)):
                return free
    return data.check_free(name)  # which says why not


def begin(name: str) -> None:
    """Start to train with a set. Raises what `trainings.start` raises."""
    preset = coach.few_preset(pickers.open_dataset(name).channels)
    note(dataset=name, run=trainings.start(Recipe.from_values({"dataset": name}, preset), visitors.visitor()).name)


def progress(run: Run | None) -> None:
    """How far the import is, and after it the training, which begins by itself."""
    if classes.importing():
        name, created = st.session_state["teach_pending"]
        coming(background.bring_folder(name), created)
    elif run is not None:
        learning(run)


def coming(job: Run, created: float) -> None:
    """An import under way; once it is done, the training is started."""
    status = job.status if job.state.get("created") == created else "lost"  # or it is another's of that name
    if status in LIVE:
        st.progress(min(1.0, float(job.state.get("progress") or 0.0)), tr("Looking at the pictures …"))
        if st.button(tr("Cancel"), key="teach_cancel", disabled=job.asked() is not None):
            job.ask("stop")
            st.session_state["teach_cancelled"] = created
        return
    st.session_state["teach_pending"] = None
    late = st.session_state.pop("teach_cancelled", None) == created and status == "finished"
    if status == "finished":
        st.session_state["teach_refused"] = job.read("report.json").get("rejected", [])
        classes.forget()
        note(dataset=job.name)
        try:
            if not late:
                begin(job.name)
        except (ValueError, RuntimeError, OSError) as error:
            st.session_state["teach_error"] = parts.text(error, 400)
    elif status != "stopped":
        reason = (status == "failed" and job.state.get("error")) or tr("its process vanished; nothing of it was kept. Start it again.")  # fmt: skip
        st.session_state["teach_error"] = parts.text(reason, 400)
    if late:
        st.session_state["teach_late"] = True
    st.rerun()


def learning(run: Run) -> None:
    """A training: how far it is, then how good it became."""
    state, status = run.state, run.status
    if status in LIVE:
        st.session_state["teach_watched"] = run.name
        epoch, total = min(run.recipe.epochs, state.get("epoch", 0) + 1), run.recipe.epochs
        if status != "waiting":  # it is said below behind whom
            st.progress(min(1.0, float(state.get("progress") or 0.0)), tr("Epoch {epoch} of {total}", epoch=epoch, total=total))  # fmt: skip
        if visitors.may_change(run) and st.button(tr("Stop"), key="teach_stop", disabled=run.asked() is not None):
            with suppress(RunError):  # it has ended by now
                trainings.stop(run.name)
    elif st.session_state.pop("teach_watched", "") == run.name:
        st.rerun()  # the network can be tried now
    if status == "stopped" and not run.usable:
        st.info(tr("It was stopped before its first epoch had ended."))
        return
    for kind, _, words in live_run.news(run, status, state, visitors.me()):
        getattr(st, kind)(parts.text(words, 400))
    if evaluation := run.read("evaluation.json"):
        n, accuracy = evaluation["images"], evaluation["accuracy"]
        st.markdown(
            tr("**{right} of {n}** pictures right that it never saw: {accuracy:.0%}.", right=round(n * accuracy), n=n, accuracy=accuracy)
        )  # fmt: skip
        if accuracy <= evaluation["majority_accuracy"]:
            st.warning(
                tr(
                    "That is no better than always saying the same: show them so that they look different, from all sides."
                )
            )
        st.caption(tr("They were taken where and when those were that it learned from; try it elsewhere, too."))
        untested(run)
    elif status == "finished":
        st.caption(tr("There were too few pictures to keep some apart for a test; show more, in several goes."))
    if status not in LIVE:
        parts.link("train", "How it learned", ":material/show_chart:", run=run.name, dataset=run.recipe.dataset)
        parts.link("evaluate", "Where it errs", ":material/analytics:", run=run.name)


def untested(run: Run) -> None:
    """Say of which classes no picture was kept apart for the test."""
    with suppress(ValueError):
        counts = pickers.open_dataset(run.recipe.dataset).counts()
        names = [name for name, row in counts.items() if not row["test"]]
        if names:
            words = tr("Not tested: {names}. Show more, in several goes.", names=listed(map(parts.text, names)))
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
    model = pickers.network(run.name)
    if model is None:
        return
    first = WAYS[0 if st.session_state.get("teach_filmed") else 1]
    way = pickers.address_choice(tr("Try it with"), WAYS, "teach_way", "try", first, label_visibility="collapsed")
    shown = min(5, len(model.classes))
    if (
        way == "Camera" and (st.session_state.get("teach_source") or ("", ""))[1] == "camera"
    ):  # one at a time, as on a phone
        st.caption(tr("The camera rests here while you show something; close that, or train."))
    elif way == "Camera":
        live.show(model, 1.0, shown)
    else:
        file = transfers.upload_box(tr("Choose a picture, or drop it here"), "teach_picture", many=False)
        if file:
            [result] = model.classify([(file.name, file.getvalue())])
            if result.error:
                st.error(parts.text(result.error, 300))
            else:
                thumbnails.image(result.seen, tr("The picture as the network saw it"), 160)
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
drafts.restore("teach", f"teach {classes.turn()} ")
address = st.query_params.get("dataset", "")
if st.session_state.get("teach_dataset") and "run" not in st.query_params and st.session_state.get("teach_run"):
    address = ""  # of the page before, which the Back button left there
run = last_run()
dataset = taught(run, address)
busy = classes.importing() or (run is not None and parts.live(run))  # and the pictures stay as they are
if error := st.session_state.pop("teach_error", ""):
    st.error(error)
if st.session_state.pop("teach_late", False):
    st.info(tr("The pictures had been taken in already; they were not learned."))
st.html(
    "<style>@media (min-width: 800px) { .st-key-teach_middle, .st-key-teach_end { position: sticky; top: 4rem; } }</style>"
)
first, second, third = st.columns([4, 3, 4], gap="medium")
with first:
    st.subheader(tr("1. Show"), anchor=False)
    shown = classes.show(dataset, busy, anew, called)
with second, st.container(key="teach_middle"):
    st.subheader(tr("2. Train"), anchor=False)
    train(dataset, shown, run, busy)
with third, st.container(key="teach_end"):
    st.subheader(tr("3. Try"), anchor=False)
    try_it(usable(run))
drafts.keep("teach", f"teach {classes.turn()} ", classes.fields(dataset))
