"""Shared: a run, while it lives and after: how far it is, its curves, news, and what can be done with it.

A browser that watches asks `feed` every second or two for the little that changes; what it gets is worked out at most twice a
second, however many watch, so a class that watches a training hardly slows it down.
"""

import asyncio
import gzip
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import streamlit as st
from starlette.requests import Request
from starlette.responses import Response

from imgrec import charts, queue, trainings
from imgrec.coach import OPEN, advise
from imgrec.jobs import LIVE, STATUSES
from imgrec.language import LANGUAGES, current, listed, mark, sentences, speaking, tr
from imgrec.recipe import Recipe
from imgrec.runs import Run, RunError, open_run
from pages import parts, visitors
from pages.pulse import Said, pulse

PATH = "live/{name}"  # of the feed, below the address of the dashboard
MANY = 12  # who look at runs at the same time, from which on each looks less often
QUANTITIES = (mark("loss"), mark("accuracy"))


def watch(run: Run) -> None:
    """Bars, numbers and curves of a run; while it lives the browser keeps them up to date, and draws the page anew when it
    has ended."""
    me = visitors.me()
    content, drawn = told(run, me)
    if content["live"]:
        show = st.session_state.pop("started", None) == run.name  # here, by this visitor, just now
        pulse(content, f"{PATH.format(name=quote(run.name))}?{urlencode({'lang': current(), 'me': me})}", show)
        return
    pulse(content | {"curves": []})
    for column, (quantity, figure) in zip(st.columns(2), drawn.items(), strict=True):
        with column:
            parts.chart(figure, f"curve_{quantity}", words_for(quantity))


