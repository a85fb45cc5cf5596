"""Shared: a run while it lives, with its bars, curves, news and what can be done with it."""

import dataclasses
import os
import time
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from imgrec import charts, jobs
from imgrec.coach import advise
from imgrec.language import current, mark, tr
from imgrec.recipe import Recipe
from imgrec.runs import LIVE, STATUSES, Run
from pages import parts, visitors
from pages.pulse import Said, pulse

MANY = 12  # viewers of live runs from which on each looks less often
_viewers: dict[str, float] = {}  # session → when it last looked
LOGS = ("log.jsonl", "steps.jsonl", "changes.jsonl")


def watch(run: Run) -> None:
    """Bars, numbers and curves of a run, drawn anew every second while it lives."""
    state, status, total = run.state, run.status, run.recipe.epochs
    if status in LIVE:
        _look()
    progress, step, steps = float(state.get("progress") or 0.0), state.get("step", 0), state.get("steps") or 1
    epoch = min(total, state.get("epoch", 0) + (status in LIVE))
    step = steps if state.get("epoch") == total else step  # the last epoch is over
    left = parts.duration(state.get("seconds_left"))
    rate, memory, best = state.get("images_per_second"), state.get("memory"), state.get("best_validation_accuracy")
    drawn = curves(str(run.path), stamps(run, status in LIVE), status in LIVE, current())
    pulse(
        (tr(status), tr("{model} on {dataset}", model=run.recipe.model, dataset=run.recipe.dataset), run.name),
        parts.STATUS_COLOURS[status],
        (
            (
                progress,
                tr(
                    "Training: epoch {epoch} of {total}, {progress:.0%}, {left} left"
                    if status in LIVE
                    else "Training: epoch {epoch} of {total}, {progress:.0%}",
                    epoch=epoch,
                    total=total,
                    progress=progress,
                    left=left,
                ),
            ),
            (step / steps, tr("This epoch: step {step} of {steps}", step=step, steps=steps)),
        ),
        (
            (
                tr("Pictures per second"),
                f"{rate:,.0f}" if rate else "…",
                tr("Since the worker began, validation included."),
            ),
            (tr("Best validation accuracy"), f"{best:.1%}" if best is not None else "…", tr("Of the epochs so far.")),
            (
                tr("Loss"),
                f"{state['loss']:.4f}" if "loss" in state else "…",
                tr("Mean over the pictures of this epoch so far."),
            ),
            (
                tr("Memory"),
                f"{memory / 2**20:,.0f} MiB" if memory else "…",
                tr("Held on {device}.", device=state.get("device", "the device")),
            ),
        ),
        [*news(run, status, state), *drawn.said],
    )
    for column, (quantity, figure) in zip(st.columns(2), drawn.figures.items(), strict=True):
        with column:
            parts.chart(
                figure, f"curve_{quantity}", tr("{quantity} by epoch, training and validation", quantity=tr(quantity))
            )
    if drawn.changes:
        st.caption(tr("The learning rate was changed while it learned: {changes}.", changes=", ".join(drawn.changes)))
    if status in LIVE:
        return
    if st.session_state.get("watching") == run.name:  # it has just ended: draw the whole page once more
        st.session_state["watching"] = None
        st.rerun()


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What is drawn of a run's logs."""

    figures: dict  # quantity → a Plotly figure
    changes: list[str]
    said: list[Said]  # the coach's advice


def stamps(run: Run, live: bool) -> tuple[float, ...]:
    """When each of the run's logs was last written to; with many viewers of a live run the time is rounded, so that its
    curves are drawn anew every other second only."""
    if live and pace() > 1:
        return (time.monotonic() // 2,)
    times = []
    for name in LOGS:
        try:
            times.append(os.stat(run.file(name)).st_mtime_ns)
        except OSError:
            times.append(0)
    return tuple(times)


@st.cache_resource(max_entries=40, show_spinner=False)
def curves(place: str, changed: tuple[float, ...], live: bool, language: str) -> Drawn:
    """Curves and advice, drawn once for all who watch: a class that watches one run must not slow it down."""
    run = Run(Path(place))
    epochs, steps, changes, total = run.epochs, run.lines("steps.jsonl"), run.changes, run.recipe.epochs
    at = [change["at"] for change in changes]
    return Drawn(
        {quantity: charts.curves(steps, epochs, quantity, total, at) for quantity in (mark("loss"), mark("accuracy"))},
        [tr("{rate:g} from epoch {at:.1f} on", rate=row["learning_rate"], at=row["at"]) for row in changes],
        [
            (
                "success" if advice.kind == "good" else "warning",
                f"{tr(advice.kind).capitalize()}.",
                f"{advice.words} {advice.attempt}",
            )
            for advice in advise(epochs, total if live else 0, len(run.read("classes.json").get("classes", [])))
        ],
    )


def pace() -> float:
    """Seconds between two looks at a live run: with many viewers at once fewer, so that they do not slow the training."""
    now = time.monotonic()
    for session, looked in list(_viewers.items()):
        if now - looked > 6:
            _viewers.pop(session, None)
    return 1.0 if len(_viewers) <= MANY else 2.0


def _look() -> None:
    """Note that this visitor looks; draw the page anew when the pace has changed."""
    _viewers[get_script_run_ctx().session_id] = time.monotonic()
    if st.session_state.get("pace", 1.0) != pace():
        st.session_state["pace"] = pace()
        st.rerun()


def news(run: Run, status: str, state: dict) -> list[Said]:
    """What the worker says, or what to do when it says nothing more."""
    if status in LIVE and run.asked():
        words = {"stop": tr("Stopping"), "pause": tr("Pausing"), "finish": tr("Testing the best state so far")}
        return [("info", "", f"{words[run.asked()]} …")]
    if status == "waiting" and state.get("ahead"):
        return [("info", "", waiting(run))]
    if status in LIVE and run.silent_seconds > 15:
        silent = tr(
            "No news from the worker for {silent_seconds:.0f} s; it may be busy with one large step, or stuck. "
            "You can stop it.",
            silent_seconds=run.silent_seconds,
        )
        return [("warning", "", silent)]
    if status in LIVE and state.get("detail"):
        return [("info", "", f"{str(state['detail'])[:200].capitalize()} …")]
    if status == "failed":
        return [("error", "", tr("It failed. {error}", error=str(state.get("error", ""))[:600]))]
    if status == "lost":
        return [("error", "", tr("Lost. {why}", why=tr(STATUSES["lost"])))]
    if status == "finished" and state.get("note"):
        return [("info", "", str(state["note"])[:200])]
    return [("info", "", tr(STATUSES[status]))] if status in ("stopped", "paused") else []


def waiting(run: Run) -> str:
    """Who is before a run that waits, and how long that may take."""
    before = jobs.before(run)
    words = [f"{visitors.whose(other) or tr('yours')} ({tr(other.status)})" for other in before[:5]]
    known = [other.state.get("seconds_left") for other in before]
    seconds = sum(known) if all(isinstance(left, int | float) for left in known) else None
    if len(before) > 5:
        words.append(tr("{n} more", n=len(before) - 5))
    said = tr("Waiting for its turn. Before it: {runs}.", runs=", ".join(words))
    if before and seconds is not None:
        said += " " + tr("It should begin in about {time}.", time=parts.duration(seconds))
    return said


WAYS_OUT = (  # how to end a training early: word, label, icon, help
    ("stop", mark("Stop"), ":material/stop:", mark("It can go on later, where it was.")),
    (
        "pause",
        mark("Pause"),
        ":material/pause:",
        mark("Lets the next one in the queue go first; Resume puts this one at its end."),
    ),
    (
        "finish",
        mark("Finish now"),
        ":material/flag:",
        mark("Enough: after its first epoch at the earliest, its best state is tested and kept."),
    ),
)


def controls(run: Run) -> None:
    """Stop, pause, finish or resume, apart from the polling view, so that a click is answered at once."""
    status = run.status
    if not visitors.may_change(run):
        st.caption(
            tr("Started by {owner}; only they or the operator can stop it.", owner=parts.text(visitors.whose(run)))
        )
        return
    if status in LIVE:
        asked = run.asked()
        with st.container(horizontal=True):
            for how, label, icon, help in WAYS_OUT:
                if st.button(tr(label), icon=icon, key=how, disabled=asked in (how, "stop"), help=tr(help)):
                    jobs.stop(run.name, how)
                    st.rerun(scope="fragment")
            rate(run)
            if visitors.is_operator() and jobs.ahead(run) and st.button(tr("Next in line"), icon=":material/vertical_align_top:", key="next",
                                                                        help=tr("Before all others that wait; only the operator can.")):  # fmt: skip
                try:
                    jobs.put_first(run.name)
                except ValueError as error:
                    st.error(parts.text(error, 300))
    elif run.resumable() is None and st.button(tr("Resume"), icon=":material/play_arrow:", key="resume"):
        try:
            jobs.resume(run.name)
        except (ValueError, OSError) as error:
            st.error(parts.text(error, 400))
        else:
            st.rerun()


def rate(run: Run) -> None:
    """Let it learn at another rate from its next step on."""
    with st.popover(tr("Learning rate"), icon=":material/speed:"):
        about = Recipe.__dataclass_fields__["learning_rate"].metadata
        changes = run.changes
        value = st.number_input(
            tr("Learning rate from now on"), float(about["minimum"]), float(about["maximum"]),
            changes[-1]["learning_rate"] if changes else run.recipe.learning_rate, format="%g", key="new_rate",
            help=tr("The schedule goes on from where it is, towards or from this rate."),
        )  # fmt: skip
        if st.button(tr("Use it"), key="use_new_rate"):
            try:
                jobs.set_learning_rate(run.name, value)
            except (ValueError, OSError) as error:
                st.error(parts.text(error, 300))
            else:
                st.caption(tr("From its next step on it learns at {rate:g}.", rate=value))