async def feed(request: Request) -> Response:
    """What a browser draws of the run in the path, as JSON: see `told`. 404 if there is none of that name."""
    asked = request.query_params
    language, me = asked.get("lang", ""), asked.get("me", "")[:40]
    language = language if language in LANGUAGES else "en"
    try:
        run = open_run(request.path_params["name"])
        _looked[me] = time.monotonic()
        plain, packed, personal = await _kept_told(run, language, "")
        if personal and me:
            plain, packed, _ = await _kept_told(run, language, me)
    except RunError as error:
        return Response(orjson.dumps({"error": str(error)}), 404, media_type="application/json")
    headers = {"cache-control": "no-store", "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, headers=headers | {"content-encoding": "gzip"}, media_type="application/json")
    return Response(plain, headers=headers, media_type="application/json")


_looked: dict[str, float] = {}  # visitor → when it last looked at a run
_kept: dict[tuple[Path, str, str], tuple[int, asyncio.Task]] = {}  # run, language, visitor → when, what was told


async def _kept_told(run: Run, language: str, me: str) -> tuple[bytes, bytes, bool]:
    """`_told`, once for all who ask within half a second."""
    key, now = (run.path, language, me), _now()
    if _kept.get(key, (None,))[0] != now:
        if len(_kept) > 500:
            _kept.clear()
        _kept[key] = now, asyncio.create_task(asyncio.to_thread(_told, run, language, me))
    return await asyncio.shield(_kept[key][1])  # who leaves takes it from nobody


def pace() -> int:
    """Seconds until a browser should look again: one, or two where more than MANY look."""
    now = time.monotonic()
    for visitor, looked in list(_looked.items()):
        if now - looked > 5:
            _looked.pop(visitor, None)
    return 1 if len(_looked) <= MANY else 2


def _now() -> int:
    return int(2 * time.monotonic())


def _told(run: Run, language: str, me: str) -> tuple[bytes, bytes, bool]:
    """The JSON, the same packed, and whether others are told something else."""
    with speaking(language):
        content, _ = told(run, me)
    plain = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return plain, gzip.compress(plain, 1), content["personal"]


def told(run: Run, me: str) -> tuple[dict[str, Any], dict[str, charts.Figure]]:
    """All that is shown of a run while it lives, as `pulse` takes it, for the visitor of the digest ``me``; and its curves of
    loss and accuracy."""
    state, status, total = run.state, run.status, run.recipe.epochs
    live = status in LIVE
    progress, step, steps = float(state.get("progress") or 0.0), state.get("step", 0), state.get("steps") or 1
    epoch = min(total, state.get("epoch", 0) + live)
    step = steps if state.get("epoch") == total else step  # the last epoch is over
    left = parts.duration(state.get("seconds_left"))
    rate, memory, best = state.get("images_per_second"), state.get("memory"), state.get("best_validation_accuracy")
    whole = tr(
        "Training: epoch {epoch} of {total}, {progress:.0%}, {left} left"
        if live
        else "Training: epoch {epoch} of {total}, {progress:.0%}",
        epoch=epoch,
        total=total,
        progress=progress,
        left=left,
    )
    epochs, changes, inside = run.epochs, run.changes, run.lines("steps.jsonl")
    at = [change["at"] for change in changes]
    drawn = {quantity: charts.curves(inside, epochs, quantity, total, at) for quantity in QUANTITIES}
    content = {
        "live": live,
        "personal": status == "waiting",
        "pace": pace(),
        "title": [tr(status), tr("{model} on {dataset}", model=run.recipe.model, dataset=run.recipe.dataset), run.name],
        "colour": parts.STATUS_COLOURS[status],
        "bars": [
            [min(1.0, progress), whole],
            [min(1.0, step / steps), tr("This epoch: step {step} of {steps}", step=step, steps=steps)],
        ],
        "figures": [
            [
                tr("Pictures per second"),
                f"{rate:,.0f}" if rate else "…",
                tr("Since the worker began, validation included."),
            ],
            [tr("Best validation accuracy"), f"{best:.1%}" if best is not None else "…", tr("Of the epochs so far.")],
            [
                tr("Loss"),
                f"{state['loss']:.4f}" if "loss" in state else "…",
                tr("Mean over the pictures of this epoch so far."),
            ],
            [
                tr("Memory"),
                f"{memory / 2**20:,.0f} MiB" if memory else "…",
                tr("Held on {device}.", device=state.get("device", "the device")),
            ],
        ],
        "said": [*news(run, status, state, me), *changed(changes), *advised(run, epochs)],
        "curves": [{"words": words_for(quantity), **figure.to_dict()} for quantity, figure in drawn.items()],
    }
    return content, drawn


def words_for(quantity: str) -> str:
    return tr("{quantity} by epoch, training and validation", quantity=tr(quantity))


def changed(changes: Sequence[Mapping[str, Any]]) -> Sequence[Said]:
    """When the learning rate was changed on the way."""
    rates = [tr("{rate:g} from epoch {at:.1f} on", rate=row["learning_rate"], at=row["at"]) for row in changes]
    words = tr("The learning rate was changed while it learned: {changes}.", changes=listed(rates))
    return [("info", "", words)] if rates else []


def advised(run: Run, epochs: Sequence[Mapping[str, Any]]) -> Sequence[Said]:
    """What the coach says of the curves."""
    classes, over = len(run.classes), run.status == "finished"
    checked_with, test = run.read("about.json").get("validation"), run.read("evaluation.json") if over else {}
    said = advise(epochs, 0 if over else run.recipe.epochs, classes, checked_with, test or None)
    looks = {"good": "success", **dict.fromkeys(OPEN, "info")}
    return [
        (looks.get(advice.kind, "warning"), *led(tr(advice.kind).capitalize(), sentences(advice.words, advice.attempt)))
        for advice in said
    ]


def led(kind: str, words: str) -> tuple[str, str]:
    """The word that leads a sentence, which is bold, and the rest with what the language puts between them."""
    _, lead, rest = tr("**{kind}.** {words}", kind=kind, words=words).split("**", 2)
    return lead, rest


def news(run: Run, status: str, state: dict, me: str) -> Sequence[Said]:
    """What the worker says, or what to do when it says nothing more."""
    patience = {"training": 15, "waiting": 60}.get(status, math.inf)  # seconds; pictures may take long to be read
    if run.silent_seconds > patience and run.asked() != "finish" and not (status == "waiting" and state.get("ahead")):
        silent = tr(
            "No news from the worker for {silent_seconds:.0f} s; it may be busy with one large step, or stuck. "
            "You can stop it.",
            silent_seconds=run.silent_seconds,
        )
        return [("warning", "", silent)]
    if status in LIVE and run.asked():
        words = {"stop": tr("Stopping"), "pause": tr("Pausing"), "finish": tr("Testing the best state so far")}
        return [("info", "", tr("{words} …", words=words[run.asked()]))]
    if status == "waiting" and state.get("ahead"):
        return [("info", "", waiting(run, me))]
    if status in LIVE and (detail := str(state.get("detail") or "")):
        return [("info", "", tr("{words} …", words=f"{detail[:1].upper()}{detail[1:200]}"))]
    if status == "failed":
        return [("error", "", tr("It failed. {error}", error=str(state.get("error", ""))[:600]))]
    if status == "lost":
        return [("error", "", tr("Lost. {why}", why=tr(STATUSES["lost"])))]
    if status == "finished" and state.get("note"):
        return [("info", "", str(state["note"])[:200])]
    if status == "stopped" and not run.usable:
        return [("info", "", tr("Somebody stopped it before its first epoch had ended; it can go on."))]
    return [("info", "", tr(STATUSES[status]))] if status in ("stopped", "paused") else []


def waiting(run: Run, me: str) -> str:
    """Who is before a run that waits, and how long that may take."""
    before = queue.before(run)
    words = [f"{visitors.whose(other, me) or tr('yours')} ({tr(other.status)})" for other in before[:5]]
    seconds = queue.expected_wait(run)
    if len(before) > 5:
        words.append(tr("{n} more", n=len(before) - 5))
    said = tr("Number {n} in the queue. Before it: {runs}.", n=len(before) + 1, runs=listed(words))
    if seconds is None:
        return sentences(said, tr("When it begins can be told once the first of them trains."))
    if seconds:
        said = sentences(said, tr("It should begin in about {time}.", time=parts.duration(seconds)))
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
    if status not in LIVE and run.resumable():  # it has finished
        return
    if not visitors.may_change(run):
        st.caption(
            tr("Started by {owner}; only they or the operator can stop it.", owner=parts.text(owner))
            if (owner := visitors.whose(run))
            else tr("Started on the command line; only the operator can stop it.")
        )
        return
    if status in LIVE:
        asked = run.asked()
        with st.container(horizontal=True):
            for how, label, icon, help in WAYS_OUT:
                if st.button(tr(label), icon=icon, key=how, disabled=asked in (how, "stop"), help=tr(help)):
                    trainings.stop(run.name, how)
                    st.rerun(scope="fragment")
            rate(run)
            if visitors.is_operator() and queue.ahead(run) and st.button(tr("Next in line"), icon=":material/vertical_align_top:", key="next",
                                                                        help=tr("Before all others that wait; only the operator can.")):  # fmt: skip
                try:
                    queue.put_first(run.name)
                except ValueError as error:
                    st.error(parts.text(error, 300))
    elif st.button(tr("Resume"), icon=":material/play_arrow:", key="resume"):
        with parts.refusals():
            trainings.resume(run.name)
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
            with parts.refusals():
                trainings.set_learning_rate(run.name, value)
                st.caption(tr("From its next step on it learns at {rate:g}.", rate=value))
